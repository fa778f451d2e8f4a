"""Front ends: waveform in, log-mel spectrogram out (paper, section 4.2), or the waveform itself."""

import torch

from mil_asc.checks import check_count, check_number
from mil_asc.model.input_channels import Deltas, Durations, SpectrogramAlone
from mil_asc.runtime.compat import torchaudio


class LogMel(torch.nn.Module):
    """Natural-log mel power spectrogram, always computed in float32.

    HTK mel scale, periodic Hann window, centred frames with reflected edges, power spectrum:
    ``log(max(mel power, log_floor))``. The features of a clip do not depend on the other clips of the batch.
    ``input_channels`` makes of the normalized spectrogram, (B, 1, F, T), what the extractor takes.

    Arguments
    ---------
    sample_rate : int
        Sampling rate of the waveforms (in Hz).
    n_mels : int
        Number of mel filters F between 0 Hz and half the sampling rate.
    window_ms, hop_ms : float
        Length of the analysis window, which is also the FFT length, and the step between frames (in ms).
    log_floor : float
        Smallest power that is distinguished (> 0). 1e-10 suits quiet recordings without digital silence. Sets that
        contain exact zeros need 1e-5; otherwise the zeros form a second mode after the log.

    Example
    -------
    >>> LogMel()(torch.randn(2, 160000)).shape
    torch.Size([2, 256, 313])
    """

    output = "logmel"

    def __init__(self, sample_rate=16000, n_mels=256, window_ms=128.0, hop_ms=32.0, log_floor=1e-10):
        super().__init__()
        check_count("sample_rate", sample_rate)
        check_count("n_mels", n_mels)
        for name, value in (("window_ms", window_ms), ("hop_ms", hop_ms), ("log_floor", log_floor)):
            check_number(name, value, above=0)
        self.sample_rate = sample_rate
        self.n_mels = n_mels
        self.n_fft = round(sample_rate * window_ms / 1000)
        self.hop_length = round(sample_rate * hop_ms / 1000)
        if self.n_fft < 2 or self.hop_length < 1:
            raise ValueError(f"window_ms {window_ms} or hop_ms {hop_ms} is shorter than a sample at {sample_rate} Hz")
        self.log_floor = log_floor
        self.input_channels = SpectrogramAlone()
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

    def samples_of(self, num_frames):
        """Shortest waveform (in samples) with ``num_frames`` frames."""
        return max((num_frames - 1) * self.hop_length, self.min_samples)

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
            return self.mel.mel_scale(self._power(wav_BN.float())).clamp(min=self.log_floor).log()

    def _power(self, wav_BN):
        """Power spectrogram (B, n_fft / 2 + 1, T), as ``self.mel.spectrogram`` computes it, in a fraction of the time:
        PyTorch's magnitude of complex numbers, which torchaudio squares, is slow on CPUs."""
        spectrum = torchaudio.functional.spectrogram(
            wav_BN,
            pad=0,
            window=self.mel.spectrogram.window,
            n_fft=self.n_fft,
            hop_length=self.hop_length,
            win_length=self.n_fft,
            power=None,
            normalized=False,
        )
        return spectrum.real.square().addcmul_(spectrum.imag, spectrum.imag)


class LogMelDeltas(LogMel):
    """``LogMel`` for extractors of three channels: the log-mel, its first and its second differences along time.

    The front end itself gives the log-mel, as ``LogMel`` does. Arguments: those of ``LogMel``.

    Example
    -------
    >>> front_end = LogMelDeltas()
    >>> front_end.input_channels(front_end(torch.randn(2, 160000)).unsqueeze(1)).shape
    torch.Size([2, 3, 256, 313])
    """

    def __init__(self, sample_rate=16000, n_mels=256, window_ms=128.0, hop_ms=32.0, log_floor=1e-10):
        super().__init__(sample_rate, n_mels, window_ms, hop_ms, log_floor)
        self.input_channels = Deltas()


class LogMelDurations(LogMel):
    """``LogMel`` for extractors of three channels: the log-mel divided into long, medium and short sounds.

    The front end itself gives the log-mel, as ``LogMel`` does. Arguments: those of ``LogMel``, and

    short_median, long_median : int
        Lengths of the medians along time (in frames): odd, 255 at most (``mil_asc.model.input_channels.Durations``).
    """

    def __init__(
        self,
        sample_rate=16000,
        n_mels=256,
        window_ms=128.0,
        hop_ms=32.0,
        log_floor=1e-10,
        short_median=3,
        long_median=15,
    ):
        super().__init__(sample_rate, n_mels, window_ms, hop_ms, log_floor)
        self.input_channels = Durations(short_median, long_median)


class Waveform(torch.nn.Module):
    """Front end for extractors that take the waveform: (B, N) -> (B, 1, N); a frame is a sample.

    Arguments
    ---------
    sample_rate : int
        Sampling rate of the waveforms (in Hz).

    Example
    -------
    >>> Waveform()(torch.randn(2, 16000)).shape
    torch.Size([2, 1, 16000])
    """

    output = "waveform"
    n_mels = hop_length = n_fft = min_samples = 1

    def __init__(self, sample_rate=16000):
        super().__init__()
        check_count("sample_rate", sample_rate)
        self.sample_rate = sample_rate
        self.input_channels = SpectrogramAlone()

    def num_frames(self, num_samples):
        """Frames of a waveform of ``num_samples`` samples: the same number."""
        return num_samples

    def samples_of(self, num_frames):
        """Shortest waveform (in samples) with ``num_frames`` frames: the same number."""
        return num_frames

    def forward(self, wav_BN):
        """(B, N) waveforms -> (B, 1, N) float32."""
        return wav_BN.float().unsqueeze(1)
