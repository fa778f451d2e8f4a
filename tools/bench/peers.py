"""What a user would take instead, side by side: networks of other packages and ours, one clip from its waveform.

All weights are random: this measures cost, not quality. Every contestant has a process of its own, one thread, and a
clip of the asked length at its own rate; they take turns, and times are also ratios within a turn, because the machine
may be shared. Parameters and multiply-accumulates are those of the network, without its front end.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from bench.contestants import PROGRAM, say
from mil_asc.errors import UserError
from mil_asc.results import plots
from mil_asc.results.markdown import table

ROOT = Path(__file__).resolve().parents[2]
CALLS, LEAST_SECONDS = 3, 2.0
"""Clips that are timed at least, and how long at least."""
REFERENCE = "FUSE, small, ONNX"
CLASSES, CALIBRATION_CLIPS = 10, 24
GAP = {"instances": "frequency_mean", "confidence": "softmax", "pooling": "geometric_mean"}
BLOCKS = ("bc_resnet", "cp_mobile", "cp_resnet", "dcase_baseline", "two_path_resnet", "dcasenet", "raw_cnn", "resnet50")
SMALL = {"n_mels": 128, "hop_ms": 64.0}
MODULES = {"AST": "transformers", "PaSST": "hear21passt", "MobileNetV3": "torchvision", "CNN14": "torchlibrosa"}
"""Peer -> the package that it needs (extra ``[peers]``)."""
RUNTIMES = {"FUSE, OpenVINO": "openvino", "FUSE, OpenVINO bf16": "openvino"}
"""Ours in another runtime -> the package that it needs (extra ``[peers]``)."""
HEADER = ("system", "package", "parameters", "M MAC", "file, MB", "memory, MiB", "CPU ms a clip", f"{REFERENCE} = 1")


class Built(NamedTuple):
    """A contestant: waveform (N,) float32 -> scores, its rate (in Hz), parameters, multiply-accumulates, bytes."""

    run: Callable[[Any], Any]
    rate: int
    parameters: int
    macs: int | None
    size: int


# -- ours


def _ours(seconds: float, **features: float) -> Any:
    import torch

    from mil_asc.model.classifier import MILClassifier
    from mil_asc.model.extractors.fuse import FUSE
    from mil_asc.model.features import LogMel
    from mil_asc.model.heads import Head

    torch.manual_seed(0)
    return MILClassifier(LogMel(16000, **features), FUSE(), Head(CLASSES)).eval()


def _with_torch(network: Any, seconds: float) -> Built:
    import torch

    from mil_asc.model.complexity import multiply_accumulates, parameter_count

    count = parameter_count(network)
    macs = int(multiply_accumulates(network, seconds))
    return Built(
        lambda wav_N: network(torch.from_numpy(wav_N)[None]), network.front_end.sample_rate, count, macs, 4 * count
    )


def _with_onnx(network: Any, seconds: float, is_quantized: bool = False) -> Built:
    import numpy as np

    from mil_asc.inference.onnx_session import open_session
    from mil_asc.packaging.export import export_onnx
    from mil_asc.packaging.graph_file import GraphFile
    from mil_asc.packaging.int8 import to_int8

    data = export_onnx(network, [f"class {number}" for number in range(CLASSES)])
    rate = network.front_end.sample_rate
    if is_quantized:
        rng = np.random.default_rng(0)
        waves = [0.1 * rng.standard_normal(round(seconds * rate)).astype(np.float32) for _ in range(CALIBRATION_CLIPS)]
        data = to_int8(data, waves).data
    session = open_session(GraphFile(Path("model.onnx"), data, {}), threads=1)
    own = _with_torch(network, seconds)
    return own._replace(run=lambda wav_N: session.run(["logits"], {"waveform": wav_N[None]}), size=len(data))


def _with_openvino(network: Any, seconds: float, precision: str) -> Built:
    """The network in OpenVINO, which refuses the Fourier transform of a graph of any length; the rest in PyTorch."""
    import openvino
    import torch

    from mil_asc.packaging.network_only import export_network_only

    data = export_network_only(network, [f"class {number}" for number in range(CLASSES)], seconds).data
    settings = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": precision}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(data)
        request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()

    def run(wav_N: Any) -> Any:
        return request.infer([network.front_end(torch.from_numpy(wav_N)[None])])

    return _with_torch(network, seconds)._replace(run=run, size=len(data))


def _block(name: str, seconds: float) -> Built:
    from hyperpyyaml import load_hyperpyyaml

    with open(ROOT / f"hparams/models/{name}.yaml", encoding="utf-8") as file:
        return _with_torch(load_hyperpyyaml(file, {"head": GAP})["network"].eval(), seconds)


# -- peers


def _peer(front_end: Callable[[Any], Any], network: Any, rate: int, seconds: float) -> Built:
    """A network of another package behind its front end, which takes (1, N) and gives what the network takes."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    network.eval()
    with torch.inference_mode():
        features = front_end(torch.zeros(1, round(seconds * rate)) + 1e-3)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(features)
    count = sum(one.numel() for one in network.parameters())
    macs = counter.get_total_flops() // 2
    return Built(lambda wav_N: network(front_end(torch.from_numpy(wav_N)[None])), rate, count, macs, 4 * count)


