"""Pictures as PNG data in a page, with NumPy and zlib alone."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

MAGMA = ("000004", "180f3d", "440f76", "721f81", "9e2f7f", "cd4071", "f1605d", "fd9668", "feca8d", "fcfdbf")
"""Colours at equal steps of matplotlib's colour map ``magma``."""
KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""Channels -> colour type of PNG: grey, grey and alpha, RGB, RGBA."""


def png(pixel_HWC: np.ndarray) -> bytes:
    """A PNG file of (H, W, channels) uint8 pixels, the first row on top; 1 to 4 channels, as ``KINDS`` has them."""
    height, width, channels = pixel_HWC.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # filter 0 before each row
    rows[:, 1:] = pixel_HWC.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, KINDS[channels], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def data_uri(kind: str, data: bytes) -> str:
    """``data:KIND;base64,...``, as an attribute of a page holds a file."""
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def in_colour(value: np.ndarray, colours: tuple[str, ...] = MAGMA) -> np.ndarray:
    """Values from 0 to 1 of any shape as RGB (..., 3) uint8, between colours at equal steps."""
    table = np.array([[int(colour[i : i + 2], 16) for i in (0, 2, 4)] for colour in colours], np.float64)
    place = np.linspace(0, 1, len(table))
    value = np.clip(value, 0, 1)
    return np.stack([np.interp(value, place, table[:, channel]) for channel in range(3)], -1).round().astype(np.uint8)


def brightness(logmel_FT: np.ndarray) -> np.ndarray:
    """(F, T) brightness from 0 to 1 of a log-mel spectrogram: its lowest hundredth is black, its loudest white."""
    low, high = np.percentile(logmel_FT, (1, 99.8))
    return np.clip((logmel_FT - low) / max(float(high - low), 1e-6), 0, 1)


def narrowed(value_FT: np.ndarray, most: int) -> np.ndarray:
    """At most ``most`` columns: means of as many neighbours as it takes."""
    step = -(-value_FT.shape[1] // most)
    starts = np.arange(0, value_FT.shape[1], step)
    counts = np.diff([*starts, value_FT.shape[1]])
    return np.add.reduceat(value_FT, starts, axis=1) / counts


def spectrogram_of(wav_N: np.ndarray, size: int = 1024, hop: int = 512) -> np.ndarray:
    """(F, T) natural-log power of a waveform, frames centred at multiples of ``hop``, for looking at."""
    padded_N = np.pad(wav_N.astype(np.float64), size // 2)
    frame_TN = np.lib.stride_tricks.sliding_window_view(padded_N, size)[::hop]
    return np.log(np.abs(np.fft.rfft(frame_TN * np.hanning(size), axis=1)) ** 2 + 1e-10).T
