"""What a run found: metrics, report, and its reader."""
