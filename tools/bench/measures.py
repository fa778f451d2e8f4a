"""What is measured in the process of a contestant: latency, training, feeding, augmentation, the machine's limits.

Shapes: B batch, N samples.
"""

import json
import statistics

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench.augmentations import measure_augmentations
from bench.clock import clock, forget_peak, repetitions
from bench.contestants import CONTESTANTS
from mil_asc.corpora.manifest import Clip
from mil_asc.mil.assigners import positive_negative_labels
from mil_asc.mil.decisions import standard
from mil_asc.mil.losses import BagBCE, InstanceBCE, MILLoss
from mil_asc.model.axis_conv import AxisConv2d
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE, FuseConvMod
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head
from mil_asc.runtime import hardware
from mil_asc.store.batches import ClipDataset, ResidentWaveforms
from mil_asc.store.read import WaveformStore

SAMPLE_RATE, NUM_CLASSES = 16000, 10
LEAST_STEPS = 3
"""Steps that are timed at least: a single one is left to chance."""
MATRIX_SIZE = {"cpu": 2048, "cuda": 8192}
COPY_FLOATS = {"cpu": 2**27, "cuda": 2**29}


def measure(args):
    """What the hidden option ``--contestant`` asks for, as one line of JSON."""
    torch.manual_seed(0)
    if args.contestant == "feeding":
        found = measure_feeding(args)
    elif args.contestant == "machine":
        found = measure_machine(args.device, args.fill / 4)
    elif args.contestant == "augmentation":
        model = build_model(args, CONTESTANTS["fast"])
        found = {"augmentation": measure_augmentations(model, waveforms(args, args.batch_size), args)}
    else:
        found = measure_model(args, CONTESTANTS[args.contestant])
    print(json.dumps(found))


def measure_model(args, contestant):
    """Latency first, then training: the process's peak memory only ever grows."""
    set_arithmetic(args.device, contestant)
    model, found = build_model(args, contestant), {}
    if "latency" in args.only:
        found["latency"] = measure_latency(model, args, contestant)
    if "training" in args.only:
        found["training"] = measure_training(model, args, contestant)
        found["training"] |= count_work(model, args, contestant)
    return found


def set_arithmetic(device, contestant):
    """``plain`` computes in full float32 on a GPU too."""
    if contestant.mixed:
        hardware.tune(device)
    elif device == "cuda":
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def build_model(args, contestant):
    """FUSE-MIL of the asked size; ``plain`` has its weights and its feature maps in NCHW order."""
    model = MILClassifier(LogMel(SAMPLE_RATE, args.n_mels, hop_ms=args.hop_ms), FUSE(), Head(NUM_CLASSES))
    use_kernels(model, contestant.kernels)
    if not contestant.channels_last:
        model.to(memory_format=torch.contiguous_format)
        model.extractor.register_forward_pre_hook(in_nchw_order)
    return model.to(args.device)


def use_kernels(model, yes):
    """Whether FUSE is computed with kernels of our own in training."""
    for module in model.modules():
        if isinstance(module, (AxisConv2d, FuseConvMod)):
            module.kernels = yes


def in_nchw_order(module, inputs):
    """One channel fits either memory format, and a convolution follows the strides: make them those of NCHW."""
    return inputs[0].squeeze(1).contiguous().unsqueeze(1)


def autocast(device, contestant):
    """The context in which a step's forward part runs."""
    mixed = contestant.mixed and hardware.best_precision(device) == "bf16"
    return torch.autocast(device, dtype=torch.bfloat16, enabled=mixed)


def waveforms(args, clips):
    """(B, N) quiet noise."""
    return 0.1 * torch.randn(clips, round(args.seconds * SAMPLE_RATE), device=args.device)


def measure_latency(model, args, contestant):
    """Milliseconds from one waveform to the scores of its classes in float32, the best of some calls."""
    wav_1N = waveforms(args, 1)
    model.eval()

    def score():
        with torch.inference_mode():
            return standard(model(wav_1N))

    clock(score, args.device, calls=3)
    seconds = clock(score, args.device, fill=args.fill / 4, one_by_one=True)
    return {"milliseconds": 1000 * min(seconds), "peak_memory": hardware.peak_memory(args.device)}


