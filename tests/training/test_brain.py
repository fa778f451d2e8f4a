"""The training loop: golden losses, averages over clips, accumulation, clipping, NaN, the learning rate."""

import math

import numpy as np
import pytest
import speechbrain as sb
import torch
from speechbrain.utils.epoch_loop import EpochCounter

from mil_asc.corpora.manifest import Clip
from mil_asc.errors import UserError
from mil_asc.mil.assigners import ground_truth_labels
from mil_asc.mil.bags import make_bags
from mil_asc.mil.losses import BagBCE, InstanceBCE, MILLoss
from mil_asc.mil.pooling.extremes import max_pooling
from mil_asc.mil.pooling.means import mean_logits
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.store.batches import ClipDataset
from mil_asc.training.brain import MILBrain
from mil_asc.training.run_state import RunState
from mil_asc.training.schedule import WarmupCosine

LABELS = ["bus", "park", "tram", "metro"]


class Waveforms:
    """A store of ``count`` clips of different lengths: noise, and a tone that depends on the class."""

    def __init__(self, count, lengths=(8000, 6000), poison=None):
        rng = np.random.default_rng(0)
        self.lengths = np.array([lengths[i % len(lengths)] for i in range(count)])
        time = np.arange(max(lengths)) / 16000
        tone = np.stack([np.sin(2 * np.pi * 400 * (1 + i % 4) * time) for i in range(count)])
        self.samples = np.round(3000 * (tone + 0.5 * rng.normal(size=tone.shape))).astype(np.int16)
        self.scales = np.full(count, 1e-4, dtype=np.float32)
        if poison is not None:
            self.scales[poison] = np.nan

    def read(self, rows):
        wav_BN = self.samples[rows][:, : self.lengths[rows].max()].copy()
        for wav_N, length in zip(wav_BN, self.lengths[rows]):
            wav_N[:] = np.resize(wav_N[:length], len(wav_N))
        return wav_BN, self.scales[rows], self.lengths[rows]


def dataset(count, **kwargs):
    clips = [Clip(f"audio/{i}.wav", LABELS[i % 4], "lisbon", f"lisbon-{i}", "a") for i in range(count)]
    return ClipDataset(Waveforms(count, **kwargs), range(count), clips, LABELS)


def brain_for(model, epochs=2, batch_size=4, warmup_epochs=0, momentum=0.9, learning_rate=0.05, run_opts=None):
    return MILBrain(
        modules={"model": model},
        opt_class=lambda parameters: torch.optim.SGD(parameters, lr=learning_rate, momentum=momentum),
        hparams={
            "objective": MILLoss(bag=BagBCE(), instance=InstanceBCE(ground_truth_labels)),
            "lr_schedule": WarmupCosine(epochs, warmup_epochs),
            "learning_rate": learning_rate,
            "number_of_epochs": epochs,
            "batch_size": batch_size,
            "precise_bn_clips": 8,
            "evaluate_every": 1,
            "keep_best": False,
            "monitor_name": "evaluation",
            "tensorboard": None,
            "state": RunState(),
        },
        run_opts={"device": "cpu", "noprogressbar": True, "max_grad_norm": -1.0, **(run_opts or {})},
    )


class Recording(MILBrain):
    """Records the loss and the learning rate of every step."""

    def fit_batch(self, batch):
        loss = super().fit_batch(batch)
        self.losses = [*getattr(self, "losses", []), loss.item()]
        self.rates = [*getattr(self, "rates", []), self.optimizer.param_groups[0]["lr"]]
        return loss


GOLDEN = {
    "plain": [
        2.56321, 2.44486, 2.04560, 1.73810, 1.53761, 1.41116, 1.29601, 1.17976, 1.07515, 0.97150,
        0.86895, 0.78488, 0.72051, 0.66872, 0.62707, 0.59584, 0.57409, 0.56038, 0.55311, 0.55040,
    ],
    "stable": [
        2.40068, 2.36341, 2.17614, 1.95308, 1.80756, 1.69654, 1.59290, 1.49233, 1.39130, 1.29872,
        1.21858, 1.15218, 1.09777, 1.05266, 1.01658, 0.98810, 0.96719, 0.95345, 0.94596, 0.94309,
    ],
}  # fmt: skip
"""Losses by the setting of batch norm."""


def recorded(model, **kwargs):
    brain = brain_for(model, **kwargs)
    brain.__class__ = Recording
    return brain


@pytest.mark.parametrize("batch_norm", GOLDEN)
def test_golden_loss_curve(batch_norm):
    """Twenty float32 steps; a change that is not meant to change results must not change them.

    A shallow model, ground-truth labels and one batch of all clips: behind many batch norms the last bits of a
    sum would decide. Weights are drawn by NumPy, whose numbers do not change with the version of torch.
    """
    head = Head(num_classes=4, instance_dim=12)
    model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(6, 8), num_blocks=1), head, batch_norm=batch_norm)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.from_numpy(rng.uniform(-0.3, 0.3, size=p.shape)) + (p.dim() == 1))
    brain = recorded(model, epochs=20, batch_size=16, warmup_epochs=2, learning_rate=0.05)
    brain.fit(EpochCounter(20), dataset(16), dataset(8))
    assert brain.losses == pytest.approx(GOLDEN[batch_norm], rel=1e-3)


def test_training_and_evaluation_accuracy_agree_after_training(small_model):
    brain = brain_for(small_model, epochs=20, batch_size=16, learning_rate=0.1)
    brain.hparams.precise_bn_clips = 32
    data = dataset(32, lengths=(8000,))
    brain.fit(EpochCounter(20), data, data)
    last = brain.state.history[-1]
    assert last["train"]["accuracy"] > 0.9 and last["monitor"]["accuracy"] > 0.9


