"""Two ranks take the steps that one process takes, with every piece of a training."""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from test_brain import brain_for, dataset
from two_ranks import run_on_ranks

from mil_asc.augment.augmentation import Augmentation
from mil_asc.augment.mixup import Mixup
from mil_asc.augment.waveform_pieces import RandomGain
from mil_asc.errors import UserError
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.training.brain import MILBrain
from mil_asc.training.checkpoints import AtomicCheckpointer
from mil_asc.training.distillation import Distillation
from mil_asc.training.ranks import Ranks
from mil_asc.training.run_state import RunState

EPOCHS = 3
LENGTHS = (16000, 12000)
pytestmark = pytest.mark.slow


class Watched(MILBrain):
    """Keeps the number of clips and the loss of every step of all ranks; computes in the model's precision."""

    def compute_forward(self, batch, stage):
        dtype = next(self.modules.model.parameters()).dtype
        return self.modules.model(batch.waveforms().to(dtype), batch.length_B)

    def fit_batch(self, batch):
        before = {"clips": 0, "loss": 0.0, **self.state.sums}
        loss = super().fit_batch(batch)
        clips = self.state.sums["clips"] - before["clips"]
        self.steps = [*getattr(self, "steps", []), (clips, (self.state.sums["loss"] - before["loss"]) / clips)]
        return loss


def model_of(channels, seed=0):
    torch.manual_seed(seed)
    blocks = {"num_blocks": 1} if len(channels) == 2 else {}
    return MILClassifier(LogMel(n_mels=32), FUSE(channels=channels, **blocks), Head(num_classes=4, instance_dim=12))


SHALLOW, DEEP = (6, 8), (4, 6, 8, 10)
CASES = {
    "float32": {"clips": 32, "channels": SHALLOW, "double": False},
    "even": {"clips": 32},
    "uneven": {"clips": 21},
    "a rank without clips": {"clips": 17},
    "accumulation": {"clips": 37, "run_opts": {"grad_accumulation_factor": 2}},
    "clipping": {"clips": 32, "run_opts": {"max_grad_norm": 0.1}},
    "no precise batch norm": {"clips": 32, "precise_bn_clips": 0},
    "uneven precise batch norm": {"clips": 33, "precise_bn_clips": 17},
    "average of weights": {"clips": 32, "augmentation": Augmentation(ema_decay=0.9)},
    "pruning": {"clips": 32, "nonzero_parameters": 1450, "prune_epochs": 2},
    "distillation": {"clips": 21, "teacher": True},
    "frozen extractor": {"clips": 32, "frozen": True},
    "per rank": {"clips": 40, "batch_size_of": "rank"},
    "augmentation": {"clips": 21, "augmentation": Augmentation([RandomGain(6.0)], Mixup(0.3))},
}
"""What is trained; the last case draws other numbers on every rank."""


def trained(ranks, folder, case):
    """What a small run of a case gives: ``steps``, ``scores``, ``weights``, ``history``."""
    case = {"channels": DEEP, "double": True, "run_opts": {}, "teacher": False, "frozen": False, **CASES[case]}
    model = model_of(case["channels"])
    teacher = model_of(case["channels"], seed=1).eval()
    if case["frozen"]:
        model.freeze_extractor()
    if case["double"]:  # behind many batch norms, the last bits of float32 would decide
        model, teacher = model.double(), teacher.double()
    hparams = vars(brain_for(copy.deepcopy(model), epochs=EPOCHS, batch_size=16).hparams)
    if case.get("batch_size_of") == "rank" and not ranks.several:
        hparams["batch_size"] = 32  # what two ranks of 16 take
    keys = ("precise_bn_clips", "augmentation", "nonzero_parameters", "prune_epochs", "batch_size_of")
    hparams |= {"ranks": ranks, "state": RunState(ranks), "evaluate_every": 2} | {
        key: case[key] for key in keys if key in case
    }
    if case["teacher"]:
        source = SimpleNamespace(network=_InDouble(teacher), weights_sha256="0")
        hparams["distillation"] = Distillation({"teacher": source}, model)
    brain = Watched(
        modules={"model": model},
        opt_class=lambda parameters: torch.optim.SGD(parameters, lr=0.05, momentum=0.9),
        hparams=hparams,
        run_opts={"device": "cpu", "noprogressbar": True, "max_grad_norm": -1.0, **case["run_opts"]},
        checkpointer=AtomicCheckpointer(folder, ranks=ranks),
    )
    brain.checkpointer.add_recoverable("model", model)
    brain.checkpointer.add_recoverable("state", brain.state)
    if brain.average is not None:
        brain.checkpointer.add_recoverable("average", brain.average)
    brain.state.separate_generators(1)
    brain.fit(EpochCounter(EPOCHS), dataset(case["clips"], lengths=LENGTHS), dataset(9, lengths=LENGTHS))
    clips, predictions = brain.evaluate_clips(dataset(37, lengths=LENGTHS))
    return {
        "steps": brain.steps,
        "paths": [clip.path for clip in clips],
        "scores": predictions.bag_logits_BC,
        "weights": {name: value.clone() for name, value in model.state_dict().items()},
        "history": brain.state.history,
        "random": torch.get_rng_state(),
    }


