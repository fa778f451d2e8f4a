"""Accuracy against parameters: the Pareto front by hand, names that do not cover each other."""

import itertools

import numpy as np
import pytest

from mil_asc.paper.picture import (
    DOT,
    System,
    dominated,
    paint_systems,
    pareto_front,
    parse_params,
    place_names,
    systems_of,
)
from mil_asc.paper.rows import TABLES, read_published, select_rows
from mil_asc.results.plots import DECIDED, OTHER, TRUE, svg

A = System("a", 100, 50, "other")
B = System("b", 200, 60, "other")
C = System("c", 200, 55, "other")  # as large as b, less accurate
D = System("d", 300, 60, "other")  # as accurate as b, larger
E = System("e", 50, 10, "other")  # worst of all, and smallest


@pytest.mark.parametrize("text, number", [("45K", 45_000), ("528.3K", 528_300), ("4.87M", 4_870_000), ("96", 96)])
def test_parameters_as_printed(text, number):
    assert parse_params(text) == number


def test_all_printed_parameters_are_understood():
    printed = [s.params for table in TABLES for name in ("TAU2019", "TAU2020m") for s in read_published(table, name)]
    assert len(printed) == 22
    assert min(map(parse_params, printed)) == 45_000
    assert max(map(parse_params, printed)) == 52_200_000


def test_pareto_front():
    assert pareto_front([D, C, B, A, E]) == [E, A, B]
    assert [system.name for system in (A, B, C, D, E) if dominated(system, [A, B, C, D, E])] == ["c", "d"]


def test_whoever_is_dominated_is_grey():
    """Ours too, which are identified by their shape then."""
    from matplotlib.figure import Figure

    theirs, ours = System("b", 200, 60, "other"), System("b'", 100, 50, "ours")
    beaten = [System("c", 200, 55, "other"), System("d", 300, 58, "ours"), System("e", 400, 40, "paper")]
    figure = Figure()
    paint_systems(figure, [theirs, ours, *beaten])
    dots = {(dot.get_xdata()[0], dot.get_ydata()[0]): dot for dot in figure.axes[0].lines if len(dot.get_xdata()) == 1}
    assert {place: (dot.get_color(), dot.get_marker()) for place, dot in dots.items()} == {
        (200, 60): (TRUE, "o"),
        (100, 50): (DECIDED, "s"),
        (200, 55): (OTHER, "o"),
        (300, 58): (OTHER, "s"),
        (400, 40): (OTHER, "o"),
    }


def test_equals_do_not_dominate_each_other():
    twin = System("twin", 100, 50, "ours")
    assert pareto_front([A, twin]) == [A, twin]


def overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.mark.parametrize("seed", range(5))
def test_names_are_clear_of_each_other_of_dots_and_of_the_edge(seed):
    rng = np.random.default_rng(seed)
    dots = list(zip(rng.uniform(50, 650, 25), rng.uniform(20, 380, 25)))
    dots += [(x + 1, y + 2) for x, y in dots[:4]]  # nearly the same place
    wall = (340.0, 0.0, 342.0, 400.0)
    boxes = place_names(dots, [90.0] * len(dots), (0, 0, 700, 400), [wall])
    assert None not in boxes
    marks = [(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots] + [wall]
    assert not any(overlap(one, other) for one, other in itertools.combinations(boxes, 2))
    assert not any(overlap(box, mark) for box in boxes for mark in marks)
    assert all(0 <= left and 0 <= low and right <= 700 and top <= 400 for left, low, right, top in boxes)


def test_a_name_without_room_is_left_out():
    assert place_names([(10, 10)], [500.0], (0, 0, 100, 100)) == [None]


@pytest.mark.parametrize("table, recipe, others", [(8, "TAU2019", 14), (9, "TAU2020m", 8)])
def test_ours_are_drawn_where_there_are_runs_alone(table, recipe, others):
    rows = select_rows(table, recipe)
    systems = systems_of(rows, {rows[1]: (4, 66.25, 139082)})
    kinds = [system.kind for system in systems]
    assert (kinds.count("other"), kinds.count("paper"), kinds.count("ours")) == (others, len(rows), 1)
    ours = systems[kinds.index("ours")]
    assert ours == System("FUSE MIL w/ GT (ours, seed 4)", 139082, 66.25, "ours")
    text = svg(paint_systems, systems)
    assert all(f">{system.name}<" in text for system in systems)
    assert text == svg(paint_systems, systems)  # the same bytes each time
