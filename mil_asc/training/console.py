"""What a run writes to its log and to the console."""

import logging

from mil_asc.runtime import hardware
from mil_asc.runtime.allocator import keeps_pages

logger = logging.getLogger(__name__)


def start_log(path):
    """Everything into the file at ``path``, the package's own messages and warnings to the console; the handlers."""
    file = _LogFile(path, encoding="utf-8")
    file.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    console = logging.StreamHandler()
    console.setFormatter(logging.Formatter("%(message)s"))
    console.addFilter(lambda record: record.name.startswith("mil_asc") or record.levelno >= logging.WARNING)
    logging.getLogger().setLevel(logging.INFO)
    for handler in (file, console):
        logging.getLogger().addHandler(handler)
    return [file, console]


class _LogFile(logging.FileHandler):
    """A log file whose errors stop the run, as those of every other file of the run do."""

    def handleError(self, record):
        """Raise what writing the record raised."""
        raise


def announce_machine(device, precision, folder):
    """Log which device and settings were chosen, and where the results go."""
    pages = "kept" if keeps_pages() else "given back to the system"
    logger.info(
        "%s; precision %s, channels_last, %s; results in %s",
        hardware.describe(device),
        precision,
        "TF32 convolutions" if device.type == "cuda" else f"allocator pages {pages}",
        folder,
    )


def announce_corpus(corpus):
    """Log the notes and warnings on the lists of a data set."""
    for note in corpus.notes:
        logger.info("note: %s", note)
    for warning in corpus.warnings:
        logger.warning("WARNING: %s", warning)


def print_results(results, page):
    """Print the scores and where the report is; ``results`` is the content of ``report.json``."""
    found = results["evaluation"]
    run = f"{results['dataset']} {results['experiment']}, seed {results['run']['seed']}"
    print(f"{run}: {found['clips']} clips in the evaluation set")
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
        text = "  events found: average precision {average_precision:.3f} (chance {chance:.3f})"
        print(text.format(**results["events"]))
    print(f"  report: {page}")
