"""Weights of a trained network as the beginning of a training: ``training.init_from``, ``training.freeze_extractor``.

Nothing else of the run changes: its network is built with random weights first, and loading others draws no random
numbers. The order of the clips, dropout and a new detector are therefore those of the same run without ``init_from``.
With a frozen extractor the dropout within it is off, so that later draws of dropout differ.
"""

from dataclasses import dataclass

import torch

from mil_asc.checks import check_choice, check_text
from mil_asc.errors import ArgumentError, UserError, name_some
from mil_asc.model.build_network import rebuilt_names
from mil_asc.model.extractors.layers import DampedConv2d
from mil_asc.packaging.source_model import SourceModel, load_source
from mil_asc.training.seen_clips import seen_warnings

KEY = "training.init_from"
OF_CLASSES = ("detector.", "sharpness_C")
"""Beginnings of the names of weights that belong to the classes."""


def check_initial(training):
    """Refuse values of a training block that cannot be used (``ArgumentError``); the keys may be missing."""
    source, frozen = training.get("init_from"), training.get("freeze_extractor", False)
    if source not in (None, ""):
        check_text(KEY, source)
    check_choice("training.freeze_extractor", frozen, (True, False))
    if frozen and not source:
        raise ArgumentError(
            "training.freeze_extractor needs training.init_from: an extractor with random weights would never be "
            "trained; give --init_from=RUN"
        )


@dataclass(frozen=True)
class InitialWeights:
    """The weights of a trained network that fit a run.

    Arguments
    ---------
    source : str
        As given.
    model : SourceModel
        The trained network.
    labels : list of str
        Classes of the run.
    warnings : list of str
        For the report: clips of the evaluation set that the network was trained on.
    """

    source: str
    model: SourceModel
    labels: list[str]
    warnings: list[str]

    @property
    def same_classes(self):
        """Whether the classes are the same, in the same order; otherwise the detector is not taken over."""
        return self.model.labels == list(self.labels)

    @torch.no_grad()
    def load_into(self, network):
        """Change the weights of the run's network in place.

        Arguments
        ---------
        network : MILClassifier
            The run's, on any device.

        Returns
        -------
        dict
            For the checkpoints and the report: ``source``; ``folder``; ``weights_sha256`` and ``labels`` of the source;
            ``new``, the names of the weights that were left random; ``frozen_parameters``, how many parameters are not
            trained; ``note`` and ``warnings``, sentences for the report.
        """
        weights, own = _weights(self.model.network), network.state_dict()
        new = sorted(name for name in _weights(network) if not self.same_classes and name.startswith(OF_CLASSES))
        network.load_state_dict({name: own[name] if name in new else weights.get(name, own[name]) for name in own})
        frozen = network.extractor_is_frozen
        return {
            "source": self.source,
            "folder": str(self.model.folder.resolve()),
            "weights_sha256": self.model.weights_sha256,
            "labels": self.model.labels,
            "new": new,
            "frozen_parameters": sum(p.numel() for p in network.extractor.parameters()) if frozen else 0,
            "note": self._note(new, frozen),
            "warnings": self.warnings,
        }

    def _note(self, new, frozen):
        parts = [f"the detector is new ({', '.join(new)}), because the classes differ" if new else "with its detector"]
        parts += ["the extractor is frozen"] if frozen else []
        digest = self.model.weights_sha256[:12]
        return f"the training began with the weights of {self.source} (SHA-256 {digest}...): {'; '.join(parts)}"


def read_initial(training, network, corpus):
    """The weights that a training block names.

    Arguments
    ---------
    training : dict
        The block, checked by ``check_initial``.
    network : MILClassifier
        The run's, which the weights must fit: the same front end, input normalization, extractor, least eps of batch
        norms, and the same names and shapes of all weights. Where the classes differ, those of the detector may too.
    corpus : Corpus
        The run's classes and lists, before recordings are cut.

    Returns
    -------
    InitialWeights or None
        None if the block names none.

    Raises
    ------
    UserError
        There is no such model, it is damaged, or does not fit: one line that names what differs.
    """
    source = training.get("init_from")
    if not source:
        return None
    try:
        model = load_source(source)
        warnings = seen_warnings(model.folder, corpus, f"{source}, with whose weights the training began,")
        initial = InitialWeights(source, model, corpus.labels, warnings)
    except (UserError, ArgumentError) as error:
        raise UserError(f"{KEY}: {error}") from error
    there = initial.model.network
    other = _other_values(there, network) or _other_shapes(initial, network) or _other_values(there, network, _geometry)
    if other:
        some = name_some(other, 4, separator="; ")
        raise UserError(f"{KEY}: {source} does not fit this run: {some}; give the run the values of {source}")
    return initial


def _weights(network):
    """The weights by name, without what the settings build."""
    left_out = rebuilt_names(network, network.front_end)
    return {name: value for name, value in network.state_dict().items() if name not in left_out}


def _values(network):
    """What a network computes beside its weights, by the names of settings."""
    front_end = network.front_end
    values = {"features": front_end.output, "sample_rate": front_end.sample_rate}
    if front_end.output == "logmel":
        rate = front_end.sample_rate
        values |= {"n_mels": front_end.n_mels, "window_ms": 1000 * front_end.n_fft / rate}
        values |= {"hop_ms": 1000 * front_end.hop_length / rate, "log_floor": front_end.log_floor}
        values |= {"input_channels": repr(front_end.input_channels)}
    values |= {"input_norm": type(network.input_norm).__name__, "extractor": type(network.extractor).__name__}
    eps = [module.eps for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    damping = [module.factor_K1.min().item() for module in network.modules() if isinstance(module, DampedConv2d)]
    return values | {"batch_norm (least eps)": min(eps, default=None), "damping": min(damping, default=1.0)}


def _geometry(network):
    """Strides, spans of poolings and dilations, which the shapes of weights do not show."""
    dilations = sorted({module.dilation for module in network.modules() if isinstance(module, torch.nn.Conv2d)})
    names = ("time_reduction", "context_frames")
    return {name: getattr(network.extractor, name) for name in names} | {"dilations": dilations}


def _other_values(there, here, values=_values):
    there, here = values(there), values(here)
    return [
        f"{name} is {_shown(there.get(name))} there and {_shown(value)} here"
        for name, value in here.items()
        if there.get(name) != value
    ]


def _shown(value):
    return f"{value:g}" if isinstance(value, float) else value


def _other_shapes(initial, network):
    """What differs in the names and shapes of the weights, those of other classes aside."""
    shapes = []
    for own in (initial.model.network, network):
        names = {name: list(value.shape) for name, value in _weights(own).items()}
        shapes.append({n: s for n, s in names.items() if initial.same_classes or not n.startswith(OF_CLASSES)})
    there, here = shapes
    return [
        f"{name} is {there.get(name, 'missing')} there and {here.get(name, 'missing')} here"
        for name in sorted(there.keys() | here.keys())
        if there.get(name) != here.get(name)
    ]
