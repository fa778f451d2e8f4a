"""What several figures share: bars in panels, colours of experiments."""

from dataclasses import dataclass

from mil_asc.results import plots
from mil_asc.results.intervals import mean_and_spread

COLOURS = ("#757575", "#0072b2", "#d55e00", "#009e73", "#e69f00", "#cc79a7", "#56b4e9")
BAR, ROW_GAP, PANEL_GAP, LEGEND_LINE = 6, 6, 14, 14
"""In points: height of a bar, what lies between two rows and between two panels, height of a line of the legend."""
NARROWEST, WIDEST = 60, 160
"""Limits of the room (in points) for the names of the rows."""


@dataclass(frozen=True)
class Panel:
    """Bars of one panel: ``title``, ``values[series][row]`` as lists of one number per seed, and the row to shade."""

    title: str
    values: dict
    marked: int | None = None


def colour(index):
    """Colour of the experiment at ``index``; after the last the colours repeat."""
    return COLOURS[index % len(COLOURS)]


def turn(index):
    """How often the colours were used up before the experiment at ``index``: 0, 1 or 2."""
    return min(index // len(COLOURS), 2)


def shorten(name, points):
    """A name that fits into so many points; what is cut off its end shows as dots."""
    most = max(int(points / plots.CHARACTER), 2)
    return name if len(name) <= most else name[: most - 1] + "…"


def paint_bars(figure, panels, rows, per_line=3):
    """Horizontal bars from 0 to 1, a row per class, a bar per experiment; ``per_line`` panels side by side."""
    series = list(panels[0].values)
    lines = [panels[i : i + per_line] for i in range(0, len(panels), per_line)]
    height = len(rows) * (len(series) * BAR + ROW_GAP)
    top = 6 + LEGEND_LINE * -(-len(series) // 3)
    total = top + len(lines) * (height + 46)
    figure.set_size_inches(plots.WIDTH / 72, total / 72)
    side = min(max(plots.CHARACTER * max(map(len, rows)) + 8, NARROWEST), WIDEST)
    width = (plots.WIDTH - side - 12 + PANEL_GAP) / per_line - PANEL_GAP
    rows = [shorten(row, side - 8) for row in rows]
    handles = []
    for i, line in enumerate(lines):
        for k, panel in enumerate(line):
            left, bottom = side + k * (width + PANEL_GAP), total - top - (i + 1) * (height + 46) + 28
            place = (left / plots.WIDTH, bottom / total, width / plots.WIDTH, height / total)
            axes = figure.add_axes(place)
            handles = _paint_panel(axes, panel, rows, shorten(panel.title, width + PANEL_GAP))
            axes.tick_params(labelleft=k == 0)
    figure.legend(handles, series, loc="upper center", ncols=min(3, len(series)), borderpad=0.2, handlelength=1.2)


def _paint_panel(axes, panel, rows, title):
    step = len(panel.values) * BAR + ROW_GAP
    handles = []
    if panel.marked is not None:
        axes.axhspan((panel.marked - 0.5) * step, (panel.marked + 0.5) * step, color="#eef1f4", linewidth=0, zorder=0)
    for k, (name, by_row) in enumerate(panel.values.items()):
        found = [(row, *mean_and_spread(values)) for row, values in enumerate(by_row) if values]
        places = [row * step + (k - (len(panel.values) - 1) / 2) * BAR for row, *_ in found]
        means = [mean for _, mean, _ in found]
        handles.append(
            axes.barh(places, means, BAR - 0.8, color=colour(k), alpha=1 - 0.35 * turn(k), label=name, zorder=2)
        )
        spreads = [(place, mean, spread) for place, (_, mean, spread) in zip(places, found) if spread is not None]
        if spreads:
            y, x, error = zip(*spreads)
            axes.errorbar(x, y, xerr=error, fmt="none", ecolor="black", elinewidth=0.7, zorder=3)
    for row in range(len(rows)):
        if not any(by_row[row] for by_row in panel.values.values()):
            axes.text(0.02, row * step, "no clips", fontsize=8, color=colour(0), va="center")
    axes.set_ylim((len(rows) - 0.5) * step, -0.5 * step)
    axes.set_yticks([row * step for row in range(len(rows))], rows)
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.grid(axis="x", color=plots.FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(title, fontsize=9, loc="left", pad=3)
    return handles
