"""Notes and warnings of many reports: each once, and those that all of them have in one line."""

from mil_asc.model.gains import Gains
from mil_asc.paper.report_lines import notes_of, warnings_of
from mil_asc.results.floor import floor_warning


def report(difference, floor=0.9, dead=0, more=()):
    """A report whose model is ``difference`` better than its floor, give or take 0.02."""
    found = {"accuracy": difference, "low": difference - 0.02, "high": difference + 0.02, "groups": 9, "rule": "smi"}
    one = {"floor": {"accuracy": floor, "difference": found}, "warnings": list(more), "notes": ["same"]}
    warning = floor_warning(one["floor"])
    one["warnings"] += [warning] if warning else []
    gains = Gains(3.0 + dead, "layer", dead, 100, 1.0)
    one["notes"] += [gains.note] if dead else []
    one["run"] = {"batch_norm": gains.__dict__}
    return one


def test_floors_are_one_line_with_counts_and_range():
    reports = [report(0.01), report(-0.05, more=["partial"]), report(0.0, floor=0.95), report(0.2, more=["partial"])]
    assert warnings_of(reports) == [
        "partial",
        "3 of the 4 runs are not clearly better than the floor (90.0 to 95.0 %), a linear classifier on the mean and "
        "deviation of each mel bin, and 2 of these are not better at all (95 % intervals of the differences, paired "
        "over the clips).",
    ]
    assert warnings_of([report(0.2)]) == []


def test_two_runs_with_the_same_words_count_twice():
    assert warnings_of([report(0.01), report(0.01)])[0].startswith("2 of the 2 runs")


def test_dead_channels_are_one_line():
    assert notes_of([report(0.2, dead=2), report(0.2, dead=7), report(0.2)]) == [
        "same",
        "2 to 7 of up to 100 batch-norm channels hardly vary in training (dead) in 2 runs; the largest gain is 10.0.",
    ]
    assert notes_of([report(0.2)]) == ["same"]


def test_reports_of_earlier_versions_have_neither():
    assert warnings_of([{"warnings": ["old"], "notes": [], "run": {}}]) == ["old"]
    assert notes_of([{"warnings": [], "notes": ["old"], "run": {}}]) == ["old"]
