"""Accuracy against parameters: published systems and our best seeds (Tables 8 and 9)."""

import math
from dataclasses import dataclass

from mil_asc.paper.rows import read_published
from mil_asc.results.plots import DECIDED, FAINT, INK, OTHER, PALE, TRUE

WIDTH, HEIGHT = 760, 470
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 10, 36
LETTER, LINE = 5.3, 11.0
"""Width of a letter and height of a line of a name (in points)."""
DOT = 4.5
"""Half the width of a dot."""
DISTANCES = (6, 10, 16, 24, 34, 46, 60, 76, 94, 114, 136, 160)
FAR = 15
"""A name further than this from its dot gets a line to it."""
UNITS = {"K": 1e3, "M": 1e6}


@dataclass(frozen=True)
class System:
    """A dot of the picture: ``params`` trainable parameters, ``accuracy`` in percent; ``kind``: ours, paper, other."""

    name: str
    params: float
    accuracy: float
    kind: str


def parse_params(text):
    """Number of parameters as printed in the paper.

    >>> parse_params("528.3K"), parse_params("3.2M"), parse_params("960")
    (528300.0, 3200000.0, 960.0)
    """
    unit = UNITS.get(text[-1])
    return round(float(text[:-1]) * unit, 6) if unit else float(text)


def systems_of(rows, found):
    """Dots of a table: its published systems, the paper's own results, and our best seeds where there are any.

    ``rows`` are the rows of Table 8 or 9 for one recipe; ``found`` maps a row to (seed, accuracy in percent,
    parameters) of its best seed, and leaves out rows without runs.
    """
    published = read_published(rows[0].table, rows[0].recipe)
    dots = [System(p.system.split(" [")[0], parse_params(p.params), p.accuracy, "other") for p in published]
    for row in rows:
        strategy, extractor, *_ = row.words
        name = f"{extractor} {strategy}"
        if row.paper is not None:
            dots.append(System(f"{name} (paper)", parse_params(row.params), row.paper, "paper"))
        if row in found:
            seed, accuracy, params = found[row]
            dots.append(System(f"{name} (ours, seed {seed})", params, accuracy, "ours"))
    return dots


def dominated(system, systems):
    """Whether another system has no more parameters and no less accuracy, and is better in one of them."""
    return any(
        other.params <= system.params
        and other.accuracy >= system.accuracy
        and (other.params, other.accuracy) != (system.params, system.accuracy)
        for other in systems
    )


def pareto_front(systems):
    """Systems that none dominates, smallest first."""
    return sorted((s for s in systems if not dominated(s, systems)), key=lambda s: (s.params, s.accuracy))


def place_names(dots, widths, area, obstacles=()):
    """Boxes (left, bottom, right, top) for names beside dots, clear of each other, of all dots and of the edge.

    Arguments
    ---------
    dots : list of (float, float)
        Where the dots are (in points).
    widths : list of float
        How wide their names are (in points).
    area : (float, float, float, float)
        Left, bottom, right and top edge of the free area.
    obstacles : list
        Further boxes to keep clear of.

    Returns
    -------
    list
        One box per dot: the nearest free place around it, None where none is free.
    """
    taken = [*obstacles, *((x - DOT, y - DOT, x + DOT, y + DOT) for x, y in dots)]
    boxes = [None] * len(dots)
    for i in sorted(range(len(dots)), key=lambda i: -dots[i][1]):  # from the top, so that names keep the dots' order
        places = (_box(dots[i], widths[i], distance, side) for distance in DISTANCES for side in range(8))
        free = (box for box in places if _inside(box, area) and not any(_overlap(box, other) for other in taken))
        boxes[i] = next(free, None)
        taken += [boxes[i]] if boxes[i] else []
    return boxes


def _box(dot, width, distance, side):
    """The box of a name that lies ``distance`` from its dot; side 0 is right, then counter-clockwise by 45 degrees."""
    angle = (0, 1, 7, 4, 3, 5, 2, 6)[side] * math.pi / 4  # to the right of a dot a name reads best
    towards_x, towards_y = round(math.cos(angle)), round(math.sin(angle))
    x = dot[0] + towards_x * (distance + width / 2)
    y = dot[1] + towards_y * (distance + LINE / 2)
    return x - width / 2, y - LINE / 2, x + width / 2, y + LINE / 2


