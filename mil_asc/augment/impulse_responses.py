"""Convolution with impulse responses of recording devices, from files or from a generator of plausible ones.

The augmentation of T. Morocutti, F. Schmid, K. Koutini and G. Widmer, "Device-Robust Acoustic Scene Classification via
Impulse Response Augmentation", EUSIPCO 2023, which convolves with responses of microphones (MicIRP) with probability
0.6.
"""

from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from scipy.fft import next_fast_len
from scipy.signal import firwin2, minimum_phase
from torchaudio.functional import fftconvolve

from mil_asc.audio.decode import decode
from mil_asc.augment.piece import WaveformPiece, drawn
from mil_asc.checks import check_number
from mil_asc.corpora.folder_tree import is_audio, is_hidden
from mil_asc.errors import ArgumentError, AudioError, UserError
from mil_asc.runtime.checksums import checksum
from mil_asc.runtime.remote_files import is_url

LONGEST = 1.0
"""Longest response (in seconds), from its greatest sample; what comes later is cut off."""
LEAST_PEAK = 1e-4
"""Least peak of a file (-80 dB): what is quieter is noise or rounding, such as the mean of opposite channels."""
PLAUSIBLE, PLAUSIBLE_TAPS = 64, 512
"""Number of generated responses, and their length (in samples)."""
LOW_HZ, HIGH_HZ = (40.0, 400.0), (3000.0, 12000.0)
"""Corner frequencies of generated responses, drawn on a logarithmic scale: of small microphones and phones."""
RIPPLE_DB, RIPPLE_POINTS = 6.0, 8
"""Standard deviation of the unevenness between the corners, and how many points of it are drawn."""
ROLL_OFF_DB = 12.0
"""Fall beyond the corners (in dB per octave)."""


class DeviceResponses(WaveformPiece):
    """Clips sound as if they were recorded with another device: convolution with an impulse response drawn for each.

    Responses are scaled to unit energy and begin at their greatest sample, so that level and time stay about the same.

    Arguments
    ---------
    probability : float
        Of a convolution (0 to 1); 0: off.
    folder : str or Path
        Folder with one audio file for each response, of any sampling rate (channels are averaged); empty: generated,
        plausible ones, always the same.

    Raises
    ------
    ArgumentError
        A value is not legal, or a folder without a probability, which would have no effect.
    UserError
        From ``prepare``: the folder is missing or has no audio, or a file cannot be used.
    """

    def __init__(self, probability=0.0, folder=""):
        check_number("impulse_probability", probability, least=0)
        if probability > 1:
            raise ArgumentError(f"impulse_probability must be a number from 0 to 1, got {probability}")
        if not isinstance(folder, str | Path) or is_url(folder):
            raise ArgumentError(f"impulse_folder must be the path of a folder on this machine, got {folder!r:.80}")
        if folder and not probability:
            raise ArgumentError("impulse_folder has no effect without impulse_probability, such as 0.6")
        self.probability, self.folder = probability, folder

    @property
    def active(self):
        """Whether there is a probability."""
        return self.probability > 0

    @property
    def files_sha256(self):
        """SHA-256 over the names and contents of the folder's files, as its ``sha256sum`` says them; else empty."""
        if not self.folder:
            return ""
        lines = [f"{checksum(path)}  {path.relative_to(self.folder)}\n" for path in response_files(self.folder)]
        return sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()

    def prepare(self, network, device):
        """Read or generate the responses: (K, L), the shorter ones with zeros behind them."""
        rate = network.front_end.sample_rate
        responses = read_responses(self.folder, rate) if self.folder else plausible_responses(rate)
        longest = max(len(response) for response in responses)
        bank_KL = np.zeros((len(responses), longest), dtype=np.float32)
        for row, response in zip(bank_KL, responses):
            row[: len(response)] = response
        self.bank_KL = torch.from_numpy(bank_KL).to(device)

    def __call__(self, wav_BN, length_B):
        """Convolved waveforms, and the same lengths."""
        choice_B = torch.randint(len(self.bank_KL), (len(wav_BN),), device=wav_BN.device)
        changed_B = drawn(len(wav_BN), self.probability, wav_BN)
        if not changed_B.any():  # FFTs of no clips are refused
            return wav_BN, length_B
        convolved_BN = wav_BN.clone()
        convolved_BN[changed_B] = convolve(wav_BN[changed_B], self.bank_KL[choice_B[changed_B]])
        return convolved_BN, length_B