def measure_training(model, args, contestant):
    """Clips a second of whole steps: forward, loss, backward, SGD."""
    step = training_step(model.train(), args, contestant)
    wav_BN, label_B = waveforms(args, args.batch_size), torch.randint(NUM_CLASSES, (args.batch_size,)).to(args.device)
    warm = warm_up_clips(args, contestant)
    forget_peak(args.device)
    for _ in range(3 if args.device == "cuda" else 1):
        seconds = clock(lambda: step(wav_BN[:warm], label_B[:warm]), args.device, calls=1)[0]
    calls = max(LEAST_STEPS, repetitions(seconds * args.batch_size / warm, args.fill))
    seconds = clock(lambda: step(wav_BN, label_B), args.device, calls=calls)
    return {
        "clips_per_second": args.batch_size * calls / sum(seconds),
        "timed_steps": calls,
        "warm_up_clips": warm,
        "peak_memory": hardware.peak_memory(args.device),
    }


def warm_up_clips(args, contestant):
    """Clips of the warm-up step: a whole batch, or few where nothing of it is kept for the next step anyway."""
    if contestant.keep_pages or args.device == "cuda":
        return args.batch_size
    return max(2, args.batch_size // 12)


def training_step(model, args, contestant):
    """A function (wav_BN, label_B) that makes one step of FUSE-PNL."""
    loss = MILLoss(bag=BagBCE(), instance=InstanceBCE(positive_negative_labels))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-3)

    def step(wav_BN, label_B):
        with autocast(args.device, contestant):
            terms = loss(model(wav_BN), label_B)
        terms["loss"].backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def count_work(model, args, contestant):
    """Floating-point operations and least memory traffic (in bytes) of one clip in a training step.

    Forward and backward are three times the forward part's products; the front end has no backward. Traffic:
    every module's output is written and read in the forward part, and both again in the backward part.
    """
    use_kernels(model, False)  # the operations of PyTorch are counted
    wav_BN = waveforms(args, 2)
    front, whole = (flops(part, wav_BN) for part in (model.front_end, model))
    sizes = output_sizes(model)
    with autocast(args.device, contestant):
        model(wav_BN)
    return {"flops": (3 * whole - 2 * front) / len(wav_BN), "traffic": 4 * sum(sizes) / len(wav_BN)}


def flops(module, wav_BN):
    """Operations of the forward part's convolutions and matrix products, two per multiply-add."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(wav_BN)
    return counter.get_total_flops()


def output_sizes(model):
    """A list that the next forward pass fills with the bytes of every leaf module's output (in-place ones aside)."""
    sizes = []
    for module in model.modules():
        if not list(module.children()) and not isinstance(module, torch.nn.ReLU | torch.nn.Identity):
            module.register_forward_hook(lambda module, inputs, output: sizes.append(output.nbytes))
    return sizes


def measure_feeding(args):
    """Seconds a batch from the store to float waveforms on the device; on a GPU from the resident store too."""
    store = WaveformStore(args.store)
    found = {"store": feed(store, args)}
    if args.device == "cuda":
        found["resident"] = feed(ResidentWaveforms(store, args.device), args)
    return found


def feed(store, args):
    """Seconds a batch of clips drawn by chance."""
    rows = np.arange(len(store.lengths))
    clips = [Clip(str(row), "label", "city", "location", "a") for row in rows]
    dataset, rng = ClipDataset(store, rows, clips, ["label"]), np.random.default_rng(0)

    def batch():
        return dataset.__getitems__(rng.choice(rows, args.batch_size).tolist()).to(args.device).waveforms()

    clock(batch, args.device, calls=2)
    return statistics.median(clock(batch, args.device, fill=args.fill / 8, one_by_one=True))


def measure_machine(device, fill):
    """The limits of the device here and now: rates of a square matrix product, bandwidth of a copy."""
    found = {"fp32": matrix_rate(device, torch.float32, fill), "copy": copy_bandwidth(device, fill)}
    if hardware.best_precision(device) == "bf16":
        found["bf16"] = matrix_rate(device, torch.bfloat16, fill)
    return found


def matrix_rate(device, dtype, fill):
    """Operations a second, two per multiply-add; the best of some products."""
    size = MATRIX_SIZE[device]
    left, right, out = (torch.randn(size, size, device=device).to(dtype) for _ in range(3))
    clock(lambda: torch.mm(left, right, out=out), device, calls=2)
    return 2 * size**3 / min(clock(lambda: torch.mm(left, right, out=out), device, fill, one_by_one=True))


def copy_bandwidth(device, fill):
    """Bytes read and written a second; the best of some copies, far larger than caches."""
    source, target = (torch.ones(COPY_FLOATS[device], device=device) for _ in range(2))
    clock(lambda: target.copy_(source), device, calls=2)
    seconds = clock(lambda: target.copy_(source), device, fill, one_by_one=True)
    return 2 * source.nbytes / min(seconds)
