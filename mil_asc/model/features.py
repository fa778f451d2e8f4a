"""Front end: waveform in, log-mel spectrogram out (paper, section 4.2)."""

import torch

from mil_asc.runtime.compat import torchaudio


class LogMel(torch.nn.Module):
    """Natural-log mel power spectrogram, always computed in float32.

    HTK mel scale, periodic Hann window, centred frames with reflected edges, power spectrum:
    ``log(max(mel power, log_floor))``. A clip's features depend on no other clip of the batch.

    Arguments
    ---------
    sample_rate : int
        Sampling rate of the waveforms (in Hz).
    n_mels : int
        Number of mel filters F between 0 Hz and half the sampling rate.
    window_ms, hop_ms : float
        Length of the analysis window, which is the FFT length too, and the step between frames (in ms).
    log_floor : float
        Smallest power that is told apart (> 0). 1e-10 suits quiet recordings without digital
        silence; sets that hold exact zeros want 1e-5, else the log makes a second mode of them.

    Example
    -------
    >>> LogMel()(torch.randn(2, 160000)).shape
    torch.Size([2, 256, 313])
    """

    def __init__(self, sample_rate=16000, n_mels=256, window_ms=128.0, hop_ms=32.0, log_floor=1e-10):
        super().__init__()
        if log_floor <= 0:
            raise ValueError(f"log_floor must be greater than 0, got {log_floor}")
        self.sample_rate = sample_rate
        self.n_mels = n_mels
        self.n_fft = round(sample_rate * window_ms / 1000)
        self.hop_length = round(sample_rate * hop_ms / 1000)
        if self.n_fft < 2 or self.hop_length < 1:
            raise ValueError(f"window_ms {window_ms} or hop_ms {hop_ms} is shorter than a sample at {sample_rate} Hz")
        self.log_floor = log_floor
        self.mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=sample_rate,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            n_mels=n_mels,
            mel_scale="htk",
            norm=None,
            power=2.0,
        )

    @property
    def min_samples(self):
        """Shortest waveform (in samples) whose edges can be reflected."""
        return self.n_fft // 2 + 1

    def num_frames(self, num_samples):
        """Frames T of a waveform of ``num_samples`` samples (int or integer tensor)."""
        return num_samples // self.hop_length + 1

    def forward(self, wav_BN):
        """Log-mel spectrogram of a batch of waveforms.

        Arguments
        ---------
        wav_BN : torch.Tensor
            (B, N) waveforms, linear amplitude; N must be at least ``min_samples``.

        Returns
        -------
        torch.Tensor
            (B, F, T) float32, natural log of power, at least ``log(log_floor)``.
        """
        with torch.autocast(wav_BN.device.type, enabled=False):
            return self.mel(wav_BN.float()).clamp(min=self.log_floor).log()
