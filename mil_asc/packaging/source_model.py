"""A trained network by the name of its source: for trainings that begin with its weights, or learn from its scores."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mil_asc.model.classifier import MILClassifier
from mil_asc.packaging.folder import load_any
from mil_asc.packaging.sources import resolve_source


class SourceModel(NamedTuple):
    """A trained network, on the CPU, in evaluation mode, without gradients.

    ``labels``: classes in the order of the outputs; ``rule``: the rule it decides by, ``smi`` or ``bag`` (a key of
    ``mil_asc.mil.decisions.RULES``); ``weights_sha256``: checksum of the file of its weights; ``folder``: where it is.
    """

    network: MILClassifier
    labels: list[str]
    rule: str
    weights_sha256: str
    folder: Path


def load_source(source: str | Path) -> SourceModel:
    """Load a trained network. No code of a folder is run; files must match their checksums, and weights be finite.

    The state of random numbers does not change.

    Arguments
    ---------
    source : str or Path
        The output folder of a finished run or a model folder; the name of a shipped model; or ``hf:user/model``. Only
        the last uses the network.

    Returns
    -------
    SourceModel
        ``network(wav_BN)`` takes (B, N) waveforms at ``network.front_end.sample_rate`` and returns ``Bags``.

    Raises
    ------
    UserError
        There is no such model, or it is damaged: one line.
    ArgumentError
        ``source`` is of another kind.

    Example
    -------
    >>> teacher = load_source("synthscenes-fuse-pnl")
    >>> len(teacher.labels), teacher.rule, teacher.network.training
    (10, 'smi', False)
    """
    folder = resolve_source(source)
    loaded = load_any(folder)
    network = loaded.network.eval().requires_grad_(False)
    return SourceModel(network, list(loaded.config.labels), network.decision, loaded.weights_sha256, folder)
