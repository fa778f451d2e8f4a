"""Knowledge distillation: a network learns from the scores of trained ones, for clips and for instances.

G. Hinton, O. Vinyals and J. Dean, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531. Temperature 2 and
a weight of 0.02 for the loss on the labels are those of F. Schmid et al., "CP-JKU Submission to DCASE23: Efficient
Acoustic Scene Classification with CP-Mobile", 2023. The teachers get each batch's waveforms as the student does, with
their augmentation (L. Beyer et al., "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022).
That they label instances too, whose labels a data set does not have, is new here.
"""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import json
from pathlib import Path

import numpy as np
import torch
from speechbrain.utils.checkpoints import mark_as_loader, mark_as_saver, register_checkpoint_hooks
from torch.nn.functional import logsigmoid, softplus

from mil_asc.checks import check_choice, check_number
from mil_asc.errors import ArgumentError, UserError
from mil_asc.packaging.source_model import load_source
from mil_asc.results.ensemble_report import runs_of_ensemble
from mil_asc.training.seen_clips import seen_warnings

DEFAULTS = {"teacher_level": "both", "teacher_temperature": 2.0, "teacher_label_weight": 0.02}
LEVELS = {"bag": ("bag",), "instances": ("instances",), "both": ("bag", "instances")}
"""What the teachers label."""
TEMPERATURES = (0.1, 100.0)
"""Least and greatest temperature: beyond, the softened confidences are those of 0, 1 or a half in float32."""
COMPARED_SECONDS = (2.0, 10.0)
"""Lengths of clips for which teacher and student must have the same instances."""


def check_teachers(training, augmentation=None):
    """Refuse values of a training block that cannot be used (``ArgumentError``); the keys may be missing.

    With ``augmentation`` (an ``Augmentation``), stretching along time is refused where teachers label instances: only
    the student's spectrogram is stretched, so its instances are at other moments than the teachers'.
    """
    sources = training.get("teachers") or []
    if isinstance(sources, str):
        sources = [sources]
    if not isinstance(sources, list | tuple) or not all(isinstance(source, str) and source for source in sources):
        raise ArgumentError(
            f"training.teachers must be the folder or name of a model, or a list of them; got {sources!r}"
        )
    if len(set(sources)) < len(sources):
        raise ArgumentError(f"training.teachers must be different models, got {list(sources)!r}")
    level, temperature, weight = (training.get(name, default) for name, default in DEFAULTS.items())
    check_choice("training.teacher_level", level, tuple(LEVELS))
    check_number("training.teacher_temperature", temperature, least=TEMPERATURES[0])
    if temperature > TEMPERATURES[1]:
        raise ArgumentError(f"training.teacher_temperature must be at most {TEMPERATURES[1]:g}, got {temperature!r}")
    if sources and level != "bag" and augmentation is not None:
        if augmentation.moves_instances:
            raise ArgumentError(
                "augment.pieces.time_stretch and teachers that label instances exclude each other: give "
                "--teacher_level=bag, or --time_stretch=0"
            )
    check_number("training.teacher_label_weight", weight, least=0, below=1)
    idle = [name for name, default in DEFAULTS.items() if training.get(name, default) != default]
    if idle and not sources:
        raise ArgumentError(f"training.{idle[0]} has no effect without teachers: give --teachers=RUN")
    return list(sources)


def read_teachers(training, network, corpus):
    """The ``Distillation`` that a training block asks for; None without teachers.

    Arguments
    ---------
    training : dict
        The block; the report of an ensemble stands for its runs.
    network : MILClassifier
        The student.
    corpus : Corpus
        Its classes must be the teachers'; a teacher that was trained on its evaluation set is warned of.

    Raises
    ------
    UserError
        A teacher cannot be loaded, or has other classes, another sampling rate, or other instances where these are to
        be labelled.
    """
    models = {}
    for source in check_teachers(training):
        found = _ensemble(source) or {source: load_source(source)}
        _check_different(models, found)
        models |= found
    if not models:
        return None
    level, temperature, label_weight = (training.get(name, default) for name, default in DEFAULTS.items())
    levels = LEVELS[level]
    for source, model in models.items():
        _check_fits(source, model, network, list(corpus.labels), levels)
    warnings = [text for s, model in models.items() for text in seen_warnings(model.folder, corpus, f"the teacher {s}")]
    return Distillation(models, network, levels, float(temperature), label_weight, warnings)


def _ensemble(source):
    """The runs that the report of an ensemble averages, with the weights they had then; none where it is no such."""
    models = {}
    for folder, weights in runs_of_ensemble(source).items():
        if not Path(folder).is_dir():
            raise UserError(f"teacher {source}: its run {folder} is not there: average the runs again, or name them")
        models[folder] = load_source(folder)
        if models[folder].weights_sha256 != weights:
            raise UserError(f"teacher {source}: {folder} was trained again since: average the runs again, or name them")
    return models


def _check_different(before, found):
    """A teacher that is named twice, in whatever way, would count twice."""
    known = {model.weights_sha256: source for source, model in before.items()}
    for source, model in found.items():
        other = known.get(model.weights_sha256)
        if other is not None:
            raise UserError(f"the teachers {other} and {source} have the same weights: name each model once")


def _check_fits(source, model, network, labels, levels):
    if model.labels != labels:
        raise UserError(
            f"teacher {source}: its classes ({', '.join(model.labels)}) are not those of the data, in their order"
        )
    rate, own = model.network.front_end.sample_rate, network.front_end.sample_rate
    if rate != own:
        raise UserError(f"teacher {source}: it hears {rate} Hz, and this model {own} Hz")
    for seconds in COMPARED_SECONDS if "instances" in levels else ():
        samples = round(seconds * own)
        if not np.array_equal(model.network.instance_times(samples), network.instance_times(samples)):
            raise UserError(
                f"teacher {source}: its instances are not at the times of this model's, so they cannot label them: "
                "give --teacher_level=bag"
            )


