"""Pictures of the report page, as SVG text. matplotlib is imported when the first one is drawn.

Every ``paint_*`` fills a given ``matplotlib.figure.Figure``; ``svg`` makes the text of one. Sizes are in points,
and a picture is ``WIDTH`` wide. Colours are those of Okabe and Ito, which colour-blind people can distinguish.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mil_asc.corpora.manifest import Event
    from mil_asc.results.examples import Example

TRUE, DECIDED, OTHER = "#0072b2", "#d55e00", "#757575"
DISTINCT, AMBIGUOUS = "#009e73", "#e69f00"
ROLE_COLOURS = {"distinct": DISTINCT, "ambiguous": AMBIGUOUS}
INK, PALE, FAINT = "#33383e", "#c9ced4", "#dfe2e6"
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mil_asc",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": "#9aa1a9",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
}

WIDTH, LEFT, RIGHT = 460, 40, 36
SPECTROGRAM, LANE, STRIP, LINES = 150, 13, 11, 96
SHADES = 32
"""Colours of a spectrogram; more would make the page larger and show no more."""
CHARACTER = 5.2
"""Width of a letter of an event's name."""


def svg(paint: Callable[..., None], *arguments: object) -> str:
    """SVG text of the figure that ``paint(figure, *arguments)`` fills."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(STYLE):
        figure = Figure()
        paint(figure, *arguments)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return text.getvalue()


def data_uri(svg: str) -> str:
    """SVG text as a ``data:`` address, which keeps its ids and styles apart from the page's."""
    return "data:image/svg+xml," + quote(svg, safe=" /+=;,()!*~")


def stacked_axes(figure: Figure, heights: list[float], gap: float, top: float = 8, bottom: float = 34) -> list[Axes]:
    """Axes one below the other with a common x axis, ``heights`` high, ``gap`` apart (in points, top first)."""
    total = top + sum(heights) + gap * (len(heights) - 1) + bottom
    figure.set_size_inches(WIDTH / 72, total / 72)
    edges = total - top - np.cumsum([0, *heights[:-1]]) - gap * np.arange(len(heights))
    width = (WIDTH - LEFT - RIGHT) / WIDTH
    axes: list[Axes] = []
    for edge, height in zip(edges, heights):
        place = (LEFT / WIDTH, (edge - height) / total, width, height / total)
        axes.append(figure.add_axes(place, sharex=axes[0] if axes else None))
    for upper in axes[:-1]:
        upper.tick_params(bottom=False, labelbottom=False)
    return axes


# -- learning curves


def paint_losses(figure: Figure, history: list[dict], monitored: str) -> None:
    """Training loss and its terms (natural-log units, mean over clips) by epoch, and the monitored loss.

    ``history`` has one record per epoch, as in ``report.json``; ``monitored`` names the monitored set.
    """
    (axes,) = stacked_axes(figure, [223], gap=0)
    terms = [name for name in history[0]["train"] if name not in ("loss", "accuracy")]
    _curve(axes, history, "train", "loss", color="black", label="training: total loss")
    for name, color in zip(terms if len(terms) > 1 else [], (TRUE, DECIDED, DISTINCT, AMBIGUOUS, OTHER)):
        _curve(axes, history, "train", name, color=color, label=f"training: {name} loss")
    label = f"{monitored} set: total loss"
    _curve(axes, history, "monitor", "loss", color="black", linestyle=":", marker="o", markersize=3.5, label=label)
    _by_epoch(axes, history)
    axes.set_ylim(bottom=0)
    axes.legend(loc="best")


