"""The front end in operators that every runtime has: real matrix products in place of a complex STFT.

A DFT of n = A B points is done in two steps of A and B points (Cooley and Tukey, 1965), the first of which is a strided
convolution over the waveform itself, so frames are never copied. For a real signal, the bins k and n - k have the same
power: A/2 + 1 of the A residues are enough. The constants are small, because their products are left to the runtime,
which computes them once when it loads the graph.
"""

import math

import numpy as np
import torch
from torch import nn


def split(n_fft, hop_length):
    """(A, B) with A B = ``n_fft``, B a divisor of the hop, and A + B as small as that allows.

    Example
    -------
    >>> split(2048, 512), split(2048, 160), split(441, 221)
    ((32, 64), (64, 32), (441, 1))
    """
    common = math.gcd(n_fft, hop_length)
    second = min((b for b in range(1, common + 1) if common % b == 0), key=lambda b: (n_fft // b + b, -b))
    return n_fft // second, second


class LogMelGraph(nn.Module):
    """The log-mel spectrogram of ``mil_asc.model.features.LogMel`` for ONNX: (B, N) -> (B, F, T), float32.

    Arguments
    ---------
    front_end : LogMel
        Whose values are taken.
    """

    def __init__(self, front_end):
        super().__init__()
        n, hop = front_end.n_fft, front_end.hop_length
        self.first, self.second = split(n, hop)
        self.residues = self.first // 2 + 1
        self.pad, self.stride, self.log_floor = n // 2, hop // self.second, front_end.log_floor
        a, b, r = np.arange(self.first), np.arange(self.second), np.arange(self.residues)
        window_BA = front_end.mel.spectrogram.window.double().numpy().reshape(self.first, self.second).T
        self._constant("window", window_BA[:, None, None, :])  # (B, 1, 1, A)
        self._complex("inner", a[None, None, :] * r[None, :, None] / self.first)  # (1, R, A)
        self._complex("twiddle", b[:, None, None] * r[None, :, None] / n)  # (B, R, 1)
        self._complex("outer", b[:, None] * b[None, :] / self.second)  # (B, B)
        self._mel(front_end, r[None, :] + self.first * b[:, None], n)

    def _constant(self, name, values, dtype=torch.float32):
        self.register_buffer(name, torch.as_tensor(values, dtype=dtype), persistent=False)

    def _complex(self, name, turns):
        """cos and -sin of angles in turns, computed in double precision."""
        angle = 2 * np.pi * (turns % 1.0)
        self._constant(f"{name}_cos", np.cos(angle))
        self._constant(f"{name}_sin", -np.sin(angle))

    def _mel(self, front_end, bin_BR, n):
        """Edges of the mel filters, and the frequency of every bin, as torchaudio computes them in float32."""
        rate, bins = front_end.sample_rate, n // 2 + 1
        frequencies = torch.linspace(0, rate // 2, bins)
        top = 2595.0 * math.log10(1.0 + (rate / 2 if front_end.mel.f_max is None else front_end.mel.f_max) / 700.0)
        mels = torch.linspace(0.0, top, front_end.n_mels + 2)
        edges = 700.0 * (10.0 ** (mels / 2595.0) - 1.0)
        place = np.minimum(bin_BR % n, n - bin_BR % n)  # bins k and n - k have the same power
        _, once = np.unique(place.reshape(-1), return_index=True)
        used = np.zeros(place.size)
        used[once] = 1.0
        self._constant("edges", edges)
        self._constant("frequency", frequencies[torch.as_tensor(place.reshape(-1))])
        self._constant("used", used)

    def filters(self):
        """(F, B R) mel filters over the bins in the order in which the transform gives them."""
        slope = self.edges[:, None] - self.frequency[None, :]
        width = self.edges[1:] - self.edges[:-1]
        down, up = -slope[:-2] / width[:-1, None], slope[2:] / width[1:, None]
        return torch.minimum(down, up).clamp(min=0.0) * self.used

    def kernels(self):
        """(B 2 R, 1, A) window, inner transform and twiddle of each phase of the waveform: cosines, then sines."""
        cos = self.twiddle_cos * self.inner_cos - self.twiddle_sin * self.inner_sin
        sin = self.twiddle_cos * self.inner_sin + self.twiddle_sin * self.inner_cos
        both_B2RA = torch.stack([cos, sin], dim=1) * self.window
        return both_B2RA.reshape(-1, 1, self.first)

    def mixing(self):
        """(2 B, 2 B, 1, 1) outer transform of real and imaginary parts."""
        real = torch.stack([self.outer_cos, -self.outer_sin], dim=2).reshape(self.second, -1)
        imaginary = torch.stack([self.outer_sin, self.outer_cos], dim=2).reshape(self.second, -1)
        return torch.cat([real, imaginary])[:, :, None, None]

    def forward(self, wav_BN):
        """(B, N) waveforms -> (B, F, T) natural log of mel power, at least the log of the floor."""
        padded_B1N = nn.functional.pad(wav_BN.unsqueeze(1), (self.pad, self.pad), "reflect")
        rows = (wav_BN.shape[1] + 2 * self.pad) // self.second
        phases_BPR = padded_B1N[:, 0, : rows * self.second].reshape(-1, rows, self.second).transpose(1, 2)
        inner_BKT = nn.functional.conv1d(phases_BPR, self.kernels(), stride=self.stride, groups=self.second)
        frames = inner_BKT.shape[2]
        inner_BKRT = inner_BKT.reshape(-1, 2 * self.second, self.residues, frames)
        outer_BKRT = nn.functional.conv2d(inner_BKRT, self.mixing())
        power_BKRT = outer_BKRT[:, : self.second].square() + outer_BKRT[:, self.second :].square()
        power_BKT = power_BKRT.reshape(-1, self.second * self.residues, frames)
        return torch.matmul(self.filters(), power_BKT).clamp(min=self.log_floor).log()