@register_checkpoint_hooks
class Distillation:
    """The loss of a student on the scores of its teachers.

    Arguments
    ---------
    models : dict
        Source -> ``SourceModel``.
    network : MILClassifier
        The student; the teachers are moved to its device at their first batch.
    levels : sequence of str
        ``bag``, ``instances`` or both, which then have equal weight.
    temperature : float
        Confidences are softened by dividing logits by it (> 0).
    label_weight : float
        Weight of the loss on the labels, 0 to below 1; the teachers' is 1 minus this.
    warnings : list of str
        For the report.
    """

    def __init__(self, models, network, levels=("bag", "instances"), temperature=2.0, label_weight=0.02, warnings=()):
        self.models, self.softmax = models, network.detector.confidence == "softmax"
        self.levels, self.temperature, self.label_weight = tuple(levels), temperature, label_weight
        self.warnings = list(warnings)

    def __call__(self, wav_BN, length_B, bags, terms):
        """Terms of the objective with the teachers' in them.

        Arguments
        ---------
        wav_BN, length_B : torch.Tensor
            The batch as the student heard it.
        bags : Bags
            The student's scores.
        terms : dict
            Its terms on the labels, with ``loss``.

        Returns
        -------
        dict
            The terms, with ``teachers`` (mean over clips, at least 0) and the weighted sum as ``loss``.
        """
        with torch.no_grad():
            found = [model.network.to(wav_BN.device)(wav_BN, length_B) for model in self.models.values()]
        parts = []
        if "bag" in self.levels:
            parts.append(self._loss(bags.bag_logits_BC, [one.bag_logits_BC for one in found]).mean())
        if "instances" in self.levels:
            last = found[0].logits_BIC.shape[1]  # what is beyond is padding of all clips: of those on other ranks
            loss_BI = self._loss(bags.logits_BIC[:, :last], [one.logits_BIC for one in found])
            parts.append(((loss_BI * bags.mask_BI[:, :last]).sum(1) / bags.mask_BI.sum(1)).mean())
        taught = sum(parts) / len(parts)
        loss = self.label_weight * terms["loss"] + (1 - self.label_weight) * taught
        return {**terms, "teachers": taught, "loss": loss}

    def _loss(self, logits, teachers):
        compare = softmax_divergence if self.softmax else sigmoid_divergence
        return compare(logits, teachers, self.temperature)

    def describe(self):
        """``run.distillation`` of the report."""
        teachers = [
            {"source": source, "folder": str(model.folder.resolve()), "weights_sha256": model.weights_sha256}
            for source, model in self.models.items()
        ]
        settings = {"levels": self.levels, "temperature": self.temperature, "label_weight": self.label_weight}
        return {"teachers": teachers, **settings}

    @mark_as_saver
    def save(self, path):
        """Save which weights the teachers have."""
        Path(path).write_text(json.dumps([model.weights_sha256 for model in self.models.values()]), encoding="utf-8")

    @mark_as_loader
    def load(self, path, end_of_epoch):
        """Refuse to go on with other teachers than the training began with (``UserError``)."""
        del end_of_epoch
        before = json.loads(Path(path).read_text(encoding="utf-8"))
        if len(before) != len(self.models):
            raise UserError(
                f"training.teachers: {len(before)} when this training began, {len(self.models)} now; give another "
                "output_folder"
            )
        for (source, model), weights in zip(self.models.items(), before, strict=True):
            if model.weights_sha256 != weights:
                raise UserError(
                    f"teacher {source}: its weights changed since this training began; give another output_folder"
                )


def sigmoid_divergence(logits, teachers, temperature):
    """How far sigmoid confidences are from the mean of the teachers': (..., C) -> (...), at least 0, in nats.

    The Kullback-Leibler divergence of two Bernoulli distributions with softened confidences, class by class, times the
    square of the temperature (Hinton et al., section 2). The mean over classes has the weights of Eq. 3 of the paper,
    in which a positive counts C - 1 times: with the teacher's confidence t, a class has the weight (C - 1) t + (1 - t).

    Example
    -------
    >>> z = torch.tensor([0.5, -2.0])
    >>> sigmoid_divergence(z, [z], 2.0).item()
    0.0
    """
    target = torch.stack([(one / temperature).sigmoid() for one in teachers]).mean(0)
    confidence = torch.stack([one.sigmoid() for one in teachers]).mean(0)
    soft = logits / temperature
    cross = target * softplus(-soft) + (1 - target) * softplus(soft)
    entropy = -(torch.xlogy(target, target) + torch.xlogy(1 - target, 1 - target))
    weight = (logits.shape[-1] - 1) * confidence + 1 - confidence
    return temperature**2 * (weight * (cross - entropy).clamp(min=0)).mean(-1)


def softmax_divergence(logits, teachers, temperature):
    """How far softmax confidences are from the mean of the teachers': (..., C) -> (...), at least 0, in nats.

    ``logits`` are those of confidences p = sigmoid(z). The divergence of the distributions that are proportional to
    p^(1 / temperature), times the square of the temperature.
    """
    target = torch.stack([(logsigmoid(one) / temperature).softmax(-1) for one in teachers]).mean(0)
    log_p = (logsigmoid(logits) / temperature).log_softmax(-1)
    return temperature**2 * (torch.xlogy(target, target) - target * log_p).sum(-1).clamp(min=0)