def paint_accuracy(figure: Figure, history: list[dict], monitored: str) -> None:
    """Training and monitored accuracy (share of clips, by the pooling) by epoch, and below it the learning rate."""
    axes, rate = stacked_axes(figure, [150, 47], gap=18, top=16)
    _curve(axes, history, "train", "accuracy", color=TRUE, label="training set, while training")
    label = {
        "validation": "validation split (the best epoch is chosen on it)",
        "evaluation": "evaluation set (nothing is chosen on it)",
    }.get(monitored, monitored)
    look = {"color": DECIDED, "linestyle": ":", "marker": "o", "markersize": 3.5}
    _curve(axes, history, "monitor", "accuracy", label=label, **look)
    axes.set_ylim(0, 1)
    axes.set_title("accuracy by the pooling of training", fontsize=9, loc="left", pad=2)
    axes.legend(loc="best")
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    rate.plot([record["epoch"] for record in history], [record["learning_rate"] for record in history], color=OTHER)
    rate.set_ylim(bottom=0)
    rate.set_title("learning rate", fontsize=9, loc="left", pad=2)
    rate.locator_params(axis="y", nbins=3)
    _by_epoch(rate, history)


def _curve(axes: Axes, history: list[dict], group: str, name: str, **look: Any) -> None:
    points = [(record["epoch"], record[group][name]) for record in history if name in record.get(group, {})]
    if points:
        marker: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(points) < 3 else {}
        axes.plot(*zip(*points), **{**marker, **look})


def _by_epoch(axes: Axes, history: list[dict]) -> None:
    first, last = history[0]["epoch"], history[-1]["epoch"]
    margin = 0.02 * (last - first) or 0.5
    axes.set_xlim(first - margin, last + margin)
    axes.locator_params(axis="x", integer=True, nbins=10)
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_xlabel("epoch")


# -- examples


def paint_example(figure: Figure, example: Example, labels: list[str]) -> None:
    """Log-mel, events, instances' most confident classes and confidences of one clip over a common time axis.

    ``example`` is a ``mil_asc.results.report.Example``; ``labels`` are the classes in the order of its confidences.
    """
    seconds = (example.logmel_FT.shape[1] - 0.5) * example.hop_seconds
    names = place_names(example.events, seconds)
    lanes = [LANE * (1 + max(lane for *_, lane in names))] if names else []
    axes = stacked_axes(figure, [SPECTROGRAM, *lanes, STRIP, LINES], gap=6, bottom=32)
    _paint_spectrogram(axes[0], example)
    if names:
        _paint_events(axes[1], names)
    curves = confidence_curves(example, labels)
    _paint_strip(axes[-2], example, curves)
    _paint_confidences(axes[-1], example, curves)
    axes[-1].set_xlim(0, seconds)


def confidence_curves(example: Example, labels: list[str]) -> list[tuple[int, str, str]]:
    """(class index, colour, line style) of the strongest other class, the true and the decided class.

    The last two are one, in the colour of the true class, where the decision is correct. "Strongest" is the
    class with the greatest confidence of any instance.
    """
    true, decided = labels.index(example.label), labels.index(example.decision)
    strength_C = example.confidence_IC.max(0)
    others = [c for c in range(len(labels)) if c not in (true, decided)]
    curves = [(max(others, key=strength_C.__getitem__), OTHER, "--")] if others else []
    curves.append((true, TRUE, "-"))
    return curves if true == decided else [*curves, (decided, DECIDED, "-")]


def place_names(events: list[Event], seconds: float) -> list[tuple[Event, str, int]]:
    """(event, side of its name, lane) of events, so that neither bars nor names cover each other.

    ``seconds`` is the length of the time axis. A name is placed "after" its bar, or "before" it near the end.
    """
    placed: list[tuple[Event, str, int]] = []
    busy_until: list[float] = []
    for event in sorted(events, key=lambda event: event.onset):
        width = CHARACTER * (len(event.kind) + 1) * seconds / (WIDTH - LEFT - RIGHT)
        before = event.offset + width > seconds
        start = event.onset - width if before else event.onset
        end = event.offset if before else event.offset + width
        lane = next((k for k, until in enumerate(busy_until) if until <= start), len(busy_until))
        busy_until[lane : lane + 1] = [end]
        placed.append((event, "before" if before else "after", lane))
    return placed


