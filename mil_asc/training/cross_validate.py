"""Cross-validation: one run per fold, one after the other, then a report over all folds."""

import gc

import torch

from mil_asc.errors import UserError
from mil_asc.results.pooled import pool_folds
from mil_asc.results.pooled_page import write_pooled_report
from mil_asc.results.run import SETTINGS, folds_in, place_of_run
from mil_asc.results.settings import read_settings
from mil_asc.training.command_line import read_command
from mil_asc.training.console import print_pooled
from mil_asc.training.execution import execute, is_finished
from mil_asc.training.ranks import join_ranks, lost_ranks
from mil_asc.training.run_folder import OTHER_FOLDER


def cross_validate(arguments):
    """Train the folds that are not finished, pool all of them, report.

    Arguments
    ---------
    arguments : list of str
        A legal command line with ``--folds`` and without ``--fold``. With ``--test_only`` every fold is evaluated
        again, with ``--debug`` every fold is a debug run.

    Returns
    -------
    dict
        The content of ``report.json``; None on all ranks but the main one.

    Raises
    ------
    UserError
        A fold was trained with other settings, run options or lists (before any is trained); what a run raises.
    """
    whole = read_command(arguments)
    commands = {fold: read_command([*arguments, f"--fold={fold}"]) for fold in range(1, whole.folds + 1)}
    debug = whole.options.get("debug", False)
    folder = place_of_run(read_settings(whole.settings)["output_folder"], debug=debug)
    _check_folder(folder, whole.folds)
    again = debug or whole.options.get("test_only", False)
    ranks = join_ranks()
    with lost_ranks(ranks):
        finished = ranks.from_main(lambda: [n for n, command in commands.items() if not again and is_finished(command)])
    for fold, command in commands.items():
        state = ", finished before" if fold in finished else ""
        print(f"fold {fold} of {whole.folds}{state}: {place_of_run(folder, fold)}", flush=True)
        if fold not in finished:
            execute(command)
            _free_memory()
    if not ranks.main:
        return None
    results = pool_folds(folder, whole.folds)
    try:
        page = write_pooled_report(folder, results)
    except OSError as error:
        raise UserError(f"{error.filename or folder}: {error.strerror or error}") from error
    print_pooled(results, page)
    return results


def _check_folder(folder, folds):
    """Refuse a folder that holds a run, or more folds than these."""
    if (folder / SETTINGS).is_file():
        raise UserError(f"{folder} contains a run, which is no cross-validation: {OTHER_FOLDER}")
    more = [path for fold, path in folds_in(folder).items() if fold > folds]
    if more:
        raise UserError(f"{more[0]} belongs to a cross-validation with more than {folds} folds: {OTHER_FOLDER}")


def _free_memory():
    """Free what the run of a fold leaves behind: its objects refer to each other."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
