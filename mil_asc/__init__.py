"""mil_asc: acoustic scene classification with multiple-instance learning."""

__version__ = "0.2.0"
