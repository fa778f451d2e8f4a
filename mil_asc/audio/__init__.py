"""From audio files to samples."""