class _InDouble(torch.nn.Module):
    """A teacher that computes in float64."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, wav_BN, length_B):
        return self.network(wav_BN.double(), length_B)


def all_cases(ranks, folder):
    """Results of all cases."""
    return {case: trained(ranks, folder / str(number), case) for number, case in enumerate(CASES)}


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return all_cases(Ranks(), tmp_path_factory.mktemp("one"))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    return run_on_ranks(all_cases, tmp_path_factory.mktemp("two"))


def losses(result):
    return [loss for _, loss in result["steps"]]


@pytest.mark.parametrize("case", [case for case in CASES if case != "augmentation"])
def test_two_ranks_equal_one_process(one, two, case):
    """Loss of every step, metrics of every epoch, and the scores of the last evaluation.

    In float32 the first steps agree within 1e-5; rounding, which training amplifies, has reached 2.5e-5 after them.
    """
    later = 1e-4 if case == "float32" else 1e-5
    expected, found = one[case], two[0][case]
    assert [clips for clips, _ in found["steps"]] == [clips for clips, _ in expected["steps"]]
    np.testing.assert_allclose(losses(found)[:3], losses(expected)[:3], rtol=0, atol=1e-5)
    np.testing.assert_allclose(losses(found), losses(expected), rtol=0, atol=later)
    for then, now in zip(expected["history"], found["history"], strict=True):
        assert now["train"] == pytest.approx(then["train"], abs=later)
        assert now.get("monitor") == pytest.approx(then["monitor"], abs=10 * later) if "monitor" in then else True
    assert found["paths"] == expected["paths"]
    np.testing.assert_allclose(found["scores"], expected["scores"], rtol=0, atol=1e-2 if case == "float32" else 1e-6)


@pytest.mark.parametrize("case", CASES)
def test_weights_and_results_are_the_same_on_all_ranks(two, case):
    first, second = two[0][case], two[1][case]
    assert all(torch.equal(value, second["weights"][name]) for name, value in first["weights"].items())
    assert first["steps"] == second["steps"]
    assert np.array_equal(first["scores"], second["scores"])


def test_random_numbers_differ_between_ranks(two):
    assert not torch.equal(two[0]["augmentation"]["random"], two[1]["augmentation"]["random"])


def test_cases_are_not_trivial(one):
    """Otherwise equality would say little."""
    assert [clips for clips, _ in one["a rank without clips"]["steps"]] == [16, 1] * EPOCHS
    assert [clips for clips, _ in one["per rank"]["steps"]] == [32, 8] * EPOCHS
    weights = one["pruning"]["weights"]
    assert sum(int((value == 0).sum()) for name, value in weights.items() if name.endswith("weight")) > 20
    assert losses(one["clipping"])[1:] != losses(one["even"])[1:]
    assert not np.allclose(one["average of weights"]["scores"], one["even"]["scores"], atol=1e-3)
    assert losses(one["distillation"]) != losses(one["uneven"])


def not_finite(ranks, folder):
    """The error of a loss that is not finite, of one clip."""
    brain = brain_for(model_of(SHALLOW), epochs=1, batch_size=16)
    brain = MILBrain(
        modules={"model": brain.modules.model},
        opt_class=brain.opt_class,
        hparams=vars(brain.hparams) | {"ranks": ranks, "state": RunState(ranks)},
        run_opts={"device": "cpu", "noprogressbar": True},
    )
    with pytest.raises(UserError) as error:
        brain.fit(EpochCounter(1), dataset(16, lengths=LENGTHS, poison=3))
    return str(error.value)


def test_loss_that_is_not_finite_names_all_clips_of_the_batch_on_every_rank(tmp_path):
    first, second = run_on_ranks(not_finite, tmp_path)
    assert first == second
    assert all(f"audio/{i}.wav" in first for i in range(16)) and "batch 1 of the epoch is not finite" in first
