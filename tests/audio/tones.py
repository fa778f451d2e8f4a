"""Audio files of sine tones, and what the tests of this folder ask of them."""

import numpy as np
import pytest
import soundfile

from mil_asc.audio.decode import decode
from mil_asc.errors import AudioError

HZ, AMPLITUDE = 1000.0, 0.25


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
    assert "\n" not in message and message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")
