"""Preparing: this package's decoding beside the plain way to do it."""

import math
import multiprocessing
import os
import shutil
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import soundfile
import soxr

from bench.clock import clock
from bench.contestants import say
from bench.measures import SAMPLE_RATE
from mil_asc.store.build import prepare_waveforms

FILE_RATE = 48000


PREPARING_TURNS = 3
"""Turns of the two decoders in a round; one takes well below a second."""


def bare_decode(path):
    """The plain way to decode: read, mean of the channels, resample."""
    wav_NC, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return len(soxr.resample(wav_NC.mean(axis=1), rate, SAMPLE_RATE))


def write_clips(folder, args):
    """Names of ``--clips`` stereo files in ``folder``, 48 kHz, 24 bits: noise, shifted from file to file."""
    rng = np.random.default_rng(0)
    wav_NC = 0.1 * rng.standard_normal((round(args.seconds * FILE_RATE), 2), dtype=np.float32)
    names = [f"{i:04d}.wav" for i in range(args.clips)]
    for i, name in enumerate(names):
        soundfile.write(folder / name, np.roll(wav_NC, i, axis=0).clip(-1, 1), FILE_RATE, subtype="PCM_24")
    return names


def compare_decoders(folder, names, args):
    """Seconds of decoding all files, a pair (plain, ours) for every turn; stores are deleted again."""
    say(f"preparing {args.clips} clips, {args.rounds * PREPARING_TURNS} turns")
    paths, pairs = [folder / name for name in names], []
    workers = len(os.sched_getaffinity(0))
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        size = math.ceil(len(paths) / (4 * workers))
        list(pool.map(bare_decode, paths, chunksize=size))  # starts the processes, fills the system's page cache
        for _ in range(args.rounds * PREPARING_TURNS):
            plain = clock(lambda: list(pool.map(bare_decode, paths, chunksize=size)), "cpu", calls=1)[0]
            ours = clock(lambda: prepare_waveforms(folder, names, folder / "turn", progress=False), "cpu", calls=1)[0]
            shutil.rmtree(folder / "turn")
            pairs.append((plain, ours))
    return pairs
