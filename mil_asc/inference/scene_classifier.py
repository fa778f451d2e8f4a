"""Classify recordings with a trained model in PyTorch, and see which moments decided.

>>> from mil_asc import SceneClassifier                                          # doctest: +SKIP
>>> classifier = SceneClassifier.from_hparams(source="synthscenes-fuse-pnl")  # doctest: +SKIP
>>> print(classifier.explain_file("any.wav"))                                    # doctest: +SKIP
"""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from speechbrain.dataio.preprocess import AudioNormalizer
from speechbrain.inference.interfaces import Pretrained

from mil_asc.errors import ArgumentError
from mil_asc.inference.explainer import Classified, Explainer, check_process, check_rejected, check_rejects
from mil_asc.inference.recording_scores import REJECTED
from mil_asc.inference.scene import Scene
from mil_asc.inference.windows import WindowScores
from mil_asc.model.interface import interface_of
from mil_asc.packaging.familiarity import Calibration
from mil_asc.packaging.folder import load_any
from mil_asc.packaging.sources import HUB, resolve_source
from mil_asc.runtime.hardware import find_device


class SceneClassifier(Pretrained, Explainer):
    """Classifies recordings of any rate, channel count and length; ``mil_asc.inference.onnx`` does without PyTorch.

    ``explain_file``, ``explain_waveform`` and ``explain_batch`` return a ``Scene``. ``classify_file`` and
    ``classify_batch`` have the arguments and the order of results of SpeechBrain's ``EncoderClassifier``, with tensors
    in place of arrays; ``load_audio`` gives samples at the model's rate. Not offered, because a model is no HyperPyYAML
    file: ``hparams_file``, ``overrides`` and the like of ``from_hparams``; and ``encode_batch``, because an embedding
    is of an instance here, not of a recording.
    """

    MODULES_NEEDED = ["model"]
    HPARAMS_NEEDED = ["labels"]

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._process = os.getpid()
        self.audio_normalizer = AudioNormalizer(self.mods.model.front_end.sample_rate)  # of ``load_audio``
        self.interface = interface_of(self.mods.model, self.hparams.labels)
        self.calibration = getattr(self.hparams, "calibration", None)
        self.rejected = getattr(self.hparams, "rejected", REJECTED)

    @classmethod
    def from_hparams(
        cls,
        source: str | Path,
        run_opts: dict | None = None,
        savedir: str | Path | None = None,
        freeze_params: bool = True,
        rejected: float | None = None,
        revision: str | None = None,
        offline: bool = False,
    ) -> "SceneClassifier":
        """Load a model; the weights must fit it exactly, and no code of a folder is run.

        Arguments
        ---------
        source : str or Path
            A model folder or the output folder of a finished run; the name of a shipped model; or ``hf:user/model``.
            Only the last uses the network. Files must match their checksums.
        run_opts : dict, optional
            ``{"device": "cuda"}``; the scores are computed in float32, so other options of SpeechBrain may be there
            only if they are off (False or None).
        savedir : str or Path, optional
            Folder for what is downloaded (``hf:``); by default the cache of huggingface_hub.
        freeze_params : bool
            Whether the weights get no gradients, and the modules are in evaluation mode.
        rejected : float, optional
            Share of recordings like the training data that are called unfamiliar, above 0, at most 0.2; default: 0.01.
            A model without a calibration takes none.
        revision : str, optional
            Branch, tag or commit of a model on the hub.
        offline : bool
            Take a model of the hub from the cache alone.

        Raises
        ------
        UserError
            There is no such model, it is damaged, or it has weights that do not fit or are not finite; the device is
            not available.
        ArgumentError
            A value is of another kind.
        """
        share = check_rejected(rejected)
        device = _device_of(run_opts)
        cache = savedir if str(source).startswith(HUB) else None
        loaded = load_any(resolve_source(source, revision=revision, cache=cache, offline=offline))
        calibration = None if loaded.calibration is None else Calibration.from_json(loaded.calibration)
        check_rejects(rejected, calibration, source)
        hparams = {"labels": loaded.config.labels, "calibration": calibration, "rejected": share}
        return cls(modules={"model": loaded.network}, hparams=hparams, run_opts=device, freeze_params=freeze_params)

    def compute(self, wav_N: np.ndarray) -> WindowScores:
        """Scores of the instances of (N,) float32 samples, at least ``interface.min_samples``."""
        check_process(self._process, torch.get_num_threads())
        with torch.no_grad():
            wav_1N = torch.from_numpy(wav_N).unsqueeze(0).to(self.device)
            vector_1ID, score_1IC = self.mods.model.vectors_and_scores(wav_1N)
        score_IC, classes = score_1IC[0].float().cpu().numpy(), len(self.interface.labels)
        logits_IC = score_IC[:, :classes]
        attention_I = score_IC[:, classes] if self.interface.has_attention else None
        traits_IK = None
        if self.calibration is not None:
            traits_IK = self.calibration.traits(logits_IC, vector_1ID[0].float().cpu().numpy())
        return WindowScores(logits_IC, attention_I, traits_IK)

    def spectrogram(self, wav_N: np.ndarray) -> np.ndarray | None:
        """(F, T) log-mel spectrogram of (N,) float32 samples; None if the network takes the waveform itself."""
        front_end = self.mods.model.front_end
        if front_end.output != "logmel":
            return None
        check_process(self._process, torch.get_num_threads())
        with torch.no_grad():
            return front_end(torch.from_numpy(wav_N).unsqueeze(0).to(self.device))[0].float().cpu().numpy()

    def classify_file(self, path: str | Path, savedir: str | Path | None = None) -> Classified:
        """``explain_file`` as SpeechBrain returns it: ``out_prob, score, index, text_lab`` of a batch of one.

        ``savedir`` is SpeechBrain's folder for downloads of recordings; ``path`` is a local file here, and nothing is
        written.
        """
        return super().classify_file(path)

    def forward(self, wavs: Any, wav_lens: Any = None) -> Classified:
        """As ``classify_batch``."""
        return self.classify_batch(wavs, wav_lens)

    def _classified(self, scenes: list[Scene]) -> Classified:
        arrays = super()._classified(scenes)
        out_prob, score, index = (torch.from_numpy(each).to(self.device) for each in arrays[:3])
        return Classified(out_prob, score, index, arrays.text_lab)


def _device_of(run_opts: Any) -> dict[str, str]:
    """The device that ``run_opts`` choose, as SpeechBrain takes it; other options may only be off."""
    if isinstance(run_opts, dict):
        run_opts = {name: value for name, value in run_opts.items() if name == "device" or value not in (None, False)}
    if run_opts is not None and not (isinstance(run_opts, dict) and run_opts.keys() <= {"device"}):
        raise ArgumentError(f"run_opts must be a dictionary with a device, such as {{'device': 'cpu'}}; got {run_opts}")
    name = (run_opts or {}).get("device")
    return {} if name is None else {"device": str(find_device(name))}
