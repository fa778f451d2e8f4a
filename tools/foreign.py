"""Compare out-of-domain scores of a trained model.

  python tools/foreign.py RUN --own DIR --held_out DIR --choose NAME=PATH --foreign NAME=PATH ... --csv FILE

The scores are fitted to the clips of --own (500 or more) and compared on those of --held_out; both are data sets of the
model's classes in the layout of TAU 2019, never trained on. One score is chosen on pink noise and the recordings of
--choose alone. Then all scores are measured on white and brown noise, tones, chords and the recordings of --foreign. A
PATH is a folder of recordings, or a text file with the path of one per line. Recordings shorter than the clips are
compared with clips that are cut to their length. It needs pytorch-ood. docs/confidence.md has results.
"""

import argparse
import csv
import io
import sys
from itertools import chain
from pathlib import Path

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
import numpy as np
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from mil_asc.audio.decode import decode
from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.corpora.folder_tree import is_audio
from mil_asc.errors import AudioError, UserError
from mil_asc.results import markdown
from mil_asc.results.trained_model import load_model
from mil_asc.runtime.files import write_atomically
from mil_asc.runtime.program import run_program
from mil_asc.studies.foreign_scores import PACKED, calibration_scores, fit_scores, run_clips
from mil_asc.studies.foreign_sounds import MAKERS, make_sounds

COLUMNS = ("set", "used_to_choose", "score", "clips", "seconds", "auroc", "rejected")
CHOICE_NOISE = "pink noise"
REJECTED = 0.01


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="output folder of a finished run")
    parser.add_argument("--own", type=Path, required=True, metavar="DIR", help="clips to fit the scores to")
    parser.add_argument("--held_out", type=Path, required=True, metavar="DIR", help="clips to compare with")
    parser.add_argument("--choose", type=named, required=True, metavar="NAME=PATH", help="recordings to choose on")
    parser.add_argument("--foreign", type=named, nargs="*", default=[], metavar="NAME=PATH", help="others to report")
    parser.add_argument("--sounds", type=int, default=200, help="made sounds of each kind (default 200)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the made sounds (default 7)")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also write the rows here")
    return parser.parse_args(arguments)


def named(text):
    """(name, path) of NAME=PATH."""
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"must be NAME=PATH, got {text!r}")
    return name, Path(path)


def recordings(path):
    """Paths of the recordings below a folder, or listed in a text file (relative to it)."""
    if path.is_dir():
        found = sorted(each for each in path.rglob("*") if is_audio(each.name))
    elif path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines()
        found = [path.parent / line for line in lines if line.strip()]
    else:
        raise UserError(f"{path}: no such folder or list of recordings")
    if not found:
        raise UserError(f"{path}: no recordings")
    return found


def decoded(paths, rate, least):
    """Waveforms of the files that can be decoded; the others are named."""
    for path in paths:
        try:
            yield decode(path, rate, least)
        except AudioError as error:
            print(f"left out: {error}", file=sys.stderr)


class Model:
    """A network, and what it gives for sets of clips."""

    def __init__(self, run):
        self.network, self.labels, _ = load_model(run)
        self.rate = self.network.front_end.sample_rate
        self.least = self.network.min_samples / self.rate

    def run(self, name, waveforms):
        """``Clips`` of waveforms."""
        return run_clips(self.network, tqdm(waveforms, desc=name, unit="clip", leave=False))

    def own(self, folder, seconds=None):
        """(``Clips``, class indices, locations) of a labelled set, cut to ``seconds``."""
        clips = read_dcase_folder(folder, self.labels).clips
        count = None if seconds is None else round(seconds * self.rate)
        waveforms = (decode(folder / clip.path, self.rate, self.least)[:count] for clip in clips)
        found = self.run(folder.name, waveforms)
        return found, np.array([self.labels.index(clip.label) for clip in clips]), [clip.location for clip in clips]


def compare(model, parsed):
    """Rows of all scores on all sets."""
    scores, calibration = fit_scores(model.network, *model.own(parsed.own))
    held = {None: model.own(parsed.held_out)[0]}
    usual = float(np.median(held[None].seconds))
    rows = []

    def add(name, clips, chosen_on):
        seconds = float(np.median(clips.seconds))
        length = seconds if seconds < 0.9 * usual else None
        if length not in held:
            held[length] = model.own(parsed.held_out, length)[0]
        for score_name, score in scores.items():
            own_B, foreign_B = score(held[length]), score(clips)
            limit = calibration.threshold(REJECTED) if score_name == PACKED else np.quantile(own_B, 1 - REJECTED)
            truth = np.repeat([0, 1], [len(own_B), len(foreign_B)])
            area = roc_auc_score(truth, np.concatenate([own_B, foreign_B]))
            share = float(np.mean(foreign_B > limit))
            rows.append((name, chosen_on, score_name, len(clips), f"{seconds:g}", f"{area:.3f}", f"{share:.3f}"))

    for kind in sorted(MAKERS, key=lambda kind: kind != CHOICE_NOISE):
        waveforms = make_sounds(kind, parsed.sounds, parsed.seed, usual, model.rate)
        add(kind, model.run(kind, waveforms), "yes" if kind == CHOICE_NOISE else "no")
    for name, path in chain([parsed.choose], parsed.foreign):
        waveforms = decoded(recordings(path), model.rate, model.least)
        add(name, model.run(name, waveforms), "yes" if (name, path) == parsed.choose else "no")
    for length, clips in held.items():
        score_B = calibration_scores(calibration, clips)
        share = float(np.mean(score_B > calibration.threshold(REJECTED)))
        seconds = usual if length is None else length
        rows.append(("held-out clips", "no", PACKED, len(clips), f"{seconds:g}", "0.500", f"{share:.3f}"))
    return rows, calibration


def table(rows):
    """Markdown table: a score in each row, a set in each column, AUROC and share rejected in the cells."""
    foreign = [row for row in rows if row[0] != "held-out clips"]
    sets, scores = dict.fromkeys(row[0] for row in foreign), dict.fromkeys(row[2] for row in foreign)
    cells = {(row[0], row[2]): f"{row[5]} / {100 * float(row[6]):.0f} %" for row in foreign}
    return markdown.table(["score", *sets], [[score, *(cells[name, score] for name in sets)] for score in scores])


def chosen(rows):
    """(score, its mean AUROC) of the best score on the sets to choose on."""
    areas = {}
    for row in rows:
        if row[1] == "yes":
            areas.setdefault(row[2], []).append(float(row[5]))
    return max(((score, sum(own) / len(own)) for score, own in areas.items()), key=lambda pair: pair[1])


def main(arguments=None):
    """Print the table, write the rows; returns the exit status."""
    parsed = parse(arguments)
    rows, calibration = compare(Model(parsed.run), parsed)
    print(table(rows))
    score, area = chosen(rows)
    print(f"\nchosen on {CHOICE_NOISE} and {parsed.choose[0]}: {score} (mean AUROC {area:.3f})")
    for name, _, _, clips, seconds, _, share in rows:
        if name == "held-out clips":
            print(f"held-out clips of {seconds} s rejected by the packed threshold: {share} of {clips}")
    for rule, own in calibration.rules.items():
        print(
            f"{rule}: accuracy {own.accuracy:.3f}, expected calibration error {own.error_before:.3f} before, "
            f"{own.error_after:.3f} after, slope {own.slope:.3f}, intercept {own.intercept:.3f}"
        )
    print(f"calibration.json: {len(calibration.to_json())} bytes")
    if parsed.csv:
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
        write_atomically(parsed.csv, stream.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
