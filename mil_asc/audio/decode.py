"""Audio files decoded to mono float32 samples at one rate.

Shapes: N samples, C channels.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile
import soxr

from mil_asc.audio.containers import TooLong, Undecodable, UnusableAudio, UnusableSamples, check_container
from mil_asc.audio.endings import ending_hint
from mil_asc.audio.ffmpeg import convert, needs_ffmpeg
from mil_asc.errors import ArgumentError, AudioError

RESAMPLER = f"soxr-{soxr.__version__}-HQ"

MIN_RATE, MAX_RATE = 1_000, 768_000
"""Sampling rates that a header may state (in Hz)."""
MAX_HOURS = 25.0
"""Longest recording, by its header: a day, with the hour that a change of the clock may add."""
MAX_AMPLITUDE = 2.0**32
"""Largest sample after resampling; full scale is 1, and 32-bit integers kept as float reach 2^31."""

_NO_ROOM = "too long, it does not fit into memory: cut it into parts"
_UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's count where a FLAC header says 0: none, or unknown


def decode(
    path: str | os.PathLike, sample_rate: int = 16000, min_seconds: float = 0.0, name: str | None = None
) -> np.ndarray:
    """The complete file as mono samples at ``sample_rate``: mean of the channels, then soxr (quality HQ).

    Arguments
    ---------
    path : str or Path
        WAV, FLAC, OGG or another format that libsndfile reads, or M4A, AAC, MP4 or WebM where ffmpeg is installed;
        any number of channels.
    sample_rate : int
        Rate of the result (in Hz).
    min_seconds : float
        A shorter clip is refused.
    name : str, optional
        As ``opened`` takes it.

    Returns
    -------
    numpy.ndarray
        float32 (N,), N = round(frames * ``sample_rate`` / rate of the file); full scale is 1. Resampling and
        float files may go beyond 1.

    Raises
    ------
    AudioError
        One line, ``file: reason``; the file is missing, no regular file, unreadable, empty, truncated, too short
        or silent, holds NaN, infinite or absurdly large samples, or states a sampling rate outside ``MIN_RATE`` to
        ``MAX_RATE`` or more than ``MAX_HOURS``.
    ArgumentError
        ``path`` is no path.

    Example
    -------
    >>> import tempfile
    >>> file = tempfile.mkdtemp() + "/tone.wav"
    >>> soundfile.write(file, np.sin(np.arange(48000) * 0.1), 48000)
    >>> decode(file).shape
    (16000,)
    """
    with opened(path, name) as sound, fits_memory(os.fspath(path) if name is None else name):
        mono_N, rate = mean_of_channels(read_frames(sound, sound.frames)), sound.samplerate
        check_samples(mono_N.min(), mono_N.max())
        wav_N = _resample(mono_N, rate, sample_rate)
        check_length(len(wav_N) / sample_rate, min_seconds)
        check_samples(wav_N.min(), wav_N.max())
    return wav_N


def check_waveform(name: str, wav_N: np.ndarray, sample_rate: int = 16000, min_seconds: float = 0.0) -> None:
    """Refuse what ``decode`` would not return.

    Arguments
    ---------
    name : str
        What the waveform is called in a message.
    wav_N : numpy.ndarray
        float (N,), linear amplitude, full scale is 1.
    sample_rate : int
        Its rate (in Hz).
    min_seconds : float
        A shorter waveform is refused.

    Raises
    ------
    AudioError
        One line, ``name: reason``; the waveform is too short, silent, not finite, or beyond ``MAX_AMPLITUDE``.

    Example
    -------
    >>> check_waveform("my clip", np.zeros(16000))
    Traceback (most recent call last):
    mil_asc.errors.AudioError: my clip: silent (every sample is zero)
    """
    try:
        check_length(len(wav_N) / sample_rate, min_seconds)
        check_samples(wav_N.min(), wav_N.max())
    except UnusableAudio as error:
        raise AudioError(f"{name}: {error}") from error


def read_duration(path: str | os.PathLike, name: str | None = None) -> float:
    """Length of an audio file by its header (in seconds), above 0; only what needs ffmpeg is decoded.

    Arguments
    ---------
    path : str or Path
        As ``decode`` takes it.
    name : str, optional
        As ``opened`` takes it.

    Raises
    ------
    AudioError
        As ``decode`` raises it, except what only the samples show.
    """
    with opened(path, name) as sound:
        return sound.frames / sound.samplerate


@contextlib.contextmanager
def opened(
    path: str | os.PathLike, name: str | None = None, max_hours: float | None = None
) -> Iterator[soundfile.SoundFile]:
    """The open file after a check of its header; whatever makes it unusable becomes an ``AudioError``.

    So does ``UnusableAudio`` of the block; other errors of the block stay as they are.

    Arguments
    ---------
    path : str or Path
        The file.
    name : str, optional
        What it is called in messages, and whose ending says what ffmpeg decodes; by default the path.
    max_hours : float, optional
        Longest recording that is taken; by default ``MAX_HOURS``.
    """
    if not isinstance(path, str | os.PathLike):  # open() takes an integer for a file that is open, and closes it
        raise ArgumentError(f"path must be the path of an audio file, got {path!r:.80}")
    called = os.fspath(path) if name is None else name
    max_hours = MAX_HOURS if max_hours is None else max_hours
    with contextlib.ExitStack() as held, _named(called):
        with _refused(path, called):
            file = held.enter_context(_open_complete(path, called, max_hours))
            sound = held.enter_context(_open_sound(file))
            _check_header(sound, max_hours, needs_ffmpeg(called))
        yield sound  # what else the caller's block fails with, such as a full disk, is no fault of the recording


@contextlib.contextmanager
def _named(name: str) -> Iterator[None]:
    try:
        yield
    except UnusableAudio as error:
        raise AudioError(f"{name}: {error}") from error


@contextlib.contextmanager
def _refused(path: str | os.PathLike, name: str) -> Iterator[None]:
    """What goes wrong while a file is opened as an ``AudioError``, which knows of endings that mislead."""
    with fits_memory(name):
        try:
            yield
        except OSError as error:
            raise AudioError(f"{name}: {_describe(error)}") from error
        except Undecodable as error:
            raise AudioError(f"{name}: {error}{ending_hint(path, name)}") from error


@contextlib.contextmanager
def fits_memory(name: str) -> Iterator[None]:
    """For a block that keeps a recording as a whole: where memory does not suffice, an ``AudioError`` says so."""
    try:
        yield
    except MemoryError as error:
        raise AudioError(f"{name}: {_NO_ROOM}") from error


def _open_complete(path: str | os.PathLike, name: str, max_hours: float) -> BinaryIO:
    """The file at its start, after a check that it is complete; or what ffmpeg makes of it."""
    file = _open_regular(path)
    try:
        check_container(file)
        file.seek(0)  # libsndfile starts at the descriptor's position
    except BaseException:
        file.close()
        raise
    if not needs_ffmpeg(name):
        return file
    file.close()
    return convert(path, max_hours * 3600 + 1)


def _open_regular(path: str | os.PathLike) -> BinaryIO:
    """The file, opened for reading without waiting; a FIFO, a socket or a device is refused before it is opened."""
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a NUL in the path
        raise UnusableAudio(f"not a path ({error})") from error
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UnusableAudio("not a regular file")
    return open(path, "rb", buffering=0, opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK))


def _open_sound(file: BinaryIO) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(file.fileno(), closefd=False)
    except Exception as error:  # whatever the decoder fails with, the file is at fault
        raise Undecodable(f"unreadable, not audio or corrupt ({_reason(error)})") from error


def _check_header(sound: soundfile.SoundFile, max_hours: float, is_cut: bool) -> None:
    """Frames, rate and duration are within limits; ``is_cut`` where only a second beyond them was decoded."""
    frames, rate = sound.frames, sound.samplerate
    if frames == _UNKNOWN_FRAMES:
        raise UnusableAudio("empty, or the header does not say how many frames it holds")
    if frames <= 0:
        raise UnusableAudio("empty (0 frames)")
    if not MIN_RATE <= rate <= MAX_RATE:
        raise UnusableAudio(f"the header states a sampling rate of {rate} Hz, {MIN_RATE} to {MAX_RATE} Hz are allowed")
    if frames > max_hours * 3600 * rate:
        raise TooLong(_too_long(frames / rate, max_hours * 3600, is_cut))


def _too_long(seconds: float, most: float, is_cut: bool) -> str:
    """How long a recording is, and may be, in the same unit; of one that was cut off it is not known."""
    unit, size = next(one for one in (("hours", 3600), ("minutes", 60), ("s", 1)) if most >= one[1] or one[1] == 1)
    allowed = f"{most / size:.6g}"
    if is_cut:
        return f"longer than {allowed} {unit}, which is the most that is allowed: cut it into parts"
    texts = (f"{seconds / size:.{digits}f}" for digits in range(1, 7))
    stated = next((text for text in texts if float(text) > float(allowed)), "more")
    return f"the header states {stated} {unit}, at most {allowed} are allowed: cut it into parts"


def read_frames(sound: soundfile.SoundFile, count: int) -> np.ndarray:
    """The next ``count`` frames, float32 (N, C); ``UnusableAudio`` where they are not all there."""
    begin = sound.tell() if sound.seekable() else 0
    try:
        wav_NC = sound.read(count, dtype="float32", always_2d=True)
    except MemoryError as error:
        raise TooLong(_NO_ROOM) from error
    except Exception as error:  # whatever the decoder fails with, the file is at fault
        raise UnusableAudio(f"truncated, corrupt or not supported after the header ({_reason(error)})") from error
    if len(wav_NC) < count:
        raise UnusableAudio(f"truncated: the header states {sound.frames} frames, {begin + len(wav_NC)} can be read")
    return wav_NC


def _reason(error: Exception) -> str:
    """What a decoder says, as one line."""
    text = error.error_string if isinstance(error, soundfile.LibsndfileError) else str(error)
    return " ".join(text.split()).rstrip(".") or type(error).__name__


def mean_of_channels(wav_NC: np.ndarray) -> np.ndarray:
    """(N, C) -> (N,) mean, channel by channel: eight times as fast as ``mean(axis=1)``, and no work for one channel."""
    channels = wav_NC.shape[1]
    if channels == 1:
        return wav_NC[:, 0]
    mono_N = wav_NC[:, 0] + wav_NC[:, 1]
    for channel in range(2, channels):
        mono_N += wav_NC[:, channel]
    mono_N *= np.float32(1 / channels)
    return mono_N


def _resample(mono_N: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    if rate == sample_rate:
        return mono_N
    count = round(len(mono_N) * sample_rate / rate)
    wav_N = soxr.resample(mono_N, rate, sample_rate, quality="HQ")
    if len(wav_N) < count:
        return np.pad(wav_N, (0, count - len(wav_N)))
    return wav_N[:count]


def check_samples(low: float, high: float) -> None:
    """Refuse a recording by its least and greatest sample, which are NaN if any is (``UnusableSamples``)."""
    if not np.isfinite(low) or not np.isfinite(high):
        raise UnusableSamples("holds NaN or infinite samples")
    if low == 0 and high == 0:
        raise UnusableSamples("silent (every sample is zero)")
    if max(-low, high) > MAX_AMPLITUDE:
        raise UnusableSamples(
            f"samples up to {max(-low, high):.3g}, at most {MAX_AMPLITUDE:.3g} allowed (1 is full scale)"
        )


def check_length(seconds: float, min_seconds: float) -> None:
    """Refuse a recording that is empty or shorter than ``min_seconds`` (``UnusableSamples``)."""
    if seconds < min_seconds or seconds == 0:
        digits = 3 if f"{seconds:.3f}" != f"{min_seconds:.3f}" else 6  # one sample too short
        raise UnusableSamples(f"too short: {seconds:.{digits}f} s, at least {min_seconds:.{digits}f} s needed")


def _describe(error: OSError) -> str:
    return "no such file" if isinstance(error, FileNotFoundError) else (error.strerror or str(error)).lower()
