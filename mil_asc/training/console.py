"""The log of a run, and its output on the console."""

import copy
import logging
from pathlib import PurePath

from mil_asc.errors import printable
from mil_asc.runtime import hardware
from mil_asc.runtime.allocator import keeps_pages

logger = logging.getLogger(__name__)

FLOOR = "linear classifier on the mean and deviation of each mel bin"


def start_log(path):
    """Log all messages to ``path``, those of mil_asc and warnings to the console too; returns the handlers."""
    file = _LogFile(path, encoding="utf-8")
    file.setFormatter(_Printable("%(asctime)s %(name)s %(levelname)s %(message)s"))
    console = logging.StreamHandler()
    console.setFormatter(_Printable("%(message)s"))
    console.addFilter(lambda record: record.name.startswith("mil_asc") or record.levelno >= logging.WARNING)
    logging.getLogger().setLevel(logging.INFO)
    for handler in (file, console):
        logging.getLogger().addHandler(handler)
    return [file, console]


class _Printable(logging.Formatter):
    """Messages without escape codes, which names of files may hold; a value that is put in makes no line of its own."""

    def format(self, record):
        """The record as text."""
        record = copy.copy(record)
        if isinstance(record.args, tuple):
            record.args = tuple(printable(str(v)) if isinstance(v, str | PurePath) else v for v in record.args)
        return "\n".join(map(printable, super().format(record).split("\n")))


class _LogFile(logging.FileHandler):
    """A log file whose write errors stop the run, as they do for all other files of the run."""

    def handleError(self, record):
        """Raise the error that occurred when the record was written."""
        raise


def announce_machine(device, precision, folder, ranks=1):
    """Log the device, the number of ranks if there are several, the chosen settings and the folder of the results."""
    pages = "kept" if keeps_pages() else "returned to the system"
    logger.info(
        "%s%s; precision %s, channels_last, %s; results in %s",
        f"{ranks} ranks, each: " if ranks > 1 else "",
        hardware.describe(device),
        precision,
        "TF32 convolutions" if device.type == "cuda" else f"memory pages {pages}",
        folder,
    )


def announce_corpus(corpus):
    """Log the notes and warnings about a data set."""
    announce_notes(corpus.notes)
    announce_warnings(corpus.warnings)


def announce_notes(notes):
    """Log notes: what a reader of the results should know, but need not act on."""
    for note in notes:
        logger.info("note: %s", note)


def announce_warnings(warnings):
    """Log warnings, so that they stand out on the console too."""
    for warning in warnings:
        logger.warning("WARNING: %s", warning)


def print_results(results, page):
    """Print the scores and the path of the report; ``results`` is the content of ``report.json``."""
    found = results["evaluation"]
    seed = "" if "ensemble" in results else f", seed {results['run']['seed']}"
    print(f"{results['dataset']} {results['experiment']}{seed}: {found['clips']} clips in the evaluation set")
    for name in ("smi", "cmi", "bag"):
        if name in found:
            scores = found[name]
            print(f"  {name.upper()}  accuracy {scores['accuracy']:.3f}  class-wise {scores['macro_accuracy']:.3f}")
    print(f"  log loss {found['log_loss']:.3f}")
    print(
        f"  positive instances {found['underestimation']['positive_share']:.3f}"
        f"  mean confidence of the true class {found['underestimation']['mean_confidence']:.3f}"
    )
    if results["events"]:
        text = "  event detection: average precision {average_precision:.3f} (chance {chance:.3f})"
        print(text.format(**results["events"]))
    if results["floor"]:
        text = "  floor: accuracy {accuracy:.3f}  class-wise {macro_accuracy:.3f}  log loss {log_loss:.3f} ({name})"
        print(text.format(**results["floor"], name=FLOOR))
    print(f"  report: {page}")


def print_pooled(results, page):
    """Print the scores over all folds and the path of the report; ``results`` is the content of ``report.json``."""
    found, folds = results["evaluation"], results["cross_validation"]
    run = f"{results['dataset']} {results['experiment']}, seed {results['run']['seed']}"
    print(f"{run}: {folds['folds']} folds, {found['clips']} clips of {folds['groups']} groups, each evaluated once")
    for name in ("smi", "cmi", "bag"):
        if name in found:
            low, high = folds["intervals"][name]
            spread = folds["spread"][f"evaluation.{name}.accuracy"]
            print(
                f"  {name.upper()}  accuracy {found[name]['accuracy']:.3f}, 95 % interval over groups {low:.3f} to "
                f"{high:.3f}; folds {spread['mean']:.3f} ± {spread['sd']:.3f}; "
                f"class-wise {found[name]['macro_accuracy']:.3f}"
            )
    print(f"  log loss {found['log_loss']:.3f}")
    if results["floor"]:
        print(f"  floor: accuracy {results['floor']['accuracy']:.3f} ({FLOOR})")
    if results["warnings"]:
        print(f"  warnings in the report: {len(results['warnings'])}")
    print(f"  report: {page}")
