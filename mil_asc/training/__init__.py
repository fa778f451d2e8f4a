"""Training runs: command line, Brain, checkpoints, schedule, precise batch norm, and the entry of every recipe."""
