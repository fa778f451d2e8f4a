"""``tools/gains.py``: gains and largest logits of a trained run."""

import importlib.util
import json
import shutil

import numpy as np
import pytest
import soundfile
import tiny
import torch
from dcase_files import write_dcase_folder

from mil_asc import SceneClassifier
from mil_asc.runtime.checksums import write_checksums
from mil_asc.training.entry import main

SPEC = importlib.util.spec_from_file_location("gains_tool", tiny.ROOT / "tools/gains.py")
TOOL = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(TOOL)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("gains")
    clips = [(name, label, "lisbon", place, 0) for place, (name, label) in enumerate(
        [("train", "park"), ("train", "tram"), ("evaluate", "park"), ("evaluate", "tram")]
    )]  # fmt: skip
    data = write_dcase_folder(root / "set", clips)
    assert main(tiny.tiny_run("recipes/TAU2019/hparams/fuse_gt.yaml", data, root / "run", "--number_of_epochs=1")) == 0
    return root / "run"


def test_prints_gains_and_the_largest_logit_of_a_folder(run, tmp_path, capsys):
    noise = np.random.default_rng(0).normal(size=16000)
    for name, samples in (("a.wav", 0.1 * noise), ("b.wav", 0.001 * noise), ("bad.wav", 0 * noise)):
        soundfile.write(tmp_path / name, samples, 16000)
    assert TOOL.main([str(run), "--audio", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert 0 < row["batch_norm"]["largest"] < 50
    (found,) = row["audio"].values()
    assert (found["recordings"], found["bad"], found["above_limit"]) == (2, 1, 0)
    assert 0 < found["largest_logit"] < 50
    assert TOOL.main([str(run), "--audio", str(tmp_path)]) == 0
    header, _, cells = capsys.readouterr().out.splitlines()
    assert header.startswith("| run | largest gain | layer | dead channels | smallest variance | largest logit")
    assert "(0 of 2 above 50, 1 bad files)" in cells


def test_folder_without_recordings_and_folder_without_run_are_refused_in_one_line(run, tmp_path, capsys):
    for arguments, words in [
        ([str(run), "--audio", str(tmp_path)], "no recordings"),
        ([str(tmp_path)], "nor a finished run"),
        ([str(run), "--device=foo"], "no such device is available"),
    ]:
        assert TOOL.main(arguments) == 1
        error = capsys.readouterr().err
        assert words in error and error.count("\n") == 1


def test_long_recording_is_scored_in_windows_like_explain_file(run, tmp_path):
    noise = np.random.default_rng(0).normal(size=400 * 16000)
    soundfile.write(tmp_path / "long.wav", 0.1 * noise, 16000)
    classifier = SceneClassifier.from_hparams(source=run)
    longest = []
    compute = classifier.compute
    classifier.compute = lambda wav_N: longest.append(len(wav_N)) or compute(wav_N)
    found = TOOL.logits_of(classifier, tmp_path)
    assert max(longest) < 300 * 16000 and len(longest) > 1
    strongest = max(instance.confidence for instance in classifier.explain_file(tmp_path / "long.wav").instances)
    assert found["largest_logit"] >= np.log(strongest / (1 - strongest)) - 1e-4


def test_scores_that_are_not_finite_are_named_and_above_the_limit(run, tmp_path, capsys):
    folder = shutil.copytree(run, tmp_path / "run")
    weights = torch.load(folder / "model.ckpt", weights_only=True)
    weights["detector.weight"] *= 3e38
    torch.save(weights, folder / "model.ckpt")
    write_checksums(folder / "model.sha256", ["model.yaml", "model.ckpt"])
    (tmp_path / "audio").mkdir()
    soundfile.write(tmp_path / "audio/a.wav", 0.1 * np.random.default_rng(0).normal(size=16000), 16000)
    assert TOOL.main([str(folder), "--audio", str(tmp_path / "audio")]) == 0
    assert "none (1 of 1 above 50, not finite: a.wav)" in capsys.readouterr().out
