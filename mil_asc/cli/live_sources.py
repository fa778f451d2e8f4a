"""Where live sound comes from: a microphone, a recording, or the bytes of standard input; blocks of a second."""

from __future__ import annotations

import contextlib
import queue
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from mil_asc.errors import AudioError, UserError, printable

if TYPE_CHECKING:
    import numpy as np

    from mil_asc.audio.pcm_stream import PcmFormat

BLOCK_SECONDS = 1.0
PART_SECONDS = 0.1
"""What a microphone hands over at once."""
MOST_WAITING = 600
"""Parts of a microphone that wait for the model, a minute; later ones are lost, and that is said."""
QUIET_SECONDS = 5.0
"""A microphone that hands over nothing for so long was unplugged; silence is samples too."""
STANDARD_INPUT = "standard input"


class Sound(NamedTuple):
    """Mono float32 blocks, their rate (in Hz), and where they come from."""

    blocks: Iterator[np.ndarray]
    rate: int
    name: str


@contextlib.contextmanager
def open_file(path: str, model_rate: int, min_seconds: float) -> Iterator[Sound]:
    """A recording at the model's rate, as ``mil_asc.audio.sound_blocks`` reads it."""
    from mil_asc.audio.sound_blocks import open_blocks

    with open_blocks(path, model_rate, min_seconds) as found:
        yield Sound(_divided(found, round(BLOCK_SECONDS * model_rate)), model_rate, path)


def _divided(blocks: Any, size: int) -> Iterator[np.ndarray]:
    for block in blocks:
        for first in range(0, len(block), size):
            yield block[first : first + size]


@contextlib.contextmanager
def open_pipe(raw: PcmFormat | None) -> Iterator[Sound]:
    """Standard input: raw samples of a format, or WAV where there is none."""
    from mil_asc.audio.containers import UnusableAudio
    from mil_asc.audio.pcm_stream import read_pcm, read_wav_header

    if sys.stdin is None or sys.stdin.isatty():
        raise UserError("standard input is a terminal: send sound to it, such as: ffmpeg ... -f wav - | mil-asc live -")
    try:
        form = raw or read_wav_header(sys.stdin.buffer)
    except UnusableAudio as error:
        raise AudioError(f"{STANDARD_INPUT}: {error}") from error
    yield Sound(read_pcm(sys.stdin.buffer, form, BLOCK_SECONDS), form.rate, STANDARD_INPUT)


@contextlib.contextmanager
def open_microphone(device: str | None, rate: int | None) -> Iterator[Sound]:
    """An input of this computer: by default the system's, at its own rate; one channel."""
    library = _library()
    number = int(device) if device is not None and device.isdecimal() else device
    waiting: queue.Queue[np.ndarray] = queue.Queue(MOST_WAITING)
    lost = [0]

    def take(samples_NC: Any, frames: int, times: Any, status: Any) -> None:
        if status is not None and status.input_overflow:  # lost before it came here
            lost[0] += 1
        try:
            waiting.put_nowait(samples_NC[:, 0].copy())
        except queue.Full:
            lost[0] += 1

    with contextlib.ExitStack() as opened:
        try:
            facts = library.query_devices(number, "input")
            rate = rate or round(facts["default_samplerate"])
            part = max(round(PART_SECONDS * rate), 1)
            settings = {"samplerate": rate, "channels": 1, "dtype": "float32", "blocksize": part}
            opened.enter_context(library.InputStream(device=number, callback=take, **settings))
        except (library.PortAudioError, ValueError) as error:
            words = printable(" ".join(str(error).split()))
            raise UserError(
                f"no microphone can be opened ({words}): see mil-asc live --microphones, or name a recording, or - for "
                "standard input"
            ) from error
        yield Sound(_gathered(waiting, lost), rate, f"microphone {printable(str(facts['name']))}")


def _gathered(waiting: queue.Queue[np.ndarray], lost: list[int]) -> Iterator[np.ndarray]:
    """Blocks of a second from parts, without an end; what was lost is said once."""
    import numpy as np

    is_told = False
    while True:
        try:
            parts = [waiting.get(timeout=QUIET_SECONDS) for _ in range(round(BLOCK_SECONDS / PART_SECONDS))]
        except queue.Empty:
            raise UserError("the microphone gives no more sound: was it unplugged?") from None
        yield np.concatenate(parts)
        if lost[0] and not is_told:
            is_told = True
            print("warning: sound was lost, because the model is slower than the microphone", file=sys.stderr)


def microphones() -> list[str]:
    """A line for each input: its number, name, channels and rate; ``*`` marks the system's choice."""
    library = _library()
    try:
        chosen = library.query_devices(None, "input")["index"]
    except (library.PortAudioError, ValueError):
        chosen = None
    lines = []
    for number, facts in enumerate(library.query_devices()):
        if facts["max_input_channels"] > 0:
            mark = "*" if number == chosen else " "
            rate = f"{facts['default_samplerate']:g} Hz"
            lines.append(f"{mark}{number:3}  {printable(facts['name'])}  ({facts['max_input_channels']} in, {rate})")
    if not lines:
        raise UserError("there is no microphone: name a recording, or - for standard input")
    return lines


def _library() -> ModuleType:
    """The package sounddevice; a ``UserError`` without it, or without the library PortAudio that it calls."""
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UserError(
            'a microphone needs the package sounddevice: pip install -e ".[live]"; a recording, or - for standard '
            "input, does without"
        ) from error
    except OSError as error:
        raise UserError(
            "a microphone needs the library PortAudio (Debian: apt install libportaudio2); a recording, or - for "
            "standard input, does without"
        ) from error
    return sounddevice
