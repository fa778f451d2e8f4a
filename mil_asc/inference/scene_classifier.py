"""Classify recordings with a trained run, and see which moments decided.

>>> from mil_asc import SceneClassifier                                          # doctest: +SKIP
>>> classifier = SceneClassifier.from_hparams(source="results/fuse_pnl/seed-1")  # doctest: +SKIP
>>> print(classifier.classify_file("any.wav"))                                   # doctest: +SKIP
"""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import os
from pathlib import Path
from typing import Any

import torch
from speechbrain.inference.interfaces import Pretrained
from torch import Tensor

from mil_asc.audio.decode import check_waveform, decode
from mil_asc.errors import ArgumentError, UserError
from mil_asc.inference.scene import Instance, Scene
from mil_asc.inference.waveform import as_batch, as_lengths, as_waveform
from mil_asc.mil.bags import Bags
from mil_asc.mil.decisions import RULES, confidences
from mil_asc.results.trained_model import load_model
from mil_asc.runtime.hardware import find_device

WINDOW_INSTANCES = 256
"""Instances that are computed at once, which bounds the memory for long recordings."""


class SceneClassifier(Pretrained):
    """Classifies recordings of any rate, channel count and length with the modules of a training run.

    Long recordings are computed in windows with enough context that the instances are the same as if the recording
    were computed in one piece. A model in which every instance sees the whole clip (ResNorm) computes it in one piece.
    """

    MODULES_NEEDED = ["model"]
    HPARAMS_NEEDED = ["labels"]

    @classmethod
    def from_hparams(
        cls,
        source: str | Path,
        run_opts: dict | None = None,
        savedir: str | Path | None = None,
        freeze_params: bool = True,
    ) -> "SceneClassifier":
        """Load a finished run; no network is used, and the weights must fit the model exactly.

        Arguments
        ---------
        source : str or Path
            Output folder of a finished run. Its files must match their checksums, and its YAML file may name only
            network classes of this package: no code of the folder is run.
        run_opts : dict, optional
            ``{"device": "cuda"}``; the scores are computed in float32, so there are no other options.
        savedir : str or Path, optional
            No effect: nothing is downloaded. It is accepted because SpeechBrain's classes take it.
        freeze_params : bool
            Whether the weights get no gradients, and the modules are in evaluation mode.

        Raises
        ------
        UserError
            The folder holds no finished run, is damaged, or has weights that do not fit the model or are not finite;
            the device is not available.
        ArgumentError
            ``source`` or ``run_opts`` is of another kind.
        """
        del savedir
        if not isinstance(source, str | os.PathLike):
            raise ArgumentError(f"source must be the output folder of a run, got {source!r:.80}")
        device = _device_of(run_opts)
        network, labels, _ = load_model(source)
        return cls(modules={"model": network}, hparams={"labels": labels}, run_opts=device, freeze_params=freeze_params)

    def classify_file(self, path: str | Path, assumption: str | None = None) -> Scene:
        """Classify an audio file, of the formats, rates and lengths that ``mil_asc.audio.decode`` takes.

        Arguments
        ---------
        path : str or Path
            The file. It must last at least one instance (``mods.model.min_samples``) and not be silent.
        assumption : str, optional
            The rule that decides the label: ``smi``, ``cmi`` or ``bag`` (the model's pooling); the result has the
            scores under all of them. By default the rule the model was trained for: ``smi``, or ``bag`` where it does
            not pool by maximum.

        Returns
        -------
        Scene

        Raises
        ------
        AudioError
            The file is missing, corrupt, empty, silent, too short or too loud.
        UserError
            The scores are not finite.
        """
        rate, min_seconds = self._limits()
        return self._classify(torch.from_numpy(decode(path, rate, min_seconds)), assumption, str(path))

    def score_file(self, path: str | Path) -> Bags:
        """``Bags`` (one) of an audio file as ``classify_file`` takes it, on the CPU, without any check of the scores.

        For looking into a model: scores that are not finite are returned as they are. Like ``classify_file``, this
        takes windows of bounded memory where instances see only what is near.
        """
        rate, min_seconds = self._limits()
        return self._windowed_bags(torch.from_numpy(decode(path, rate, min_seconds)))

    def classify_waveform(self, wav_N: Any, assumption: str | None = None) -> Scene:
        """Classify a mono waveform at the model's sampling rate; returns a ``Scene``.

        ``wav_N`` is a tensor or NumPy array of floating-point samples (N,), (1, N) or (N, 1), linear amplitude with
        full scale 1; anything else raises an ``ArgumentError`` (a ``ValueError``) of one line. What ``classify_file``
        refuses in a file, such as digital silence, is the same ``AudioError`` here.
        """
        self._check_rule(assumption)
        wav_N = as_waveform(wav_N)
        check_waveform("waveform", wav_N.detach().cpu().numpy(), *self._limits())
        return self._classify(wav_N, assumption, "waveform")

    def classify_batch(self, wav_BN: Any, length_B: Any = None) -> Bags:
        """``Bags`` of waveforms, (B, N) or one (N,), as ``classify_waveform`` takes them; lengths (B,) are in samples.

        A clip's scores do not depend on the others. A waveform that ``classify_waveform`` refuses, such as digital
        silence, is an ``AudioError`` that names the clip by its position, scores that are not finite a ``UserError``.
        """
        least = self.mods.model.min_samples
        wav_BN = as_batch(wav_BN, least)
        length_B = as_lengths(length_B, wav_BN, least)
        for position, wav_N in enumerate(wav_BN.detach().cpu().numpy()):
            own_N = wav_N if length_B is None else wav_N[: int(length_B[position])]
            check_waveform(f"clip {position} of the batch", own_N, *self._limits())
        bags = self._bags(wav_BN, length_B)
        for position, logits_IC in enumerate(bags.logits_BIC):
            _check_scores(f"clip {position} of the batch", logits_IC, bags.bag_logits_BC[position])
        return bags

    def forward(self, wav_BN: Any, length_B: Any = None) -> Bags:
        """As ``classify_batch``."""
        return self.classify_batch(wav_BN, length_B)

    def _limits(self) -> tuple[int, float]:
        """Sampling rate of the model (in Hz), and the shortest recording that it takes (in seconds)."""
        rate = self.mods.model.front_end.sample_rate
        return rate, self.mods.model.min_samples / rate

    def _check_rule(self, assumption: str | None) -> None:
        if assumption is not None and assumption not in list(RULES):
            raise ArgumentError(f"unknown assumption {assumption!r:.80}; legal: {', '.join(RULES)}")

    def _classify(self, wav_N: Tensor, assumption: str | None, name: str) -> Scene:
        self._check_rule(assumption)
        bags = self._windowed_bags(wav_N)
        _check_scores(name, bags.logits_BIC, bags.bag_logits_BC)
        return self._scene(bags, len(wav_N), assumption or self.mods.model.decision)

    def _windowed_bags(self, wav_N: Tensor) -> Bags:
        with torch.no_grad():
            return self.mods.model.as_bags(self._windowed_scores(wav_N.to(self.device)))

    def _bags(self, wav_BN: Tensor, length_B: Tensor | None = None) -> Bags:
        with torch.no_grad(), self.inference_ctx:
            return self.mods.model(wav_BN.to(self.device), None if length_B is None else length_B.to(self.device))

    def _windowed_scores(self, wav_N: Tensor) -> Tensor:
        """(1, I, C or C + 1) instance scores, in windows of bounded memory where instances see only what is near."""
        model = self.mods.model
        step, total = model.instance_samples, int(model.num_instances(len(wav_N)))
        context = model.context_instances
        if context is None:
            return model.instance_scores(self._bags(wav_N.unsqueeze(0))).cpu()
        parts, rest = [], len(wav_N) % step  # some extractors pad by the number of frames: all windows end alike
        for first in range(0, max(total, 1), WINDOW_INSTANCES):
            last = min(first + WINDOW_INSTANCES, total)
            begin = max(first - context, 0)
            end = len(wav_N) if last == total else min((last + context) * step + rest, len(wav_N))
            score_1IC = model.instance_scores(self._bags(wav_N[begin * step : end].unsqueeze(0))).cpu()
            parts.append(score_1IC[:, first - begin : last - begin])
        return torch.cat(parts, dim=1)

    def _scene(self, bags: Bags, num_samples: int, assumption: str) -> Scene:
        model, labels = self.mods.model, self.hparams.labels
        verdicts = {name: decide(bags) for name, decide in RULES.items()}
        decided = int(verdicts[assumption].class_B)
        rows = zip(
            bags.logits_BIC[0].argmax(1).tolist(),
            confidences(bags)[0].tolist(),
            model.instance_times(num_samples).tolist(),
        )
        return Scene(
            label=labels[decided],
            assumption=assumption,
            scores={name: dict(zip(labels, verdict.score_BC[0].tolist())) for name, verdict in verdicts.items()},
            instances=[
                Instance(start, end, labels[winner], p_C[winner], winner == decided, dict(zip(labels, p_C)))
                for winner, p_C, (start, end) in rows
            ],
        )


def _device_of(run_opts: Any) -> dict[str, str]:
    """The device that ``run_opts`` choose, as SpeechBrain takes it; nothing else can be chosen."""
    if run_opts is not None and not (isinstance(run_opts, dict) and run_opts.keys() <= {"device"}):
        raise ArgumentError(f"run_opts must be a dictionary with a device, such as {{'device': 'cpu'}}; got {run_opts}")
    name = (run_opts or {}).get("device")
    return {} if name is None else {"device": str(find_device(name))}


def _check_scores(name: str, *logits: Tensor) -> None:
    """A score that is not finite decides nothing."""
    if not all(torch.isfinite(each).all() for each in logits):
        raise UserError(f"{name}: the model's scores are not finite, so there is no class: check its weights")
