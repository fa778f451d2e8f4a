"""The row of a finished run: its scores, and the settings and the machine that they belong to."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.results.event_detection import detection_scores
from mil_asc.results.run import Run
from mil_asc.results.settings import PIECES_OFF
from mil_asc.results.trained_model import load_model
from mil_asc.synth.event_table import read_events

SCORES = {
    "accuracy": lambda run: run.accuracy(),
    "smi": lambda run: run.accuracy("smi"),
    "cmi": lambda run: run.accuracy("cmi"),
    "tmi_auc": lambda run: run.number("evaluation.tmi.auc_macro"),
    "log_loss": lambda run: run.number("evaluation.log_loss"),
    "confidence": lambda run: run.number("evaluation.underestimation.mean_confidence"),
    "positive_share": lambda run: run.number("evaluation.underestimation.positive_share"),
    "floor": lambda run: run.number("floor.accuracy"),
    "largest_gain": lambda run: run.number("run.batch_norm.largest"),
}
"""Columns that the report of every run has: accuracy under the model's own rule, under SMI and CMI, macro area under
the ROC curve of TMI, log loss, mean confidence of the true class and share of positive instances, accuracy of the
floor, largest batch-norm gain."""
EVENT_SCORES = {
    "event_ap": lambda run: run.number("events.average_precision"),
    "event_chance": lambda run: run.number("events.chance"),
}
"""Columns of a run on scenes with known events: frame-level average precision for the true class's events, with its
chance level."""
DETECTION = ("event_f1", "psds1", "psds2")
"""Columns of ``mil_asc.results.event_detection``."""
MODEL = ("n_mels", "hop_ms", "log_floor", "batch_norm", "pooling")
TRAINING = ("number_of_epochs", "warmup_epochs", "batch_size", "learning_rate", "weight_decay")
SYNTHETIC = ("event_share", "ambiguous_share", "generator_seed", "train_clips", "evaluate_clips", "seconds")
AUGMENTATION = (
    *("crop_seconds", "roll_share", "gain_db", "impulse_probability", "mixup_alpha", "masks", "mask_time_share"),
    *("mask_frequency_share", "mixstyle_probability", "mixstyle_alpha", "time_stretch", "frequency_stretch"),
    "ema_decay",
)
MACHINE = ("precision", "device", "train_seconds")
DIGITS = 5
BITS_PER_DIGIT = 4


@dataclass(frozen=True)
class Measures:
    """What the rows of a study have.

    ``scores`` maps columns to functions of a ``Run``; ``detection`` says whether events are searched for;
    ``settings`` are those that a row keeps: a row that was made with others is stale. With ``group_of``
    (path of a clip -> its group), the row has the columns of ``outcomes``.
    """

    scores: dict[str, Callable[[Run], float]]
    settings: tuple[str, ...]
    detection: bool = False
    group_of: Callable[[str], str] | None = None

    @property
    def numbers(self) -> tuple[str, ...]:
        """Columns of numbers."""
        return (*self.scores, *(DETECTION if self.detection else ()), "train_seconds")

    def measure(self, folder):
        """Scores, settings and machine of the finished run in ``folder``: column -> text or number."""
        run = Run(folder)
        run.check_finished()
        scores = {name: value(run) for name, value in self.scores.items()}
        scores |= events_found(run) if self.detection else {}
        return {
            **{name: round(value, DIGITS) for name, value in scores.items()},
            **(outcomes(run, self.group_of) if self.group_of else {}),
            **{name: setting_of(run, name) for name in self.settings},
            **{name: run.provenance[name] for name in MACHINE[:-1]},
            "train_seconds": round(run.provenance["train_seconds"]),
            "torch": run.provenance["versions"]["torch"],
            "version": run.provenance["versions"]["mil_asc"],
        }


def setting_of(run, name):
    """A setting of a run as text: off for a piece of the augmentation that the run's version did not have."""
    value = run.setting(name)
    return PIECES_OFF[name] if value is None and name in PIECES_OFF else str(value)


EVENTS = Measures(SCORES | EVENT_SCORES, (*SYNTHETIC, *MODEL, *TRAINING), detection=True)
"""For synthetic scenes, whose events are known."""


def recording_of(path):
    """The recording that a clip of ESC-50 was cut from: the second part of its name.

    Example
    -------
    >>> recording_of("audio/1-100210-A-36.wav")
    '100210'
    """
    return Path(path).stem.split("-")[1]


ESC50 = Measures(SCORES, ("window_ms", *MODEL, *TRAINING, *AUGMENTATION), group_of=recording_of)
"""For ESC-50, whose clips are grouped by recording."""


def outcomes(run, group_of):
    """Which clips a run classifies correctly, in columns that make paired tests possible without its folder.

    The clips are in the order of their groups, and within a group in that of their paths. ``group_sizes`` has the
    number of clips of each group, ``correct_own``, ``correct_smi`` and ``correct_cmi`` the clips that are classified
    correctly by the model's own rule, under SMI and under CMI, see ``as_digits``.
    """
    order = sorted(range(len(run.paths)), key=lambda clip: (group_of(run.paths[clip]), run.paths[clip]))
    sizes = Counter(group_of(run.paths[clip]) for clip in order)
    columns = {"group_sizes": " ".join(map(str, sizes.values()))}
    for name, rule in (("own", None), ("smi", "smi"), ("cmi", "cmi")):
        columns[f"correct_{name}"] = as_digits((run.predictions.decided(rule) == run.truth_B)[order])
    return columns


def as_digits(correct_B):
    """Booleans as hexadecimal digits, the first one in the highest bit.

    Example
    -------
    >>> as_digits([True, False, False, True, True]), from_digits("98", 5)
    ('98', [True, False, False, True, True])
    """
    bits = "".join("1" if correct else "0" for correct in correct_B)
    bits += "0" * (-len(bits) % BITS_PER_DIGIT)
    return "".join(f"{int(bits[i : i + BITS_PER_DIGIT], 2):x}" for i in range(0, len(bits), BITS_PER_DIGIT))


def from_digits(text, count):
    """The ``count`` booleans of ``as_digits``."""
    bits = "".join(f"{int(digit, 16):04b}" for digit in text)
    return [bit == "1" for bit in bits[:count]]


def events_found(run):
    """The columns ``DETECTION`` of a run on synthetic scenes; its data folder must still be there."""
    seconds = float(str(run.setting("seconds")))
    corpus = read_dcase_folder(run.data_folder, run.labels)
    events = read_events(run.data_folder / "events.csv", corpus.clips, seconds)
    network = load_model(run.folder).network
    times_I2 = network.instance_times(round(seconds * network.front_end.sample_rate))
    confidences = run.predictions.by_clip(run.predictions.confidence_IC)
    return detection_scores(
        confidences,
        [times_I2] * len(confidences),
        [[event for event in events[path] if event.role == "distinct"] for path in run.paths],
        [run.labels[c] for c in run.truth_B],
        run.labels,
        [seconds] * len(confidences),
    )
