"""Training runs: options, Brain, checkpoints, schedule, precise batch norm, and the entry of every recipe."""