def test_losses_are_averaged_over_clips_not_batches(small_model):
    """Six clips in batches of four and two, learning rate 0: every clip has the same weight in the mean."""
    brain = recorded(small_model, epochs=1, learning_rate=0.0)
    brain.fit(EpochCounter(1), dataset(6))
    first, second = brain.losses
    assert brain.state.history[0]["train"]["loss"] == pytest.approx((4 * first + 2 * second) / 6)


def test_accumulated_batches_give_the_gradient_of_one_large_batch(small_model):
    """With batch norm in evaluation mode, two halves of a batch and the full batch are otherwise the same."""
    state = {name: value.clone() for name, value in small_model.state_dict().items()}

    def trained(**kwargs):
        small_model.load_state_dict(state)
        brain = brain_for(small_model, epochs=1, momentum=0.0, **kwargs)
        brain.modules.train = lambda mode=True: torch.nn.Module.train(brain.modules, False)
        brain.hparams.precise_bn_clips = 0
        brain.fit(EpochCounter(1), dataset(10, lengths=(8000,)))
        return [p.detach().clone() for p in small_model.parameters()], brain.optimizer_step

    whole, steps = trained(batch_size=4)
    parts, accumulated_steps = trained(batch_size=2, run_opts={"grad_accumulation_factor": 2})
    assert steps == accumulated_steps == 3  # four, four, and the remaining two clips
    for a, b in zip(whole, parts):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)


def test_loss_decreases_with_any_gradient_clipping(small_model):
    """Steps on one batch lower its loss, with clipping on, off and negative."""
    state = {name: value.clone() for name, value in small_model.state_dict().items()}
    for norm in (-1.0, 0.5, 1e9):
        small_model.load_state_dict(state)
        brain = recorded(small_model, epochs=8, batch_size=8, learning_rate=0.05, run_opts={"max_grad_norm": norm})
        brain.fit(EpochCounter(8), dataset(8))
        assert brain.losses[-1] < brain.losses[0]
    with pytest.raises(ValueError, match="stop the training"):
        brain_for(small_model, run_opts={"max_grad_norm": 0.0})


def test_clipping_bounds_the_step_of_all_parameters(small_model):
    before = [p.detach().clone() for p in small_model.parameters()]
    brain = brain_for(small_model, epochs=1, batch_size=8, learning_rate=1.0, run_opts={"max_grad_norm": 1e-3})
    brain.fit(EpochCounter(1), dataset(8))
    moved = math.sqrt(sum(((p - q) ** 2).sum().item() for p, q in zip(small_model.parameters(), before)))
    assert moved == pytest.approx(1e-3 * brain.hparams.lr_schedule(0.5), rel=1e-2)


def test_nan_loss_stops_the_run_and_names_the_clips(small_model):
    brain = brain_for(small_model)
    with pytest.raises(UserError, match=r"not finite.*audio/2\.wav") as caught:
        brain.fit(EpochCounter(2), dataset(4, poison=2))
    assert "\n" not in str(caught.value)
    assert brain.state.history == []


def test_nan_loss_is_found_at_the_end_of_an_epoch_if_checks_are_rare(small_model):
    brain = brain_for(small_model)
    brain.check_every = 100
    with pytest.raises(UserError, match=r"audio/5\.wav"):
        brain.fit(EpochCounter(2), dataset(8, poison=5))


def test_learning_rate_follows_the_schedule_per_step(small_model):
    brain = recorded(small_model, epochs=4, warmup_epochs=2, learning_rate=0.1)
    brain.fit(EpochCounter(4), dataset(8))
    expected = [0.1 * WarmupCosine(4, 2)((step + 0.5) / 2) for step in range(8)]
    assert brain.rates == pytest.approx(expected)


def test_evaluation_without_a_checkpoint_is_refused(small_model):
    with pytest.raises(UserError, match="no checkpoint"):
        brain_for(small_model).evaluate_clips(dataset(4))


def test_scores_do_not_depend_on_batch_size_or_order(small_model):
    data = dataset(7)
    small_model.eval()

    def scores(batch_size):
        brain = brain_for(small_model, batch_size=batch_size)
        brain.on_evaluate_start = lambda **_: None
        return brain.evaluate_clips(data)[1].logits_IC

    np.testing.assert_allclose(scores(1), scores(7), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", (np.nan, np.inf))
def test_evaluation_stops_at_scores_that_are_not_finite_and_names_the_clip(small_model, value):
    brain = brain_for(small_model)
    brain.on_evaluate_start = lambda **_: None
    forward = brain.compute_forward

    def spoil_clip_2(batch, stage):
        bags = forward(batch, stage)
        bags.logits_BIC[batch.index_B == 2, 0, 2] = value  # of its own class, so that an infinite loss is 0
        return bags

    brain.compute_forward = spoil_clip_2
    with pytest.raises(UserError) as caught:
        brain.evaluate_clips(dataset(7))
    assert str(caught.value).startswith("audio/2.wav: the model's scores are not finite")


def test_accuracy_is_that_of_the_models_own_pooling(small_model):
    """One loud instance decides under the maximum, the mean goes with the other two."""
    logits_BIC = torch.tensor([[[9.0, 0, 0, 0], [-9.0, 3, 0, 0], [-9.0, 3, 0, 0]]])
    batch = dataset(4).__getitems__([1])
    assert LABELS[int(batch.label_B)] == LABELS[1]
    brain = brain_for(small_model)
    for pooling, accuracy in ((max_pooling, 0.0), (mean_logits, 1.0)):
        terms = brain.compute_objectives(make_bags(logits_BIC, pooling=pooling), batch, sb.Stage.TEST)
        assert terms["accuracy"].item() == accuracy
