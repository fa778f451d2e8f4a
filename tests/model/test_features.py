import librosa
import numpy as np
import pytest
import torch
import torchaudio

from mil_asc.model.features import LogMel


@pytest.fixture(scope="module")
def wav_BN():
    torch.manual_seed(0)
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(48000) / 16000)
    return torch.stack([0.1 * tone + 0.01 * torch.randn(48000), 0.003 * torch.randn(48000)])


def test_ten_seconds_give_313_frames():
    assert LogMel()(torch.randn(1, 160000)).shape == (1, 256, 313)
    assert LogMel().num_frames(160000) == 313


def test_log_mel_agrees_with_torchaudio(wav_BN):
    spectrogram = torchaudio.transforms.Spectrogram(n_fft=2048, hop_length=512, power=2.0)(wav_BN)
    filters = torchaudio.functional.melscale_fbanks(1025, 0.0, 8000.0, 256, 16000, norm=None, mel_scale="htk")
    expected = torch.log((spectrogram.transpose(1, 2) @ filters).transpose(1, 2).clamp(min=1e-10))
    torch.testing.assert_close(LogMel()(wav_BN), expected)


@pytest.mark.parametrize("n_mels, hop_ms", [(256, 32.0), (128, 64.0), (40, 32.0)])
def test_log_mel_agrees_with_librosa(wav_BN, n_mels, hop_ms):
    found = LogMel(n_mels=n_mels, hop_ms=hop_ms)(wav_BN)
    for b, wav in enumerate(wav_BN.numpy()):
        power = librosa.feature.melspectrogram(
            y=wav, sr=16000, n_fft=2048, hop_length=round(16 * hop_ms), n_mels=n_mels, htk=True, norm=None,
            power=2.0, center=True, pad_mode="reflect", fmin=0, fmax=8000,
        )  # fmt: skip
        np.testing.assert_allclose(found[b], np.log(np.maximum(power, 1e-10)), atol=5e-3)


def test_no_mel_filter_is_empty():
    assert (LogMel().mel.mel_scale.fb.sum(0) > 0).all()


def test_silence_gives_the_floor():
    logmel = LogMel(log_floor=1e-5)(torch.zeros(1, 16000))
    assert torch.all(logmel == torch.log(torch.tensor(1e-5)))


def test_features_do_not_depend_on_other_clips_of_the_batch(wav_BN):
    torch.testing.assert_close(LogMel()(wav_BN)[1:], LogMel()(wav_BN[1:]))


def test_float32_even_under_autocast(wav_BN):
    with torch.autocast("cpu", torch.bfloat16):
        found = LogMel()(wav_BN.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, LogMel()(wav_BN.bfloat16().float()))


def test_doubling_the_amplitude_adds_log_4(wav_BN):
    torch.testing.assert_close(LogMel()(2 * wav_BN), LogMel()(wav_BN) + np.log(4), atol=1e-4, rtol=0)


def test_floor_must_be_positive():
    with pytest.raises(ValueError, match="log_floor must be a number above 0"):
        LogMel(log_floor=0)
