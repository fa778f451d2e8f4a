"""Impulse responses: convolution against NumPy, levels, files, and what is refused."""

import os
import subprocess

import numpy as np
import pytest
import soundfile
import torch

from mil_asc.augment.impulse_responses import (
    DeviceResponses,
    convolve,
    plausible_responses,
    read_responses,
    response_files,
)
from mil_asc.errors import ArgumentError, UserError


def test_clips_are_convolved_with_a_response_or_left_alone(small_model, device):
    piece = DeviceResponses(probability=0.5)
    piece.prepare(small_model, device)
    torch.manual_seed(0)
    wav_BN = torch.randn(40, 2000, device=device)
    heard_BN, _ = piece(wav_BN, torch.full((40,), 2000, device=device))
    bank_KL, unchanged = piece.bank_KL.double().cpu().numpy(), 0
    for wav_N, heard_N in zip(wav_BN.double().cpu().numpy(), heard_BN.double().cpu().numpy()):
        if np.array_equal(wav_N, heard_N):
            unchanged += 1
            continue
        errors = [np.abs(np.convolve(wav_N, response_L)[:2000] - heard_N).max() for response_L in bank_KL]
        assert min(errors) < 1e-4
    assert 8 <= unchanged <= 32


@pytest.mark.parametrize("samples", [1, 300, 2003])  # shorter than a response, and of a prime length
def test_convolution_is_numpy_s_at_every_length(device, samples):
    wav_BN, response_BL = torch.randn(3, samples, device=device), torch.randn(3, 512, device=device)
    found_BN = convolve(wav_BN, response_BL).double().cpu().numpy()
    for wav_N, response_L, found_N in zip(wav_BN.cpu().numpy(), response_BL.cpu().numpy(), found_BN):
        assert np.abs(np.convolve(wav_N, response_L)[:samples] - found_N).max() < 1e-3


def test_a_batch_of_which_no_clip_is_drawn_stays(small_model, device):
    piece = DeviceResponses(probability=1e-9)
    piece.prepare(small_model, device)
    wav_BN = torch.randn(4, 2000, device=device)
    assert torch.equal(piece(wav_BN, torch.full((4,), 2000, device=device))[0], wav_BN)


def test_generated_responses_keep_the_level_of_white_noise_and_differ():
    responses = plausible_responses(16000)
    assert len(responses) == 64
    assert np.allclose([np.square(response).sum() for response in responses], 1.0)
    spectra = np.stack([20 * np.log10(np.abs(np.fft.rfft(response, 1024)) + 1e-9) for response in responses])
    assert spectra[:, 16:400].std(0).mean() > 2.0  # dB, from 250 Hz to 6.25 kHz
    assert np.array_equal(responses[5], plausible_responses(16000)[5])


def test_generated_responses_have_minimum_phase():
    for response in plausible_responses(16000)[:8]:
        assert np.abs(response).argmax() < 8  # samples: the energy is at the beginning


def test_responses_of_files_begin_at_their_greatest_sample(tmp_path):
    response = np.zeros(400)
    response[100], response[101] = 0.8, -0.6
    soundfile.write(tmp_path / "a.wav", response, 16000, subtype="FLOAT")
    soundfile.write(tmp_path / "b.wav", response, 32000, subtype="FLOAT")
    (tmp_path / "notes.txt").write_text("not a sound")
    first, second = read_responses(tmp_path, 16000)
    assert np.allclose(first[:2], [0.8, -0.6], atol=1e-6) and np.allclose(first[2:], 0)
    assert np.square(second).sum() == pytest.approx(1.0) and np.abs(second).argmax() == 0


def test_a_folder_without_responses_is_refused(tmp_path):
    with pytest.raises(UserError, match="impulse_folder .*no such folder, or no audio file in it"):
        read_responses(tmp_path / "missing", 16000)
    soundfile.write(tmp_path / "silent.wav", np.zeros(100), 16000)
    with pytest.raises(UserError, match="silent.wav"):
        read_responses(tmp_path, 16000)


@pytest.mark.parametrize("before", [1e-5, 0.0])  # noise before the peak, as after a sweep, or digital silence
def test_a_peak_after_more_than_a_second_is_found(tmp_path, before):
    response = np.random.default_rng(0).normal(scale=before, size=40000) if before else np.zeros(40000)
    response[24000:24002] = 0.8, -0.6
    soundfile.write(tmp_path / "a.wav", response, 16000, subtype="FLOAT")
    (found,) = read_responses(tmp_path, 16000)
    assert np.allclose(found[:2], [0.8, -0.6], atol=1e-3) and len(found) == 16000


def test_channels_that_cancel_out_are_refused(tmp_path):
    response = np.random.default_rng(0).normal(scale=0.1, size=400)
    soundfile.write(tmp_path / "a.wav", np.stack([response, -1.00001 * response], 1), 16000, subtype="FLOAT")
    with pytest.raises(UserError, match="a.wav: an impulse response must have finite samples"):
        read_responses(tmp_path, 16000)


def test_hidden_folders_are_left_out_and_what_is_no_file_is_refused(tmp_path):
    for folder in (".hidden", "phones"):
        (tmp_path / folder).mkdir()
        soundfile.write(tmp_path / folder / "a.wav", np.full(10, 0.5), 16000)
    assert [path.parent.name for path in response_files(tmp_path)] == ["phones"]
    (tmp_path / "b.wav").mkdir()
    with pytest.raises(UserError, match="impulse_folder: .*b.wav is no file"):
        response_files(tmp_path)


@pytest.mark.parametrize(
    ("probability", "folder", "words"),
    [
        (1.2, "", "impulse_probability must be a number from 0 to 1"),
        (0.5, 5, "impulse_folder must be the path of a folder on this machine, got 5"),
        (0.5, "s3://bucket/a", "impulse_folder must be the path of a folder on this machine"),
        (0.0, "phones", "impulse_folder has no effect without impulse_probability"),
    ],
)
def test_values_that_are_not_legal_are_refused(probability, folder, words):
    with pytest.raises(ArgumentError, match=words):
        DeviceResponses(probability, folder)


def test_checksum_of_a_folder_is_that_of_sha256sum(tmp_path):
    assert DeviceResponses(0.5).files_sha256 == DeviceResponses().files_sha256 == ""
    (tmp_path / "phones").mkdir()
    for name, sample in (("b.wav", 0.5), ("phones/a.wav", 0.25)):
        soundfile.write(tmp_path / name, np.full(10, sample), 16000)
    found = DeviceResponses(0.5, str(tmp_path)).files_sha256
    command = "sha256sum b.wav phones/a.wav | sha256sum"
    said = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert said.split()[0] == found
    os.rename(tmp_path / "b.wav", os.fsencode(tmp_path) + b"/caf\xe9.wav")  # a name that is not UTF-8
    assert DeviceResponses(0.5, str(tmp_path)).files_sha256 != found
