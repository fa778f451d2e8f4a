"""What a run found: metrics, decisions, report, and the one reader of a finished run."""
