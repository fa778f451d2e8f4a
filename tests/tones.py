"""Audio files of sine tones, and what the tests of this folder ask of them."""

import numpy as np
import pytest
import soundfile

from mil_asc.audio.decode import decode
from mil_asc.errors import AudioError, printable

HZ, AMPLITUDE = 1000.0, 0.25
NOT_RECOGNISED = ("RAW", "SD2")  # libsndfile needs more than the file to read these
NOT_READABLE = ("DWVW_12", "DWVW_16", "DWVW_24", "MPEG_LAYER_I", "MPEG_LAYER_II")


def readable_formats():
    """(format, subtype) of everything that libsndfile writes and reads, at 8 kHz and one channel."""
    every = [(name, each) for name in soundfile.available_formats() for each in soundfile.available_subtypes(name)]
    return [
        (container, subtype)
        for container, subtype in every
        if container not in NOT_RECOGNISED
        and subtype not in NOT_READABLE
        and (container, subtype[:4]) != ("WAV", "MPEG")
    ]


def sine(seconds=1.0, rate=16000, hz=HZ, amplitude=AMPLITUDE):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


def write(path, wav=None, rate=16000, **how):
    soundfile.write(path, sine(rate=rate) if wav is None else wav, rate, **how)
    return path


def amplitude_at(wav, hz, rate=16000):
    """Amplitude of one frequency, over the middle of the clip with a Hann window."""
    middle = wav[len(wav) // 8 : -len(wav) // 8].astype(np.float64)
    window = np.hanning(len(middle))
    phase = np.exp(-2j * np.pi * hz * np.arange(len(middle)) / rate)
    return 2 * abs(np.sum(middle * window * phase)) / window.sum()


def reason(path, **how):
    """The message without the path, after a check that it is one line that names the file."""
    with pytest.raises(AudioError) as caught:
        decode(path, **how)
    message = str(caught.value)
    name = printable(f"{path}: ")
    assert "\n" not in message and message.startswith(name)
    return message.removeprefix(name)