def _ast(seconds: float) -> Built:
    """Audio Spectrogram Transformer (Gong et al., arXiv 2104.01778), base: 128 mel, 10 ms, 1024 frames."""
    import torch
    from torchaudio.compliance import kaldi
    from transformers import ASTConfig, ASTForAudioClassification

    def front_end(wav_1N: Any) -> Any:
        options = {"use_energy": False, "window_type": "hanning", "num_mel_bins": 128, "dither": 0.0, "frame_shift": 10}
        logmel_TF = kaldi.fbank(wav_1N, htk_compat=True, sample_frequency=16000, **options)[:1024]
        padded_TF = torch.nn.functional.pad(logmel_TF, (0, 0, 0, 1024 - len(logmel_TF)))
        return (padded_TF[None] + 4.2677) / (2 * 4.5690)

    return _peer(front_end, ASTForAudioClassification(ASTConfig(num_labels=CLASSES)), 16000, seconds)


def _passt(seconds: float) -> Built:
    """PaSST-S (Koutini et al., arXiv 2110.05069) without overlap of its patches beyond the published 10."""
    from hear21passt.models.passt import get_model
    from hear21passt.models.preprocess import AugmentMelSTFT

    patches = {"fstride": 10, "tstride": 10, "input_fdim": 128, "input_tdim": 998}
    dropped = dict.fromkeys(("u_patchout", "s_patchout_t", "s_patchout_f"), 0)
    options = {"pretrained": False, "n_classes": CLASSES, "in_channels": 1}
    network = get_model(arch="passt_s_swa_p16_128_ap476", **options, **patches, **dropped)
    mel = {"n_mels": 128, "sr": 32000, "win_length": 800, "hopsize": 320, "n_fft": 1024, "fmin": 0.0, "fmax": None}
    spectrogram = AugmentMelSTFT(freqm=48, timem=192, htk=False, norm=1, fmin_aug_range=1, fmax_aug_range=1, **mel)
    spectrogram.eval()
    return _peer(lambda wav_1N: spectrogram(wav_1N).unsqueeze(1)[..., :998], network, 32000, seconds)


def _mobilenet(seconds: float) -> Built:
    """MobileNetV3-Large (Howard et al., arXiv 1905.02244): a log-mel in each channel, 128 mel, 10 ms."""
    from torchvision.models import mobilenet_v3_large

    from mil_asc.model.features import LogMel

    spectrogram = LogMel(16000, 128, hop_ms=10.0)
    network = mobilenet_v3_large(weights=None, num_classes=CLASSES)
    return _peer(lambda wav_1N: spectrogram(wav_1N).unsqueeze(1).expand(-1, 3, -1, -1), network, 16000, seconds)


def _cnn14(seconds: float) -> Built:
    """CNN14 of PANNs (Kong et al., arXiv 1912.10211), table 2: six blocks of two convolutions, 64 mel at 32 kHz."""
    import torch
    from torch import nn
    from torchlibrosa.stft import LogmelFilterBank, Spectrogram

    def block(inputs: int, outputs: int, pool: int) -> nn.Module:
        layers: list[nn.Module] = []
        for channels in (inputs, outputs):
            layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return nn.Sequential(*layers, nn.AvgPool2d(pool))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            widths = (1, 64, 128, 256, 512, 1024, 2048)
            self.norm = nn.BatchNorm2d(64)
            self.blocks = nn.Sequential(
                *(block(a, b, 1 if b == 2048 else 2) for a, b in zip(widths, widths[1:], strict=False))
            )
            self.hidden, self.last = nn.Linear(2048, 2048), nn.Linear(2048, CLASSES)

        def forward(self, logmel_B1TF: torch.Tensor) -> torch.Tensor:
            normed = self.norm(logmel_B1TF.transpose(1, 3)).transpose(1, 3)
            map_BCT = self.blocks(normed).mean(3)
            return self.last(torch.relu(self.hidden(map_BCT.amax(2) + map_BCT.mean(2))))

    spectrogram = Spectrogram(n_fft=1024, hop_length=320)
    filters = LogmelFilterBank(sr=32000, n_fft=1024, n_mels=64, fmin=50, fmax=14000)
    return _peer(lambda wav_1N: filters(spectrogram(wav_1N)), Network(), 32000, seconds)


