"""From a checked command line to a report: device, hyperparameters, the folder of the run, its steps."""

import mil_asc.runtime.compat  # noqa: F401  (before SpeechBrain)

# isort: split
from speechbrain.utils.run_opts import RunOptions

from mil_asc.corpora.data_layout import check_apart
from mil_asc.corpora.leave_out import leave_out
from mil_asc.errors import UserError
from mil_asc.results.run import PAGE, PREDICTIONS, Run
from mil_asc.runtime import hardware
from mil_asc.training.config import build_hparams, one_line_errors
from mil_asc.training.ranks import Ranks, device_of, join_ranks, lost_ranks
from mil_asc.training.run_data import read_corpus
from mil_asc.training.run_folder import RunFolder, options_of_results
from mil_asc.training.steps import TrainingRun

TORCH_WRITE_ERRORS = ("inline_container", "iostream error")
"""Parts of the messages of ``torch.save`` when a file cannot be written: it does not raise an ``OSError``."""


def execute(command):
    """Train, evaluate and report as a ``Command`` says; returns the content of ``report.json``, on the main rank."""
    ranks = join_ranks()
    options, hparams = load_run(command, ranks)
    folder = _run_folder(options, hparams, ranks)
    try:
        if not hparams["data"]["manifests"]:
            check_apart("output_folder", folder.path, hparams["data"]["data_folder"])
            check_apart("cache_folder", hparams["data"]["cache_folder"], hparams["data"]["data_folder"])
        with lost_ranks(ranks), hardware.memory_errors("lower --batch_size, or use a smaller model or shorter clips"):
            with ranks.main_first():
                folder.open(command.settings, training=not options.test_only)
            results = TrainingRun(hparams, command.settings, options, folder, ranks).execute()
            ranks.barrier()
        return results
    except OSError as error:
        raise UserError(f"{error.filename or folder.path}: {error.strerror or error}") from error
    except RuntimeError as error:
        if not any(part in str(error) for part in TORCH_WRITE_ERRORS):
            raise
        raise UserError(
            f"{folder.path}: a checkpoint cannot be written, most likely because the disk is full; "
            "free some space and start again"
        ) from error
    finally:
        folder.close()


def is_finished(command):
    """Whether the run of a ``Command`` is finished; its lists are read, but no audio.

    Raises the ``UserError`` of a start if its folder contains a run with other settings, run options or lists.
    """
    ranks = join_ranks()
    options, hparams = load_run(command, ranks)
    folder = _run_folder(options, hparams, ranks)
    folder.check_settings(command.settings)
    folder.check_options(options_of_results(options, hparams, ranks))
    run = Run(folder.path)
    if not run.finished or not all((folder.path / name).is_file() for name in (PREDICTIONS, PAGE)):
        return False
    corpus = read_corpus(hparams["data"])
    folder.check_lists(leave_out(corpus, run.bad_audio) if hparams["data"]["on_bad_audio"] == "skip" else corpus)
    return True


def _run_folder(options, hparams, ranks):
    return RunFolder(hparams["output_folder"], options.debug, hparams["data"].get("fold", 0), ranks.main)


def load_run(command, ranks=None):
    """The run options and the built hyperparameters of a ``Command``, after all checks; for one rank by default."""
    ranks = ranks or Ranks()
    options = _with_device(command, ranks)
    hparams = build_hparams(command.path, command.settings)
    with one_line_errors(command.path):
        TrainingRun.check_settings(hparams)
    return options, hparams


def _with_device(command, ranks):
    """SpeechBrain's ``RunOptions`` of a ``Command``, with device and precision filled in."""
    options = dict(command.options)
    device = device_of(ranks, options.get("device"))
    options["device"], kind = str(device), device.type
    if kind == "cpu" and "fp16" in (options.get("precision"), options.get("eval_precision")):
        raise UserError("fp16 does not work on the CPU: use --precision=bf16 or fp32")
    options.setdefault("precision", hardware.best_precision(kind))
    given = set(options)
    if not ranks.main:
        options["noprogressbar"] = True
    return RunOptions(**options, param_file=str(command.path), overridden_args=given)
