"""What the reports of a table's runs note and warn of: what all of them may say is one line with its range."""

from mil_asc.model.gains import Gains
from mil_asc.results.floor import floor_warning


def warnings_of(reports):
    """Warnings of ``report.json`` contents, each once; those about floors are one line."""
    floors = {about_floor(report) for report in reports}
    others = dict.fromkeys(text for report in reports for text in report["warnings"] if text not in floors)
    return [*others, *floor_line(reports)]


def about_floor(report):
    """The warning that the report of a run has if the model is not better than its floor; None if it has none."""
    return floor_warning(report["floor"]) if report.get("floor") else None


def floor_line(reports):
    """One sentence, in a list, on the runs that are not clearly better than their floor; an empty list without any."""
    below = [report["floor"] for report in reports if about_floor(report) in report["warnings"]]
    if not below:
        return []
    shares = sorted(
        {f"{100 * report['floor']['accuracy']:.1f}" for report in reports if report.get("floor")}, key=float
    )
    behind = sum(floor["difference"]["accuracy"] <= 0 for floor in below)
    return [
        f"{len(below)} of the {len(reports)} runs are not clearly better than the floor "
        f"({' to '.join(_ends(shares))} %), a linear classifier on the mean and deviation of each mel bin, and "
        f"{behind} of these are not better at all (95 % intervals of the differences, paired over the clips)."
    ]


def notes_of(reports):
    """Notes of ``report.json`` contents, each once; those about dead batch-norm channels are one line."""
    gains = [_gains(report) for report in reports]
    about_gains = {found.note for found in gains if found}
    others = dict.fromkeys(text for report in reports for text in report["notes"] if text not in about_gains)
    dead = [found for found in gains if found and found.dead]
    return [*others, *([_dead(dead)] if dead else [])]


def _gains(report):
    found = report["run"].get("batch_norm")
    return Gains(**found) if found else None


def _dead(found):
    low, high = min(one.dead for one in found), max(one.dead for one in found)
    count = f"{low} to {high}" if low < high else f"{low}"
    return (
        f"{count} of up to {max(one.channels for one in found)} batch-norm channels hardly vary in training (dead) in "
        f"{len(found)} runs; the largest gain is {max(one.largest for one in found):.1f}."
    )


def _ends(values):
    return values if len(values) < 2 else [values[0], values[-1]]
