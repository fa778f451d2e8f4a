"""Two ranks take the steps that one process takes, with all pieces of a training."""

import copy

import pytest
import speechbrain as sb
import torch
from speechbrain.utils.epoch_loop import EpochCounter
from test_brain import brain_for, dataset
from two_ranks import run_on_ranks

from mil_asc.augment.augmentation import Augmentation
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.training.brain import MILBrain
from mil_asc.training.checkpoints import AtomicCheckpointer
from mil_asc.training.ranks import Ranks

EPOCHS = 3


class Watched(MILBrain):
    """Keeps the loss of every step over the clips of all ranks."""

    def fit_batch(self, batch):
        before = dict(self.state.sums)
        loss = super().fit_batch(batch)
        clips = self.state.sums["clips"] - before.get("clips", 0)
        self.seen = [
            *getattr(self, "seen", []),
            (clips, (self.state.sums["loss"] - before.get("loss", 0.0)) / clips),
        ]
        return loss


def trained(ranks, folder, clips, settings, run_opts=()):
    """Losses of all steps, the last predictions and the weights of a small run."""
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=32), FUSE(channels=(6, 8), num_blocks=1), Head(num_classes=4, instance_dim=12))
    brain = brain_for(model, epochs=EPOCHS, batch_size=16, run_opts=dict(run_opts))
    brain.hparams.ranks = ranks
    vars(brain.hparams).update(settings)
    brain = Watched(
        modules={"model": model},
        opt_class=brain.opt_class,
        hparams=vars(brain.hparams),
        run_opts={"device": "cpu", "noprogressbar": True, "max_grad_norm": -1.0, **dict(run_opts)},
        checkpointer=AtomicCheckpointer(folder / "save", ranks=ranks),
    )
    brain.checkpointer.add_recoverable("model", model)
    brain.fit(EpochCounter(EPOCHS), dataset(clips, lengths=(16000, 12000)), dataset(9))
    _, predictions = brain.evaluate_clips(dataset(9))
    state = {name: value.clone() for name, value in model.state_dict().items()}
    return brain.seen, predictions.bag_logits_BC, state, brain.state.history


if __name__ == "__main__":
    import pathlib, tempfile, sys
    for clips, more in ((32, {}), (22, {}), (17, {}), (32,{"precise_bn_clips":0})):
        one = trained(Ranks(), pathlib.Path(tempfile.mkdtemp()), clips, more)
        two = run_on_ranks(trained, pathlib.Path(tempfile.mkdtemp()), clips, more)
        for (a, b), (c, d) in zip(one[0], two[0][0]): print(a, c, b, b - d)
        print(abs(one[1] - two[0][1]).max())
        print([ (one[3][i]["monitor"], two[0][3][i]["monitor"]) for i in range(EPOCHS)][-1])
        print(all(torch.equal(two[0][2][n], two[1][2][n]) for n in two[0][2]))
