"""What the blocks of ``hparams/augment`` cost: time for a batch, beside a plain way where there is one."""

import statistics
from pathlib import Path

import torch
from torchaudio.functional import fftconvolve

from bench.clock import clock
from mil_asc.augment.mixup import TrainingBatch
from mil_asc.training.blocks import legal_names
from mil_asc.training.config import load_hparams

ROOT = Path(__file__).parents[2]
RECIPE = ROOT / "recipes/SynthScenes/hparams/fuse_pnl.yaml"
"""Any recipe will do; its blocks of augmentation are the same."""
CONVOLVED = "impulse_responses"
UNTIMED = ("none", "ema")
"""Blocks that leave the batch as it is; the average of weights is a part of the optimizer's step."""


def measure_augmentations(model, wav_BN, args):
    """Seconds a batch by block; and, as ``plain``, of the convolution of every clip at the length that it has."""
    batch = unlabelled(wav_BN)
    with torch.no_grad():
        logmel_B1FT = model.front_end(batch.waveforms()).unsqueeze(1)
        found = {}
        for block in legal_names(ROOT / "hparams/augment"):
            if block not in UNTIMED:
                augmentation = load_hparams(RECIPE, {"augment": block})[0]["augment"]["augmentation"]
                augmentation.prepare(model, args.device)
                found[block] = seconds_of(lambda one=augmentation: apply(one, batch, logmel_B1FT), args)
                if block == CONVOLVED:
                    found["plain"] = seconds_of(lambda one=augmentation: plain_convolution(one, batch), args)
    return found


def unlabelled(wav_BN):
    """A batch whose waveforms are floating-point numbers already, so that only what is done to them is timed."""
    index_B = torch.arange(len(wav_BN), device=wav_BN.device)
    return TrainingBatch(wav_BN, torch.full_like(index_B, wav_BN.shape[1]), index_B, index_B)


def apply(augmentation, batch, logmel_B1FT):
    """All pieces; those of the spectrogram on that of the batch as it was."""
    augmentation(batch)
    for piece in augmentation.spectrogram:
        logmel_B1FT = piece(logmel_B1FT)


def plain_convolution(augmentation, batch):
    """Every clip with a response drawn for it, whether it is to be changed or not, and the FFT as long as it comes."""
    (piece,) = augmentation.waveform
    wav_BN = batch.waveforms()
    choice_B = torch.randint(len(piece.bank_KL), (len(wav_BN),), device=wav_BN.device)
    convolved_BN = fftconvolve(wav_BN, piece.bank_KL[choice_B])[:, : wav_BN.shape[1]]
    changed_B = torch.rand(len(wav_BN), device=wav_BN.device) < piece.probability
    return torch.where(changed_B.unsqueeze(1), convolved_BN, wav_BN)


def seconds_of(call, args):
    """Median seconds of a call."""
    clock(call, args.device, calls=2)
    return statistics.median(clock(call, args.device, fill=args.fill / 8, one_by_one=True))
