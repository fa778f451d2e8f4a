"""Augmentation within a run: every block trains, a killed run resumes exactly, evaluation sees clips as they are."""

import signal
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tiny
import torch
from killed_run import KILLED_RUN

from mil_asc.augment.augmentation import Augmentation
from mil_asc.augment.impulse_responses import DeviceResponses
from mil_asc.augment.mixup import Mixup
from mil_asc.augment.spectrogram_pieces import FreqMixStyle, SpecAugment
from mil_asc.augment.waveform_pieces import RandomGain, TimeRoll
from mil_asc.errors import UserError
from mil_asc.model.features import Waveform
from mil_asc.results.run import Run
from mil_asc.store.batches import ClipBatch
from mil_asc.training.blocks import legal_names
from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
BLOCKS = legal_names(tiny.ROOT / "hparams/augment")
EVERYTHING = (
    *("--crop_seconds=0.9", "--roll_share=0.5", "--gain_db=6", "--impulse_probability=0.6", "--mixup_alpha=0.3"),
    *("--masks=1", "--mixstyle_probability=0.4", "--time_stretch=0.2", "--frequency_stretch=0.1", "--ema_decay=0.9"),
)


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


def differs(first, second):
    return any(not torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A data folder, and the weights of a run on it without augmentation."""
    from dcase_files import write_dcase_folder

    classes = ["airport", "park", "tram"]
    clips = [("train", classes[i % 3], "lisbon", 10 + i, 0) for i in range(8)]
    clips += [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(3)]
    data = write_dcase_folder(tmp_path_factory.mktemp("data") / "set", clips, seconds=1.0)
    folder = tmp_path_factory.mktemp("plain") / "run"
    assert main(tiny.tiny_run(YAML, data, folder, "--number_of_epochs=2")) == 0
    return data, weights(folder)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_trains_and_changes_the_result(plain, tmp_path, block):
    data, before = plain
    folder, more = tmp_path / "run", ["--crop_seconds=0.9"] if block in ("random_crop", "all") else []
    assert main(tiny.tiny_run(YAML, data, folder, "--number_of_epochs=2", f"--augment={block}", *more)) == 0
    assert differs(before, weights(folder)) == (block != "none")
    assert Run(folder).setting("experiment") == ("fuse_pnl" if block == "none" else f"fuse_pnl-{block}")


@pytest.mark.slow
@pytest.mark.parametrize("last_step, more", [(2, []), (3, ["--ckpt_interval_steps=1"])], ids=["epoch end", "mid epoch"])
def test_a_killed_run_with_every_piece_resumes_exactly(plain, tmp_path, last_step, more):
    epochs = "--number_of_epochs=3"
    whole, folder = tmp_path / "whole", tmp_path / "run"
    assert main(tiny.tiny_run(YAML, plain[0], whole, epochs, *EVERYTHING)) == 0
    arguments = tiny.tiny_run(YAML, plain[0], folder, epochs, *EVERYTHING, *more)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_RUN, str(last_step), *arguments], capture_output=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL and not (folder / "model.ckpt").exists()
    assert main(arguments) == 0
    assert not differs(weights(whole), weights(folder))


def test_a_run_goes_on_with_the_same_impulse_responses_alone(plain, tmp_path, capsys):
    responses, folder = tmp_path / "responses", tmp_path / "run"
    responses.mkdir()
    soundfile.write(responses / "phone.wav", np.eye(1, 100)[0], 16000)
    wanted = ["--impulse_probability=0.5", f"--impulse_folder={responses}"]
    arguments = tiny.tiny_run(YAML, plain[0], folder, "--number_of_epochs=3", *wanted)
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, "2", *arguments], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    kept = (responses / "phone.wav").read_bytes()
    soundfile.write(responses / "phone.wav", np.full(100, 0.5), 16000)
    assert main(arguments) == 1
    assert f"{folder} contains a run with other settings (SHA-256 of the files in augment" in capsys.readouterr().err
    (responses / "phone.wav").write_bytes(kept)
    assert main(arguments) == 0
    found = Run(folder).provenance["augmentation_files_sha256"]
    assert found == DeviceResponses(1.0, str(responses)).files_sha256


def test_evaluation_sees_clips_as_they_are(small_model, device):
    network = small_model.to(device).eval()
    augmentation = Augmentation([RandomGain(20.0)], Mixup(0.3), [FreqMixStyle(1.0), SpecAugment(2)])
    wav_BN = torch.randn(4, 32000, device=device)
    before = network(wav_BN).logits_BIC
    with augmentation.on_spectrograms(network):
        assert not torch.allclose(network(wav_BN).logits_BIC, before)
    assert torch.equal(network(wav_BN).logits_BIC, before)


def test_pieces_work_in_their_order_and_inactive_ones_are_left_out(device):
    augmentation = Augmentation([TimeRoll(0.0), RandomGain(6.0)], Mixup(0.0), [SpecAugment(0), FreqMixStyle(0.4)])
    assert augmentation.active == ["RandomGain", "FreqMixStyle"]
    batch = ClipBatch(
        torch.full((3, 50), 100, dtype=torch.int16),
        torch.full((3,), 1e-3),
        torch.full((3,), 50),
        torch.arange(3),
        torch.arange(3),
    ).to(device)
    made = augmentation(batch)
    assert made.partner_B is None and made.waveforms().std(1).max() == 0
    assert len(made.waveforms()[:, 0].unique()) == 3


def test_a_spectrogram_piece_needs_a_spectrogram():
    class OnWaveforms(torch.nn.Module):
        front_end = Waveform()

    with pytest.raises(UserError, match="SpecAugment changes log-mel spectrograms, and this model takes the waveform"):
        Augmentation(spectrogram=[SpecAugment(1)]).prepare(OnWaveforms(), torch.device("cpu"))
