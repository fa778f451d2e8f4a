"""What several seeds of one experiment reached, as numbers and as text of a table."""

import statistics

from mil_asc.paper.plan import PlannedRun


def seeds_of(recipe, experiment, results, seeds):
    """Seed -> finished run of an experiment, of seeds 1 to ``seeds``; ``results``: planned run -> finished run."""
    wanted = [PlannedRun(recipe, experiment, seed) for seed in range(1, seeds + 1)]
    return {run.seed: results[run] for run in wanted if run in results}


def accuracies_of(found, rule):
    """Seed -> accuracy (in percent) under a rule, of the runs that were evaluated under it."""
    pairs = {seed: run.accuracy(rule) for seed, run in found.items()}
    return {seed: 100 * accuracy for seed, accuracy in pairs.items() if accuracy is not None}


def best_seed(accuracies):
    """(seed, accuracy) of the greatest accuracy; the smallest seed among equals."""
    return min(accuracies.items(), key=lambda pair: (-pair[1], pair[0]))


def mean_text(accuracies, seeds, digits):
    """Mean and sample standard deviation over seeds, and how many of ``seeds`` there are.

    >>> mean_text({1: 80.0, 2: 81.0}, 3, 1)
    '80.5 ± 0.7 (2 of 3 seeds)'
    """
    mean = f"{statistics.mean(accuracies.values()):.{digits}f}"
    spread = f" ± {statistics.stdev(accuracies.values()):.{digits}f}" if len(accuracies) > 1 else ""
    count = f"n = {seeds}" if len(accuracies) == seeds else f"{len(accuracies)} of {seeds} seeds"
    return f"{mean}{spread} ({count})"


def parameters_text(results):
    """Numbers of parameters that runs have, each once; a dash without runs."""
    counts = sorted({result.provenance["parameters"] for result in results})
    return " / ".join(f"{count:,}" for count in counts) or "–"


def next_run(recipe, experiment, found, seeds):
    """The first of seeds 1 to ``seeds`` that has no finished run, or the last."""
    return next(PlannedRun(recipe, experiment, n) for n in range(1, seeds + 1) if n not in found or n == seeds)
