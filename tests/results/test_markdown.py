"""Markdown tables."""

from mil_asc.results.markdown import mean_cell, table


def test_bars_in_cells_are_escaped():
    assert table(["a"], [["b|c"]]) == "| a |\n| --- |\n| b\\|c |"


def test_mean_cells():
    cells = [mean_cell([]), mean_cell([0.5]), mean_cell([1.0, 2.0, 3.0]), mean_cell([70.04], 1)]
    assert cells == ["-", "0.500", "2.000 ± 1.000", "70.0"]
