"""Distillation: the divergences by other formulas, and runs that learn from runs."""

import json
import shutil
import signal
import subprocess
import sys

import pytest
import tiny
import torch
from killed_run import KILLED_RUN
from torch.distributions import Bernoulli, Categorical, kl_divergence

from mil_asc.packaging.pack import pack_run
from mil_asc.packaging.source_model import load_source
from mil_asc.results.ensemble import average_runs
from mil_asc.results.ensemble_report import write_ensemble
from mil_asc.training.distillation import Distillation, sigmoid_divergence, softmax_divergence
from mil_asc.training.entry import main

YAML = "recipes/TAU2019/hparams/fuse_pnl.yaml"
EPOCHS = "--number_of_epochs=3"


def weights(folder):
    return torch.load(folder / "model.ckpt", weights_only=True)


def differs(first, second):
    return any(not torch.equal(first[name], second[name]) for name in first)


def test_sigmoid_divergence_is_that_of_bernoulli_distributions():
    torch.manual_seed(0)
    own, one, other = torch.randn(3, 5, 4, dtype=torch.float64)
    target = ((one / 3).sigmoid() + (other / 3).sigmoid()) / 2
    confidence = (one.sigmoid() + other.sigmoid()) / 2
    each = kl_divergence(Bernoulli(probs=target), Bernoulli(logits=own / 3))
    expected = 9 * ((3 * confidence + 1 - confidence) * each).mean(-1)
    assert torch.allclose(sigmoid_divergence(own, [one, other], 3.0), expected)


def test_softmax_divergence_is_that_of_categorical_distributions():
    torch.manual_seed(0)
    own, one, other = torch.randn(3, 5, 4, dtype=torch.float64)
    soft = [(z.sigmoid() ** 0.5) / (z.sigmoid() ** 0.5).sum(-1, keepdim=True) for z in (own, one, other)]
    expected = 4 * kl_divergence(Categorical((soft[1] + soft[2]) / 2), Categorical(soft[0]))
    assert torch.allclose(softmax_divergence(own, [one, other], 2.0), expected)


