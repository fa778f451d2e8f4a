"""What a server is told: its model, and its limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer

MEGABYTE = 1_000_000


@dataclass(frozen=True)
class ServerSettings:
    """Settings of a server; all numbers are above 0 (``queue`` and ``streams`` may be 0).

    Arguments
    ---------
    load : callable
        Loads the model for one thread of computation; picklable, because every process loads it.
    name, description : str
        What the model is called, and a sentence about it.
    megabytes, minutes : float
        Largest upload, and longest recording.
    jobs : int
        Recordings that are classified at once, each in a process of its own.
    queue : int
        Recordings that may wait besides.
    seconds : float
        Longest time for receiving a recording, and again for classifying it.
    streams : int
        Live streams at once.
    memory : float
        Memory that one recording may take (in GB), besides the loaded model.
    examples : Path, optional
        A folder of recordings that the page offers; by default synthetic ones.
    hosts : tuple of str, optional
        Names by which the server may be called (header ``Host``, without port); None: any.
    """

    load: Callable[[], Explainer]
    name: str
    description: str = ""
    megabytes: float = 50.0
    minutes: float = 30.0
    jobs: int = 1
    queue: int = 64
    seconds: float = 60.0
    streams: int = 8
    memory: float = 2.0
    examples: Path | None = None
    hosts: tuple[str, ...] | None = None

    @property
    def bytes(self) -> int:
        """Largest upload (in bytes)."""
        return round(self.megabytes * MEGABYTE)
