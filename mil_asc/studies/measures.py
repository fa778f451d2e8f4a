"""The row of a finished run: its scores, and the settings and the machine that they belong to."""

from mil_asc.corpora.dcase import read_dcase_folder
from mil_asc.results.event_detection import detection_scores
from mil_asc.results.run import Run
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
    "event_ap": lambda run: run.number("events.average_precision"),
    "event_chance": lambda run: run.number("events.chance"),
    "floor": lambda run: run.number("floor.accuracy"),
    "largest_gain": lambda run: run.number("run.batch_norm.largest"),
}
"""Columns that the report of a run has: accuracy under the model's own rule, under SMI and CMI, macro area under the
ROC curve of TMI, log loss, mean confidence of the true class and share of positive instances, frame-level average
precision for the true class's events with its chance level, accuracy of the floor, largest batch-norm gain."""
DETECTION = ("event_f1", "psds1", "psds2")
"""Columns of ``mil_asc.results.event_detection``."""
SETTINGS = (
    *("event_share", "ambiguous_share", "generator_seed", "train_clips", "evaluate_clips", "seconds"),
    *("n_mels", "hop_ms", "log_floor", "batch_norm", "pooling"),
    *("number_of_epochs", "warmup_epochs", "batch_size", "learning_rate", "weight_decay"),
)
"""Settings that a row keeps; a row that was made with others is stale."""
MACHINE = ("precision", "device", "train_seconds")
DIGITS = 5


def measure(folder):
    """Scores, settings and machine of the finished run in ``folder``: column -> text or number."""
    run = Run(folder)
    run.check_finished()
    scores = {name: value(run) for name, value in SCORES.items()} | events_found(run)
    return {
        **{name: round(value, DIGITS) for name, value in scores.items()},
        **{name: str(run.setting(name)) for name in SETTINGS},
        **{name: run.provenance[name] for name in MACHINE[:-1]},
        "train_seconds": round(run.provenance["train_seconds"]),
        "torch": run.provenance["versions"]["torch"],
        "version": run.provenance["versions"]["mil_asc"],
    }


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
