"""Classify recordings with ONNX Runtime: numpy, soundfile, soxr and onnxruntime are all that is needed.

>>> from mil_asc.inference.onnx import OnnxSceneClassifier                            # doctest: +SKIP
>>> classifier = OnnxSceneClassifier.from_hparams(source="synthscenes-fuse-pnl")      # doctest: +SKIP
>>> print(classifier.explain_file("any.wav"))                                         # doctest: +SKIP
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mil_asc.errors import ArgumentError, DoubtWarning, UserError
from mil_asc.inference.explainer import Explainer, check_process, check_rejected, check_rejects
from mil_asc.inference.onnx_session import failure, metadata_of, open_session
from mil_asc.inference.windows import WindowScores
from mil_asc.model.interface import NetworkInterface
from mil_asc.packaging.familiarity import Calibration
from mil_asc.packaging.file_facts import DEBUG, read_facts
from mil_asc.packaging.graph_file import read_graph
from mil_asc.packaging.sources import resolve_source

INPUT = "waveform"


class OnnxSceneClassifier(Explainer):
    """As ``mil_asc.SceneClassifier``, without PyTorch: the same methods and scenes, with arrays in place of tensors.

    Arguments
    ---------
    session : onnxruntime.InferenceSession
        Of a graph that ``mil_asc`` exported.
    calibration : Calibration, optional
        That of the model.
    rejected : float, optional
        Share of recordings like the training data that are called unfamiliar, above 0, at most 0.2; default: 0.01.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        calibration: Calibration | None = None,
        rejected: float | None = None,
    ):
        self.session = session
        self._process, self._threads = os.getpid(), session.get_session_options().intra_op_num_threads
        self.metadata = metadata_of(session)
        self.interface = NetworkInterface.from_metadata(self.metadata)
        self.calibration = calibration
        self.rejected = check_rejected(rejected)
        names = {output.name for output in session.get_outputs()}
        self._outputs = ["logits"]
        self._outputs += ["attention"] if self.interface.has_attention else []
        self._outputs += ["vectors"] if calibration is not None else []
        missing = {INPUT, *self._outputs} - names - {one.name for one in session.get_inputs()}
        if missing:
            if {one.name for one in session.get_inputs()} == {"logmel"}:
                raise UserError(
                    "the ONNX file takes a log-mel spectrogram, not a recording: export the model without "
                    "--network-only to classify with it here"
                )
            raise UserError(f"the ONNX file has no {', '.join(sorted(missing))}: it was not exported for waveforms")

    @classmethod
    def from_hparams(
        cls, source: str | Path, rejected: float | None = None, threads: int | None = None, **download: Any
    ) -> OnnxSceneClassifier:
        """Load a model.

        Arguments
        ---------
        source : str or Path
            A model folder, an ONNX file that ``mil-asc export`` wrote, the name of a shipped model, or
            ``hf:user/model``. Local paths and names never touch the network, and no code of a folder is run.
        rejected : float, optional
            Share of recordings like the training data that are called unfamiliar, above 0, at most 0.2; default: 0.01.
            A model without a calibration takes none.
        threads : int, optional
            Threads of the computation, by default one per core.
        **download
            ``revision``, ``cache`` and ``offline`` of ``mil_asc.packaging.sources.resolve_source``, for ``hf:``.

        Raises
        ------
        UserError
            There is no such model, or it is damaged. A file of a debug run is warned of (``DoubtWarning``).
        ArgumentError
            A value is not legal.
        """
        if not isinstance(source, str | os.PathLike):
            raise ArgumentError(f"source must be a model folder, an ONNX file or a name, got {source!r:.80}")
        check_rejected(rejected)
        place = Path(source) if Path(source).suffix == ".onnx" else resolve_source(source, **download)
        graph = read_graph(place)
        session = open_session(graph, threads)
        metadata = metadata_of(session)
        text = metadata.get("calibration")
        calibration = None if text is None else Calibration.from_json(text)
        if calibration is not None:
            calibration.check_fits(_dimensions(session))
        check_rejects(rejected, calibration, source)
        made = cls(session, calibration, rejected)
        graph.check_belongs(metadata, made.interface.labels)
        stated = read_facts(metadata)
        if stated is not None and DEBUG in stated[1]:
            warnings.warn(DoubtWarning(f"{source} is of a debug run, whose results mean nothing"), stacklevel=2)
        return made

    def compute(self, wav_N: np.ndarray) -> WindowScores:
        """Scores of the instances of (N,) float32 samples, at least ``interface.min_samples``."""
        found = dict(zip(self._outputs, self._run(self._outputs, wav_N)))
        logits_IC = found["logits"][0]
        if logits_IC.shape[1:] != (len(self.interface.labels),):
            raise UserError(f"the ONNX file gives scores of shape {logits_IC.shape}, not of its labels: it is damaged")
        attention_I = found["attention"][0] if self.interface.has_attention else None
        traits_IK = None if self.calibration is None else self.calibration.traits(logits_IC, found["vectors"][0])
        return WindowScores(logits_IC, attention_I, traits_IK)

    def spectrogram(self, wav_N: np.ndarray) -> np.ndarray | None:
        """(F, T) log-mel spectrogram of (N,) float32 samples; None if the network takes the waveform itself."""
        if "logmel" not in {output.name for output in self.session.get_outputs()}:
            return None
        return self._run(["logmel"], wav_N)[0][0]

    def _run(self, outputs: list[str], wav_N: np.ndarray) -> Any:
        check_process(self._process, self._threads)
        try:
            return self.session.run(outputs, {INPUT: wav_N[None]})
        except Exception as error:  # its exceptions have no common class: too little memory, a damaged graph
            raise UserError(f"ONNX Runtime failed: {failure(error)}") from error


def _dimensions(session: onnxruntime.InferenceSession) -> int:
    """Dimensions of the instance vectors that a graph gives; 0 without any."""
    shapes = {output.name: output.shape for output in session.get_outputs()}
    last = shapes.get("vectors", [0])[-1]
    return last if isinstance(last, int) else 0
