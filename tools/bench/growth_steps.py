"""The steps of ``tools/growth.py``: what each runs, and what it takes in a process of its own."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.tiny_corpus import SAMPLE_RATE, SAMPLES, write_lists, write_recordings
from mil_asc.errors import UserError
from mil_asc.runtime.tied_program import tied

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes/AnyFolder"
MODEL = "--channels=[4,4,6,8] --num_blocks=1 --n_mels=16 --instance_dim=8 --hop_ms=32".split()
TRAINING = [*MODEL, "--number_of_epochs=1", "--warmup_epochs=0", "--batch_size=128", "--device=cpu", "--precision=fp32"]
JOBS = 2
SETTINGS = f"{SAMPLES / SAMPLE_RATE:g} s at {SAMPLE_RATE} Hz; {' '.join(TRAINING)}; --jobs={JOBS}"
"""What the numbers depend on, in every row."""
MODEL_FILES = 40


class Place:
    """A working folder: paths of what the steps read and write there."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.recordings, self.waveforms = self.folder / "recordings", self.folder / "waveforms"
        self.lists, self.manifests = self.folder / "lists", self.folder / "manifests"
        self.run, self.scenes = self.folder / "run", self.folder / "scenes"

    def prepare_words(self, *more):
        """The recipe's preparation, with a tenth of the training files held out."""
        return [RECIPE / "any_folder_prepare.py", self.recordings, self.manifests, "--valid_fraction=0.1", *more]

    def train_words(self):
        """One epoch of a tiny model, its evaluation and its report."""
        folders = [f"--data_folder={self.recordings}", f"--cache_folder={self.waveforms}"]
        words = [*folders, f"--output_folder={self.run}", *TRAINING, "--noprogressbar"]
        return [RECIPE / "train.py", RECIPE / "hparams/fuse_pnl.yaml", *words]

    def tag_words(self):
        """The command that tags the recordings, or finds that all are tagged."""
        words = ["classify", self.recordings, "--model", tiny_model(self.folder.parent), "--format", "parquet"]
        return ["-m", "mil_asc.cli.main", *words, "--to", self.scenes, f"--jobs={JOBS}"]

    def own_words(self, part):
        """A part of ``bench.growth_parts`` on the lists of TAU 2022."""
        return [ROOT / "tools/growth.py", "--part", part, self.lists, self.manifests]


@dataclass(frozen=True)
class Step:
    """``title`` for the page; ``words``, from a ``Place``, are behind ``python``; ``after`` names a step before it."""

    title: str
    words: Callable[[Place], list]
    after: str = ""
    of_lists: bool = False


STEPS = {
    "list": Step("list class folders, write manifests", lambda place: place.prepare_words()),
    "prepare": Step(
        "the same, and decode into the waveform store",
        lambda place: place.prepare_words("--waveforms", f"--cache_folder={place.waveforms}"),
    ),
    "open": Step(
        "the same again: the store is there",
        lambda place: place.prepare_words("--waveforms", f"--cache_folder={place.waveforms}"),
        after="prepare",
    ),
    "train": Step("train one epoch, evaluate, report", Place.train_words, after="prepare"),
    "tag": Step("`mil-asc classify` to Parquet", Place.tag_words),
    "resume": Step("the same again: every row is there", Place.tag_words, after="tag"),
    "lists": Step("read the lists of TAU 2022", lambda place: place.own_words("lists"), of_lists=True),
    "manifests": Step(
        "the same, write manifests, read them", lambda place: place.own_words("manifests"), of_lists=True
    ),
}


def tiny_model(work):
    """The folder of a tiny model, which is trained and packed there if it is missing."""
    model = Path(work) / "model"
    if not model.is_dir():
        with tempfile.TemporaryDirectory(dir=work) as folder:
            place = Place(folder)
            write_recordings(place.recordings, MODEL_FILES)
            measure("a model to tag with", place.train_words())
            measure("a model to tag with", ["-m", "mil_asc.cli.main", "pack", place.run, "--to", model])
    return model


def measure(title, words):
    """Seconds, processor seconds and peak memory (in MiB) of a Python program; a ``UserError`` where it fails."""
    small = [sys.executable, Path(__file__).with_name("small_process.py"), sys.executable, *words]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as said:
        command = tied([str(word) for word in small])
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
        if done.returncode:
            said.seek(0)
            lines = said.read().strip().splitlines()
            raise UserError(f"{title}: ended with status {done.returncode}: {(lines or ['it said nothing'])[-1]}")
    return {name: float(f"{value:.4g}") for name, value in json.loads(done.stdout).items()}  # as the file has them


class Size:
    """All steps at one number of files, in a folder of their own; what a step needs is done before it."""

    def __init__(self, work, count):
        self.place, self.count, self._done = Place(Path(work) / str(count)), count, set()

    def measure(self, name):
        """What a step takes."""
        step = STEPS[name]
        if step.after and step.after not in self._done:
            self.measure(step.after)
        self._make(step)
        found = measure(f"{name}, {self.count} files", step.words(self.place))
        self._done.add(name)
        return found

    def _make(self, step):
        if step.of_lists and not self.place.lists.is_dir():
            write_lists(self.place.lists, self.count)
        if not step.of_lists and not self.place.recordings.is_dir():
            write_recordings(self.place.recordings, self.count)
        if not step.after:  # it begins anew
            for folder in (self.place.manifests, *self._outputs(step)):
                shutil.rmtree(folder, ignore_errors=True)

    def _outputs(self, step):
        return {STEPS["prepare"]: [self.place.waveforms], STEPS["tag"]: [self.place.scenes]}.get(step, [])

    def remove(self):
        """Delete everything."""
        shutil.rmtree(self.place.folder, ignore_errors=True)
