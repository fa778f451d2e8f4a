"""The report of an ensemble: predictions, ``report.json`` for programs, ``report.html`` for people."""

import json
from pathlib import Path

from mil_asc.errors import UserError
from mil_asc.results.ensemble import Ensemble
from mil_asc.results.predictions import write_predictions
from mil_asc.results.report import fill_page
from mil_asc.results.run import PAGE, PREDICTIONS, REPORT, Run
from mil_asc.runtime.files import write_atomically

FILES = (PREDICTIONS, REPORT, PAGE)


def check_place(folder: str | Path, runs: list[Path]) -> None:
    """Refuse a folder that holds anything but the report of an ensemble, or that lies in one of the runs' folders.

    Raises
    ------
    UserError
        The place is taken.
    """
    folder = Path(folder)
    for run in runs:
        if folder.resolve().is_relative_to(run.resolve()):
            raise UserError(f"{folder} is in the folder of the run {run}, which stays as it is: name another folder")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is there already and no folder: name another one")
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    others = [name for name in names if name not in FILES]
    if others or (names and "ensemble" not in Run(folder).report):
        raise UserError(
            f"{folder} holds something other than an ensemble ({(others or names)[0]}): name a new or an empty folder"
        )


def runs_of_ensemble(folder: str | Path) -> dict[str, str]:
    """Folders of the runs that the report of an ensemble averages -> checksums of their weights at that time; empty
    where ``folder`` holds no such report.

    Raises
    ------
    UserError
        The report is damaged.
    """
    folder = Path(folder)
    if not folder.is_dir() or {path.name for path in folder.iterdir()} != set(FILES):
        return {}
    try:
        return {each["folder"]: each["weights_sha256"] for each in Run(folder).report["ensemble"]["members"]}
    except (KeyError, TypeError) as error:
        raise UserError(f"{folder / REPORT} does not name the runs of an ensemble: name the runs themselves") from error


def write_ensemble(folder: str | Path, ensemble: Ensemble) -> Path:
    """Write ``predictions.npz``, ``report.json`` and ``report.html`` into ``folder``; returns the page's path."""
    folder = Path(folder)
    page = render_ensemble_page(ensemble.results)  # first, so that the files always belong together
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / PREDICTIONS, ensemble.predictions, ensemble.clips, ensemble.results["labels"])
    write_atomically(folder / REPORT, json.dumps(ensemble.results, indent=1, allow_nan=False))
    write_atomically(folder / PAGE, page)
    return folder / PAGE


def render_ensemble_page(results: dict) -> str:
    """The report as one HTML page that refers to nothing outside itself."""
    return fill_page("ensemble.html", results, [])
