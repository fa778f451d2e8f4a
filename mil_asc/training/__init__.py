"""Training runs: options, Brain, checkpoints, schedule, precise batch norm, and the entry of every recipe."""

import mil_asc.compat  # noqa: F401  (before any module imports SpeechBrain)