BUILDERS: dict[str, Callable[[float], Built]] = {
    REFERENCE: lambda seconds: _with_onnx(_ours(seconds, **SMALL), seconds),
    "FUSE, small, ONNX int8": lambda seconds: _with_onnx(_ours(seconds, **SMALL), seconds, is_quantized=True),
    "FUSE, small, PyTorch": lambda seconds: _with_torch(_ours(seconds, **SMALL), seconds),
    "FUSE, ONNX": lambda seconds: _with_onnx(_ours(seconds), seconds),
    "FUSE, OpenVINO": lambda seconds: _with_openvino(_ours(seconds), seconds, "f32"),
    "FUSE, OpenVINO bf16": lambda seconds: _with_openvino(_ours(seconds), seconds, "bf16"),
    "FUSE, PyTorch": lambda seconds: _with_torch(_ours(seconds), seconds),
    **{f"`{name}`": (lambda seconds, name=name: _block(name, seconds)) for name in BLOCKS},
    "MobileNetV3": _mobilenet,
    "CNN14": _cnn14,
    "PaSST": _passt,
    "AST": _ast,
}


# -- a contestant's process


def measure_peer(name: str, seconds: float) -> dict[str, float | None]:
    """Build a contestant, time it, and say what was found."""
    import numpy as np
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    built = BUILDERS[name](seconds)
    wav_N = 0.1 * np.random.default_rng(0).standard_normal(round(seconds * built.rate)).astype(np.float32)
    calls, begun = 0, 0.0
    with torch.inference_mode():
        built.run(wav_N)
        begun, wall = time.process_time(), time.perf_counter()
        while calls < CALLS or time.perf_counter() - wall < LEAST_SECONDS:
            built.run(wav_N)
            calls += 1
    spent = time.process_time() - begun
    status = Path("/proc/self/status").read_text()
    memory = int(status.partition("VmHWM:")[2].split()[0]) / 1024
    facts = {"parameters": built.parameters, "macs": built.macs, "size": built.size}
    return facts | {"milliseconds": 1000 * spent / calls, "memory": memory}


# -- the comparison


def available() -> dict[str, str]:
    """Contestants that can be built here, and for the others the package that is missing."""
    from importlib.util import find_spec

    needed = MODULES | RUNTIMES
    return {name: needed[name] for name in BUILDERS if name in needed and find_spec(needed[name]) is None}


def compare_peers(seconds: float, rounds: int) -> tuple[str, list[dict[str, Any]]]:
    """The Markdown table, and every measurement by turn."""
    missing = available()
    for name, package in missing.items():
        say(f'{name}: left out, because {package} is not installed (pip install -e ".[peers]")')
    found = []
    for turn in range(rounds):
        one = {}
        for name in BUILDERS:
            if name not in missing:
                say(f"round {turn + 1} of {rounds}: {name}")
                one[name] = _in_process(name, seconds)
        found.append(one)
    lines = [_line(name, [one[name] for one in found], [one[REFERENCE] for one in found]) for name in found[0]]
    return table(list(HEADER), lines), found


def paint_peers(figure: Any, found: list[dict[str, Any]]) -> None:
    """A bar per contestant: milliseconds of a clip on a logarithmic scale, the median over rounds; ours in blue."""
    figure.set_size_inches(7.6, 4.6)
    axes = figure.subplots()
    spent = {name: statistics.median(one[name]["milliseconds"] for one in found) for name in found[0]}
    names = sorted(spent, key=lambda name: -spent[name])
    colours = [plots.OTHER if name in MODULES else plots.TRUE for name in names]
    axes.barh(range(len(names)), [spent[name] for name in names], color=colours, height=0.7)
    axes.set_yticks(range(len(names)), [name.strip("`") for name in names])
    axes.set_xscale("log")
    axes.set_xlim(1, 3 * max(spent.values()))
    marks = [10**power for power in range(6) if 10**power < 3 * max(spent.values())]
    axes.set_xticks(marks, [f"{mark:,}" for mark in marks])
    axes.minorticks_off()
    for position, name in enumerate(names):
        axes.text(1.1 * spent[name], position, f"{spent[name]:,.0f}", va="center", fontsize=8, color=plots.INK)
    axes.set_xlabel("milliseconds of one core for a clip (logarithmic)")
    axes.grid(axis="x", color=plots.FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    figure.subplots_adjust(left=0.26, right=0.98, bottom=0.11, top=0.98)


def _in_process(name: str, seconds: float) -> dict[str, Any]:
    command = [sys.executable, str(PROGRAM), f"--peer={name}", f"--seconds={seconds:g}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["killed, out of memory perhaps"])[-1]
        raise UserError(f"the process of {name!r} ended with status {done.returncode}: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def _line(name: str, own: list[dict[str, Any]], reference: list[dict[str, Any]]) -> list[str]:
    ratios = [one["milliseconds"] / other["milliseconds"] for one, other in zip(own, reference, strict=True)]
    facts = own[0]
    return [
        name,
        MODULES.get(name, RUNTIMES.get(name, "mil_asc")),
        f"{facts['parameters']:,}",
        f"{facts['macs'] / 1e6:,.0f}",
        f"{facts['size'] / 1e6:.2f}",
        f"{statistics.median(one['memory'] for one in own):,.0f}",
        f"{statistics.median(one['milliseconds'] for one in own):,.1f}",
        f"{statistics.median(ratios):,.1f}",
    ]