@pytest.mark.parametrize("divergence", [sigmoid_divergence, softmax_divergence])
def test_divergence_is_least_at_the_teacher(divergence):
    torch.manual_seed(0)
    teacher = 3 * torch.randn(6, 4)
    student = torch.zeros(6, 4, requires_grad=True)
    optimizer = torch.optim.LBFGS([student], max_iter=200, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = divergence(student, [teacher], 2.0).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    assert divergence(student, [teacher], 2.0).max() < 1e-3
    assert torch.equal(student.argmax(1), teacher.argmax(1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from dcase_files import write_dcase_folder

    classes = ["airport", "park", "tram"]
    clips = [("train", classes[i % 3], "lisbon", 10 + i, 0) for i in range(8)]
    clips += [("evaluate", classes[i % 3], "prague", 50 + i, 0) for i in range(3)]
    return write_dcase_folder(tmp_path_factory.mktemp("data") / "set", clips, seconds=1.0)


@pytest.fixture(scope="module")
def teachers(data, tmp_path_factory):
    """Two finished runs of other seeds."""
    folders = [tmp_path_factory.mktemp("teachers") / f"seed-{seed}" for seed in (5, 6)]
    for folder in folders:
        assert main(tiny.tiny_run(YAML, data, folder, EPOCHS, f"--seed={folder.name[-1]}")) == 0
    return folders


def student(data, folder, *more):
    return tiny.tiny_run(YAML, data, folder, EPOCHS, *more)


def test_a_student_learns_from_an_ensemble(data, teachers, tmp_path):
    assert main(student(data, tmp_path / "alone")) == 0
    named = f"--teachers=[{teachers[0]}, {teachers[1]}]"
    results = {}
    for level in ("bag", "instances", "both"):
        assert main(student(data, tmp_path / level, named, f"--teacher_level={level}", "--mixup_alpha=0.3")) == 0
        results[level] = weights(tmp_path / level)
        assert differs(results[level], weights(tmp_path / "alone"))
    assert differs(results["bag"], results["instances"]) and differs(results["bag"], results["both"])
    report = json.loads((tmp_path / "both/report.json").read_text())
    found = report["run"]["distillation"]
    assert [len(one["weights_sha256"]) for one in found["teachers"]] == [64, 64]
    assert (found["levels"], found["temperature"], found["label_weight"]) == (["bag", "instances"], 2.0, 0.02)
    train = report["history"][-1]["train"]
    labels = train["bag"] + train["instance"]
    assert train["loss"] == pytest.approx(0.02 * labels + 0.98 * train["teachers"], rel=1e-4)


def test_the_report_of_an_ensemble_stands_for_its_runs(data, teachers, tmp_path, capsys):
    own = [shutil.copytree(folder, tmp_path / folder.name) for folder in teachers]
    write_ensemble(tmp_path / "ensemble", average_runs(own))
    assert main(student(data, tmp_path / "one", f"--teachers={tmp_path}/ensemble")) == 0
    assert main(student(data, tmp_path / "other", f"--teachers=[{own[0]}, {own[1]}]")) == 0
    assert not differs(weights(tmp_path / "one"), weights(tmp_path / "other"))
    found = json.loads((tmp_path / "one/report.json").read_text())["run"]["distillation"]["teachers"]
    assert [one["source"] for one in found] == [str(folder) for folder in own]
    shutil.rmtree(own[1])
    shutil.copytree(own[0], own[1])
    assert main(student(data, tmp_path / "third", f"--teachers={tmp_path}/ensemble")) == 1
    assert f"{own[1]} was trained again since" in capsys.readouterr().err
    shutil.rmtree(own[1])
    assert main(student(data, tmp_path / "third", f"--teachers={tmp_path}/ensemble")) == 1
    assert f"teacher {tmp_path}/ensemble: its run {own[1]} is not there" in capsys.readouterr().err


def test_a_model_folder_teaches_as_its_run_does(data, teachers, tmp_path):
    model = pack_run(teachers[0], tmp_path / "model", graph=None)
    assert main(student(data, tmp_path / "one", f"--teachers={model}")) == 0
    assert main(student(data, tmp_path / "other", f"--teachers={teachers[0]}")) == 0
    assert not differs(weights(tmp_path / "one"), weights(tmp_path / "other"))


def test_instances_beyond_the_end_of_a_shorter_clip_teach_nothing(teachers):
    source = load_source(teachers[0])
    network = source.network
    wav_BN, length_B = torch.randn(2, 64000), torch.tensor([64000, 20000])
    wav_BN[1, 20000:] = wav_BN[1, :20000].repeat(3)[:44000]
    torch.manual_seed(0)
    bags = network(wav_BN, length_B)
    bags = bags._replace(logits_BIC=bags.logits_BIC + torch.randn_like(bags.logits_BIC))
    terms = Distillation({"it": source}, network, ["instances"], 2.0, 0.25)(wav_BN, length_B, bags, {"loss": 3.0})
    of_teacher = source.network(wav_BN, length_B).logits_BIC
    expected = []
    for b in range(2):
        count = int(bags.mask_BI[b].sum())
        expected.append(sigmoid_divergence(bags.logits_BIC[b, :count], [of_teacher[b, :count]], 2.0).mean())
    assert count < bags.logits_BIC.shape[1]
    assert torch.allclose(terms["teachers"], torch.stack(expected).mean())
    assert torch.allclose(terms["loss"], 0.25 * 3.0 + 0.75 * terms["teachers"])


def test_teachers_of_clips_alone_go_with_every_stretch(data, teachers, tmp_path):
    """And those of instances with a stretch of the mel axis, which moves no instance."""
    named = f"--teachers={teachers[0]}"
    assert main(student(data, tmp_path / "bag", named, "--teacher_level=bag", "--time_stretch=0.2")) == 0
    assert main(student(data, tmp_path / "both", named, "--frequency_stretch=0.2")) == 0


@pytest.mark.slow
def test_a_killed_student_resumes_exactly_and_with_the_same_teachers_alone(data, teachers, tmp_path, capsys):
    own = tmp_path / "teacher"
    shutil.copytree(teachers[0], own)
    arguments = student(data, tmp_path / "run", f"--teachers={own}", "--ckpt_interval_steps=1")
    killed = subprocess.run([sys.executable, "-c", KILLED_RUN, "3", *arguments], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    shutil.rmtree(own)
    shutil.copytree(teachers[1], own)
    assert main(arguments) == 1
    assert f"teacher {own}: its weights changed since this training began" in capsys.readouterr().err
    write_ensemble(tmp_path / "ensemble", average_runs(teachers))
    shutil.rmtree(own)
    shutil.copytree(tmp_path / "ensemble", own)  # the report of an ensemble in the place of the run
    assert main(arguments) == 1
    assert "training.teachers: 1 when this training began, 2 now" in capsys.readouterr().err
    shutil.rmtree(own)
    shutil.copytree(teachers[0], own)
    assert main(arguments) == 0
    assert main(student(data, tmp_path / "whole", f"--teachers={own}")) == 0
    assert not differs(weights(tmp_path / "run"), weights(tmp_path / "whole"))


@pytest.mark.parametrize(
    "options, words",
    [
        (["--teachers=nosuchmodel"], "nosuchmodel"),
        (["--teachers=synthscenes-fuse-pnl", "--labels=[airport, park, tram]", "--num_classes=3"], "its classes"),
        (["--teachers=[a, a]"], "training.teachers must be different models"),
        (["--teacher_level=bag"], "training.teacher_level has no effect without teachers"),
        (["--teachers=3"], "training.teachers must be the folder or name of a model"),
        (["--teachers={run}", "--teacher_level=clip"], "training.teacher_level must be one of bag, instances, both"),
        (["--teachers={run}", "--teacher_temperature=0"], "training.teacher_temperature must be a number from 0.1"),
        (["--teachers={run}", "--teacher_temperature=101"], "training.teacher_temperature must be at most 100"),
        (["--teachers=[{run}, {run}/../seed-5]"], "have the same weights: name each model once"),
        (["--teachers={run}", "--teacher_label_weight=1"], "training.teacher_label_weight must be a number"),
        (["--teachers={run}", "--time_stretch=0.2"], "augment.pieces.time_stretch and teachers that label instances"),
        (["--teachers={run}", "--hop_ms=16"], "its instances are not at the times of this model's"),
    ],
)
def test_teachers_that_do_not_fit_are_refused(data, teachers, tmp_path, capsys, options, words):
    options = [option.replace("{run}", str(teachers[0])) for option in options]
    assert main(student(data, tmp_path / "run", *options)) == 1
    err = capsys.readouterr().err
    assert words in err and err.count("error: ") == 1