def _paint_spectrogram(axes: Axes, example: Example) -> None:
    from matplotlib import colormaps

    bins, frames = example.logmel_FT.shape
    low, high = np.percentile(example.logmel_FT, (1, 99.8))
    hop = example.hop_seconds
    extent = (-hop / 2, (frames - 0.5) * hop, -0.5, bins - 0.5)
    colours = colormaps["magma"].resampled(SHADES)
    look: dict[str, Any] = {"origin": "lower", "aspect": "auto", "cmap": colours, "interpolation": "none"}
    axes.imshow(example.logmel_FT, extent=extent, vmin=low, vmax=max(high, low + 1e-6), **look)
    ticks = [khz for khz in (0.5, 1, 2, 4, 8, 16) if 1000 * khz <= example.top_hz]
    places = [min((bins + 1) * _mel(1000 * khz) / _mel(example.top_hz) - 1, bins - 0.5) for khz in ticks]
    axes.set_yticks(places, [f"{khz:g}" for khz in ticks])
    axes.set_ylabel("kHz (about)", fontsize=9, labelpad=3)
    _right_axis(axes, np.linspace(0, bins, 5).round() - [0, 1, 1, 1, 1], "mel bin")


def _right_axis(axes: Axes, ticks: np.ndarray, label: str) -> None:
    twin = axes.twinx()
    twin.set_ylim(axes.get_ylim())
    twin.set_yticks(ticks, [f"{tick:.0f}" for tick in ticks])
    twin.set_ylabel(label, fontsize=9, labelpad=2)
    twin.tick_params(right=True, length=2)


def _mel(hz: float) -> float:
    return 2595 * np.log10(1 + hz / 700)


def _paint_events(axes: Axes, names: list[tuple[Event, str, int]]) -> None:
    for event, side, lane in names:
        color = ROLE_COLOURS.get(event.role, OTHER)
        hatch = None if event.role == "distinct" else "/////"
        face = color if event.role == "distinct" else "none"
        bar: dict[str, Any] = {"height": 0.6, "facecolor": face, "edgecolor": color, "hatch": hatch}
        axes.barh(-lane, event.offset - event.onset, left=event.onset, linewidth=0.8, **bar)
        x, align = (event.offset, "left") if side == "after" else (event.onset, "right")
        gap = (3, 0) if side == "after" else (-3, 0)
        where: dict[str, Any] = {"textcoords": "offset points", "ha": align, "va": "center_baseline", "fontsize": 9}
        axes.annotate(event.kind, (x, -lane), gap, annotation_clip=False, parse_math=False, **where)
    axes.set_ylim(-max(lane for *_, lane in names) - 0.5, 0.5)
    axes.set_axis_off()


def _paint_strip(axes: Axes, example: Example, curves: list[tuple[int, str, str]]) -> None:
    """The most confident class of every instance; the decided class in full height."""
    colours = {c: color for c, color, _ in curves}
    decided = curves[-1][0]
    winner_I = example.confidence_IC.argmax(1)
    starts_I, ends_I = example.times_I2.T
    height_I = np.where(winner_I == decided, 1.0, 0.5)
    color_I = [colours.get(c, PALE) for c in winner_I]
    axes.bar(starts_I, height_I, ends_I - starts_I, align="edge", color=color_I, edgecolor="white", linewidth=0.5)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _paint_confidences(axes: Axes, example: Example, curves: list[tuple[int, str, str]]) -> None:
    edges = np.append(example.times_I2[:, 0], example.times_I2[-1, 1])
    for event in example.events:
        axes.axvspan(event.onset, event.offset, color=ROLE_COLOURS.get(event.role, OTHER), alpha=0.16, linewidth=0)
    for c, color, linestyle in curves:
        axes.stairs(example.confidence_IC[:, c], edges, baseline=None, color=color, linestyle=linestyle, linewidth=1.4)
    decided, color, _ = curves[-1]
    deciding = example.confidence_IC[:, decided].argmax()
    middle = example.times_I2[deciding].mean()
    axes.plot(middle, example.confidence_IC[deciding, decided], "o", color=color, markersize=5, clip_on=False)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.5, 1])
    axes.grid(axis="y", color=FAINT, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_ylabel("confidence", fontsize=9)
    axes.set_xlabel("time (s)", labelpad=2)
