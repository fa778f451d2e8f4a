"""Audio files of every format, damaged at random: cut short, with flipped bytes, with absurd headers."""

import struct
import subprocess

import numpy as np
import soundfile
from tones import readable_formats

from mil_asc.audio.ffmpeg import FFMPEG_SUFFIXES, has_ffmpeg

RATE, SECONDS = 8000, 1.5
HEADER = 96  # bytes at the start of a file that hold most of a header
ABSURD = (0, 1, 0x7F, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 10**9)


def write_damaged_files(folder, seed):
    """For every format an intact file and four damaged ones; their paths, the same for the same seed."""
    generator = np.random.default_rng(seed)
    wav = np.clip(0.2 * generator.normal(size=round(RATE * SECONDS)), -1, 1)
    for container, subtype in readable_formats():
        soundfile.write(folder / f"{container}-{subtype}-intact", wav, RATE, format=container, subtype=subtype)
    if has_ffmpeg():
        soundfile.write(folder / "source.wav", wav, RATE)
        for suffix in FFMPEG_SUFFIXES:
            command = ["ffmpeg", "-v", "error", "-i", folder / "source.wav", folder / f"ffmpeg-intact{suffix}"]
            subprocess.run(command, check=True)
    for intact in sorted(folder.iterdir()):
        content = intact.read_bytes()
        for damage in (cut, flip_header, flip_anywhere, make_absurd):
            name = intact.name.replace("intact", damage.__name__)
            intact.with_name(name if name != intact.name else f"{damage.__name__}-{name}").write_bytes(
                damage(content, generator)
            )
    for number in range(20):
        (folder / f"noise-{number}").write_bytes(generator.bytes(int(generator.integers(1, 5000))))
    return sorted(folder.iterdir())


def cut(content, generator):
    """The start of a file."""
    return content[: int(generator.integers(len(content)))]


def flip_header(content, generator):
    """One to eight bytes of the header are others."""
    return flip(content, generator, min(HEADER, len(content)))


def flip_anywhere(content, generator):
    """One to eight bytes are others."""
    return flip(content, generator, len(content))


def flip(content, generator, size):
    content = bytearray(content)
    for place in generator.integers(size, size=generator.integers(1, 9)):
        content[place] = generator.integers(256)
    return bytes(content)


def make_absurd(content, generator):
    """One or two numbers of the header are very small or very large."""
    content = bytearray(content)
    for _ in range(generator.integers(1, 3)):
        place = 2 * int(generator.integers(2, HEADER // 2 - 4))
        value = struct.pack(generator.choice(["<I", ">I"]), generator.choice(ABSURD))
        content[place : place + 4] = value
    return bytes(content)
