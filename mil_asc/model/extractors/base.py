"""The interface of feature-map extractors."""

import inspect
from abc import ABC, abstractmethod
from typing import ClassVar

from torch import nn

from mil_asc.checks import check_count

INPUTS = ("logmel", "waveform")


class Extractor(nn.Module, ABC):
    """Abstract base of extractors: (B, in_channels, F, T) in, (B, channels, F', T') out; a column is an instance.

    A subclass is one file: it is registered under the file's name as soon as the class is defined, and the tests of
    ``tests/model/extractors/test_registry.py`` then run on it, at the size that ``tiny`` gives. It calls
    ``set_geometry`` at the end of its ``__init__`` and defines ``forward``, ``out_height`` and ``out_frames``.
    The own frames of column i are i ``time_reduction`` to (i + 1) ``time_reduction`` - 1.

    Attributes
    ----------
    input : str
        ``logmel``: F mel bins of T frames; ``waveform``: F = 1, and a frame is a sample (the front end is then
        ``mil_asc.model.features.Waveform``).
    tiny : dict
        Arguments that make the extractor small enough to be trained in a test.
    later : dict
        Arguments that were added after a release, with the value that means what the class did before: model folders
        that lack them are read with it.
    in_channels : int
        Channels of the input: 1, or what the front end makes (``mil_asc.model.input_channels``).
    out_channels : int
        Channels of the feature map.
    time_reduction : int
        Frames from one column to the next.
    context_frames : int or None
        Frames of context that a column has on either side of its own frames; None if it depends on the whole clip.
    """

    registry: ClassVar[dict] = {}
    input: ClassVar[str] = "logmel"
    tiny: ClassVar[dict]
    later: ClassVar[dict] = {}
    in_channels: int
    out_channels: int
    time_reduction: int
    context_frames: int | None

    def __init_subclass__(cls, **kwargs):
        """Check the attributes and methods of the class, and register it under the name of its file."""
        super().__init_subclass__(**kwargs)
        if cls.input not in INPUTS:
            raise TypeError(f"{cls.__name__}.input must be one of {', '.join(INPUTS)}; got {cls.input!r}")
        arguments = inspect.signature(cls.__init__).parameters
        if not isinstance(getattr(cls, "tiny", None), dict):
            raise TypeError(f"{cls.__name__} must define tiny: arguments that make it small enough for a test")
        unknown = [name for name in cls.tiny if name not in arguments]
        if unknown:
            raise TypeError(f"{cls.__name__}.tiny may only name arguments of the class; there is no {unknown[0]!r}")
        missing = [name for name in Extractor.__abstractmethods__ if getattr(cls, name) is getattr(Extractor, name)]
        if missing:
            raise TypeError(f"{cls.__name__} must define {', '.join(sorted(missing))}")
        name = cls.__module__.rpartition(".")[2]
        there = Extractor.registry.get(name, cls)
        if (there.__module__, there.__qualname__) != (cls.__module__, cls.__qualname__):  # else it was loaded again
            raise TypeError(f"{name} is registered already: use one extractor per file, and different file names")
        Extractor.registry[name] = cls

    def set_geometry(self, out_channels, time_reduction, context_frames, in_channels=1):
        """Check and set the attributes of these names: counts from 1 up; the context from 0 up, or None."""
        check_count("in_channels", in_channels)
        check_count("out_channels", out_channels)
        check_count("time_reduction", time_reduction)
        if context_frames is not None:
            check_count("context_frames", context_frames, least=0)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.time_reduction = time_reduction
        self.context_frames = context_frames

    @abstractmethod
    def forward(self, x_BCFT):
        """(B, ``in_channels``, F, T) -> (B, ``out_channels``, ``out_height(F)``, ``out_frames(T)``)."""

    @abstractmethod
    def out_height(self, height):
        """Frequency rows F' of the feature map of ``height`` rows (mel bins); ``ValueError`` if they do not fit."""

    @abstractmethod
    def out_frames(self, num_frames):
        """Columns T' of the feature map of ``num_frames`` frames (int or integer tensor)."""