def _inside(box, area):
    return box[0] >= area[0] and box[1] >= area[1] and box[2] <= area[2] and box[3] <= area[3]


def _overlap(one, other):
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def paint_systems(figure, systems):
    """Systems over a logarithmic axis of parameters, the Pareto front as a line.

    Dominated systems are grey, our own included; ours are squares, the paper's own results rings.
    """
    figure.set_size_inches(WIDTH / 72, HEIGHT / 72)
    room = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    axes = figure.add_axes((LEFT / WIDTH, BOTTOM / HEIGHT, room[0] / WIDTH, room[1] / HEIGHT))
    axes.set_xscale("log")
    limits = _limits(systems)
    axes.set_xlim(limits[0], limits[1])
    axes.set_ylim(limits[2], limits[3])
    front = _front_line(pareto_front(systems), limits[1])
    axes.plot(*zip(*front), color=TRUE, linewidth=1)
    corners = [_to_points(*corner, limits, room) for corner in front]
    dots = [_to_points(system.params, system.accuracy, limits, room) for system in systems]
    widths = [LETTER * len(system.name) for system in systems]
    boxes = place_names(dots, widths, (0, 0, *room), [_hull(*pair) for pair in zip(corners, corners[1:])])
    for system, dot, box in zip(systems, dots, boxes):
        _paint_system(axes, system, dominated(system, systems), dot, box)
    axes.grid(color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("parameters")
    axes.set_ylabel("accuracy (%)")
    axes.set_xticks(*_ticks(limits))
    axes.minorticks_off()


def _limits(systems):
    params, accuracies = [s.params for s in systems], [s.accuracy for s in systems]
    margin = max(1.0, 0.08 * (max(accuracies) - min(accuracies)))
    return min(params) / 1.6, max(params) * 2.5, min(accuracies) - margin, max(accuracies) + margin


def _ticks(limits):
    exponents = range(math.ceil(math.log10(limits[0])), math.floor(math.log10(limits[1])) + 1)
    names = {3: "1K", 4: "10K", 5: "100K", 6: "1M", 7: "10M", 8: "100M"}
    return [10.0**e for e in exponents], [names.get(e, f"1e{e}") for e in exponents]


def _to_points(params, accuracy, limits, room):
    left, right, bottom, top = limits
    x = math.log(params / left) / math.log(right / left)
    return x * room[0], (accuracy - bottom) / (top - bottom) * room[1]


def _front_line(front, right):
    """Corners (parameters, accuracy) of the steps from one system of the front to the next, on to ``right``."""
    corners = []
    for system, following in zip(front, [*front[1:], None]):
        corners += [(system.params, system.accuracy), (following.params if following else right, system.accuracy)]
    return corners


def _hull(one, other, margin=1.0):
    (left, right), (bottom, top) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return left - margin, bottom - margin, right + margin, top + margin


def _paint_system(axes, system, behind, dot, box):
    color = OTHER if behind else DECIDED if system.kind == "ours" else TRUE
    ink = "#8a9199" if behind else DECIDED if system.kind == "ours" else INK
    marker = "s" if system.kind == "ours" else "o"
    face = "white" if system.kind == "paper" else color
    axes.plot(system.params, system.accuracy, marker, markersize=6, color=color, markerfacecolor=face, zorder=3)
    if box is None:
        return
    nearest = (min(max(dot[0], box[0]), box[2]) - dot[0], min(max(dot[1], box[1]), box[3]) - dot[1])
    side = "center" if nearest[0] == 0 else "left" if nearest[0] > 0 else "right"
    start = ((box[0] + box[2]) / 2 - dot[0] if side == "center" else nearest[0], (box[1] + box[3]) / 2 - dot[1])
    where = {"xycoords": "data", "textcoords": "offset points"}
    place = (system.params, system.accuracy)
    if math.hypot(*nearest) > FAR:
        axes.annotate("", place, nearest, arrowprops={"arrowstyle": "-", "color": PALE, "linewidth": 0.8}, **where)
    axes.annotate(system.name, place, start, ha=side, va="center", fontsize=9, color=ink, **where)
