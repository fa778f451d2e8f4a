"""What results of recordings are given to, whatever becomes of them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any


class Results(ABC):
    """Takes the text of one recording after the other.

    ``bad_before`` counts the rows of recordings that could not be classified before.
    """

    bad_before: int = 0

    @property
    def newer(self) -> Sequence[str]:
        """Paths whose result is there, but may be that of an earlier content of the file."""
        return ()

    def has(self, path: str, name: str) -> bool:
        """Whether the recording at ``path``, called ``name`` below the folder of results, was done before."""
        return False

    @abstractmethod
    def add(self, name: str, content: Any) -> None:
        """Write the text of a recording."""

    def add_bad(self, path: str, message: str) -> None:
        """Keep why the recording at ``path`` has no result, where results say so."""
        return None

    def finish(self) -> None:
        """Complete what was written, after the last recording."""
        return None
