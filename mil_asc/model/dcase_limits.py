"""Limits of the DCASE challenge on the size of a model; without PyTorch."""

DCASE_WEIGHT_BYTES = 128_000
"""Limit of DCASE task 1 on the memory of all parameters: in 2022 as int8, from 2023 to 2025 in any type."""
DCASE_MACS = 30_000_000
"""Limit of DCASE task 1, 2022 to 2025, on the multiply-accumulates of a clip of one second."""
