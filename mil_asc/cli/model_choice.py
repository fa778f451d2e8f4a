"""Which model and which runtime: the options that commands share, and the classifier that they choose."""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from mil_asc.cli.numbers import Number
from mil_asc.errors import UserError

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer

VARIABLE = "MIL_ASC_MODEL"
BACKENDS = ("onnx", "torch")
REJECTED = 0.01
RULES = ("smi", "cmi", "bag")


class ModelChoice(NamedTuple):
    """A model's folder or ONNX file, the runtime that computes it, and its options; may go to another process."""

    place: Path
    backend: str
    device: str | None = None
    rejected: float | None = None

    def load(self, threads: int | None = None) -> Explainer:
        """The classifier.

        Arguments
        ---------
        threads : int, optional
            Threads of its computation, by default one per core.
        """
        return self._with_onnx(threads) if self.backend == "onnx" else self._with_torch(threads)

    def _with_onnx(self, threads: int | None) -> Explainer:
        if find_spec("onnxruntime") is None:
            raise UserError("--backend onnx needs ONNX Runtime: pip install onnxruntime, or take --backend torch")
        from mil_asc.inference.onnx import OnnxSceneClassifier

        return OnnxSceneClassifier.from_hparams(self.place, rejected=self.rejected, threads=threads)

    def _with_torch(self, threads: int | None) -> Explainer:
        from mil_asc.packaging.layout import check_is_model

        if self.place.is_dir():
            check_is_model(self.place)
        if find_spec("torch") is None:
            raise UserError("--backend torch needs PyTorch: pip install -e . in the checkout of mil_asc")
        from mil_asc.inference.scene_classifier import SceneClassifier

        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        run_opts = None if self.device is None else {"device": self.device}
        return SceneClassifier.from_hparams(self.place, run_opts=run_opts, rejected=self.rejected)

    @property
    def identity(self) -> str:
        """SHA-256 of the files that the scores depend on: equal for copies of a model, not for another one."""
        if self.place.is_file():
            files = [self.place]
        else:
            from mil_asc.packaging.layout import CALIBRATION, CONFIG, GRAPH, WEIGHTS

            names = [GRAPH] if self.backend == "onnx" else [CONFIG, WEIGHTS, CALIBRATION]
            if is_run(self.place):
                from mil_asc.results.run import MODEL_SETTINGS, MODEL_WEIGHTS

                names = [MODEL_SETTINGS, MODEL_WEIGHTS]
            files = [self.place / name for name in names if (self.place / name).is_file()]
        digest = sha256()
        for file in files:
            digest.update(sha256(file.read_bytes()).digest())
        return digest.hexdigest()


def is_run(place: Path) -> bool:
    """Whether a place is the folder of a run, not that of a model."""
    from mil_asc.packaging.layout import is_model_folder

    return place.is_dir() and not is_model_folder(place)


def choose(
    source: str | None,
    backend: str | None = None,
    device: str | None = None,
    rejected: float | None = None,
    revision: str | None = None,
) -> ModelChoice:
    """The choice that the options make; a model of a hub is downloaded.

    By default ONNX Runtime computes, and PyTorch where the model has no ONNX file, such as a run, or a device is given.
    """
    from mil_asc.packaging.layout import GRAPH

    place = find_model(source, revision)
    if backend is None:
        backend = "onnx" if device is None and (place.is_file() or (place / GRAPH).is_file()) else "torch"
    if backend == "onnx" and device is not None:
        raise click.UsageError("--device is for PyTorch: add --backend torch")
    if backend == "torch" and place.is_file():
        raise click.UsageError(f"{place} is a file, which --backend torch cannot load: name a model or run folder")
    return ModelChoice(place, backend, device, rejected)


def find_model(source: str | None, revision: str | None = None) -> Path:
    """The folder or ONNX file of a model; a usage error that lists the shipped models where none is named."""
    from mil_asc.packaging.sources import resolve_source, shipped_models

    if not source:
        names = shipped_models()
        shipped = f"shipped with mil_asc as demonstrations: {', '.join(names)}" if names else "none comes with mil_asc"
        raise click.UsageError(
            f"no model is named: give --model FOLDER, or set {VARIABLE}; {shipped}; on the hub: hf:user/model"
        )
    return Path(source) if os.path.isfile(source) else resolve_source(source, revision=revision)


def complete_model(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """For the Tab key: shipped models that begin as what is typed, and folders."""
    from mil_asc.packaging.sources import shipped_models

    names = [CompletionItem(name) for name in shipped_models() if name.startswith(typed)]
    return [*names, CompletionItem(typed, type="dir")] if os.sep in typed or not names else names


def revision_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--revision`` to a command."""
    return click.option("--revision", metavar="NAME", help="Branch, tag or commit of a model on the hub.")(command)


def assumption_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--assumption`` to a command."""
    return click.option(
        "--assumption",
        type=click.Choice(RULES),
        help="The rule that decides: smi (the most confident moment), cmi (most moments) or bag (the model's pooling); "
        "by default that of the model.",
    )(command)


def model_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--model``, ``--backend``, ``--revision``, ``--device`` and ``--rejected`` to a command."""
    options: list[Callable[[Callable[..., Any]], Callable[..., Any]]] = [
        click.option(
            "-m",
            "--model",
            "source",
            metavar="MODEL",
            envvar=VARIABLE,
            shell_complete=complete_model,
            help="A model folder, the folder of a finished run, an ONNX file of `mil-asc export`, the name of a "
            f"shipped model, or hf:user/model. Also by the environment variable {VARIABLE}.",
        ),
        click.option(
            "--backend",
            type=click.Choice(BACKENDS),
            help="What computes: ONNX Runtime (the default where the model has an ONNX file) or PyTorch.",
        ),
        revision_option,
        click.option("--device", metavar="DEVICE", help="Such as cuda or cpu, for PyTorch."),
        click.option(
            "--rejected",
            type=Number(0.0005, 0.2),
            help="Share of recordings like the training data to call unfamiliar: more finds more foreign sound  "
            f"[default: {REJECTED}; needs a model with a calibration]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
