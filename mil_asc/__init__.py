"""mil_asc: acoustic scene classification with multiple-instance learning.

The public names are imported when they are first used, so that ``import mil_asc`` itself is quick.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mil_asc.inference.scene import Scene
    from mil_asc.inference.scene_classifier import SceneClassifier

# ONNX Runtime from 1.29 on sends usage data to its makers, unless this is set before it is imported
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.9.0"
__all__ = ["Scene", "SceneClassifier"]
HOMES = {"Scene": "mil_asc.inference.scene", "SceneClassifier": "mil_asc.inference.scene_classifier"}
"""Modules of the public names."""


def __getattr__(name: str) -> object:
    """The public object called ``name``."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)


def __dir__() -> list[str]:
    """All names of the package, the public ones included."""
    return sorted([*globals(), *__all__])
