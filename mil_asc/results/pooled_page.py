"""The report of a cross-validation: ``report.json`` for programs, ``report.html`` for people."""

import json
from pathlib import Path

from mil_asc.results.report import fill_page
from mil_asc.results.run import PAGE, REPORT
from mil_asc.runtime.files import write_atomically

FEW_GROUPS = 10
"""Below this number of groups the page calls the interval over them rough."""


def write_pooled_report(folder: str | Path, results: dict) -> Path:
    """Write ``report.json`` and ``report.html`` into the folder of a cross-validation; returns the page's path.

    ``results`` is the content of ``report.json``, as ``pool_folds`` returns it.
    """
    folder = Path(folder)
    page = render_pooled_page(results)  # first, so that the two files always belong together
    write_atomically(folder / REPORT, json.dumps(results, indent=1, allow_nan=False))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def render_pooled_page(results: dict) -> str:
    """The report as one HTML page, which refers to the pages of the folds and to nothing else."""
    absent: dict = {"history": [], "monitored_list": "evaluation", "events": None, "floor": None}  # of a run's report
    folds = results["cross_validation"]
    return fill_page("pooled.html", absent | results, [], folds=folds, few_groups=FEW_GROUPS)