def convolve(wav_BN, response_BL):
    """Waveforms convolved with one response each, and cut to their length: (B, N) with (B, L) -> (B, N).

    The responses are lengthened by zeros so that the FFT has a length without large prime factors, which takes a
    fraction of the time.
    """
    samples, taps = wav_BN.shape[1], response_BL.shape[1]
    zeros = next_fast_len(samples + taps - 1, real=True) - (samples + taps - 1)
    return fftconvolve(wav_BN, torch.nn.functional.pad(response_BL, (0, zeros)))[:, :samples]


def read_responses(folder, sample_rate):
    """Responses of the audio files of a folder, in the order of their names: list of (L,) float arrays.

    Raises
    ------
    UserError
        The folder is missing or has no audio files, or a file is silent or cannot be decoded.
    """
    longest = round(LONGEST * sample_rate)
    return [normalised(_read(path, sample_rate), path, longest) for path in response_files(folder)]


def response_files(folder):
    """Paths of the audio files of a folder and of those in it that are not hidden, in the order of their names.

    Raises a ``UserError`` where there are none, or where something else has the name of an audio file.
    """
    found = (path for path in Path(folder).rglob("*") if is_audio(path.name))
    paths = sorted(path for path in found if not any(map(is_hidden, path.relative_to(folder).parts)))
    for path in paths:
        if not path.is_file():
            raise UserError(f"augment: impulse_folder: {path} is no file that can be read")
    if not paths:
        raise UserError(f"augment: impulse_folder {folder}: no such folder, or no audio file in it")
    return paths


def normalised(response_L, name, longest):
    """A response that begins at its greatest sample, of at most ``longest`` samples and unit energy."""
    peak = np.abs(response_L).max(initial=0)
    if not np.isfinite(response_L).all() or peak < LEAST_PEAK:
        raise UserError(
            f"augment: {name}: an impulse response must have finite samples, the greatest at least {LEAST_PEAK:g} "
            f"(the mean of its channels), got {peak:.2g}"
        )
    begin = np.abs(response_L).argmax()
    response_L = response_L[begin : begin + longest]
    return response_L / np.sqrt(np.square(response_L, dtype=np.float64).sum())


def plausible_responses(sample_rate, count=PLAUSIBLE, seed=0):
    """Responses of devices that might exist: band limits of small microphones and an uneven response between them.

    Minimum-phase filters whose magnitudes fall by ``ROLL_OFF_DB`` per octave below a low and above a high corner, with
    a smooth random deviation of ``RIPPLE_DB``. They are made up, and no measurement of real devices.

    Arguments
    ---------
    sample_rate : int
        In Hz.
    count : int
        How many.
    seed : int
        Of their generator; nothing else changes them.

    Returns
    -------
    list of numpy.ndarray
        (512,) float arrays of unit energy.
    """
    random = np.random.Generator(np.random.PCG64(seed))
    return [_plausible(random, sample_rate) for _ in range(count)]


def _plausible(random, sample_rate):
    hertz_K = np.linspace(0, sample_rate / 2, PLAUSIBLE_TAPS + 1)
    octave_K = np.log2(np.maximum(hertz_K, 1.0))
    low, high = (2 ** random.uniform(*np.log2(corners)) for corners in (LOW_HZ, HIGH_HZ))
    fall_K = np.maximum(np.log2(low) - octave_K, 0) + np.maximum(octave_K - np.log2(high), 0)
    points = np.linspace(np.log2(LOW_HZ[0]), octave_K[-1], RIPPLE_POINTS)
    ripple_K = np.interp(octave_K, points, random.normal(scale=RIPPLE_DB, size=RIPPLE_POINTS))
    decibels_K = np.maximum(ripple_K - ROLL_OFF_DB * fall_K, -80.0)
    # homomorphic minimum phase takes the square root of the magnitude that it is given
    linear_phase = firwin2(2 * PLAUSIBLE_TAPS - 1, hertz_K, 10 ** (2 * decibels_K / 20), fs=sample_rate)
    response_L = minimum_phase(linear_phase, method="homomorphic")
    return response_L / np.sqrt(np.square(response_L).sum())


def _read(path, sample_rate):
    try:
        return decode(path, sample_rate)
    except AudioError as error:
        raise UserError(f"augment: {error}") from error
