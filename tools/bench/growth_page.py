"""The tables, the finding and the picture of docs/growth.md."""

from itertools import cycle

from matplotlib.ticker import FuncFormatter, LogLocator

from bench.growth_rows import Curve
from mil_asc.results import plots
from mil_asc.results.markdown import table

FASTER = 1.1
"""An exponent above this is called growth faster than the input; below it is the noise of a shared machine."""
NONE = "-"
PANELS = (("processor time (s)", "cpu_seconds"), ("peak memory of the largest process (MiB)", "peak_mib"))
COLOURS = ("#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#757575", "#33383e")
MARKERS = "os^Dv<>P"


def growth_text(rows, steps):
    """The part of the page that follows from the rows: machine, finding, tables of time and of memory."""
    curves = {step: curve for step in steps if (curve := Curve(rows, step)).files}
    if not curves:
        return "No step is measured yet."
    row = next(iter(rows.values()))
    made = f"{row['machine']}; {row['versions']}. Settings: {row['settings']}."
    return "\n\n".join([made, finding(curves), time_table(curves, steps), memory_table(curves, steps)])


def finding(curves):
    """Which steps grow faster than the number of files, by processor time between the two greatest sizes."""
    last = {step: curve.exponents("cpu_seconds")[-1] for step, curve in curves.items() if len(curve.files) > 1}
    if not last:
        return "With one size alone there is no growth to see."
    faster = [f"{step} ({exponent:.2f})" for step, exponent in last.items() if exponent > FASTER]
    if faster:
        return f"**Faster than the number of files grow: {', '.join(faster)}.**"
    most = max(last, key=last.get)
    return (
        "**No step grows faster than the number of files**: between the two greatest sizes the exponents of processor "
        f"time are at most {last[most]:.2f} (`{most}`)."
    )


def time_table(curves, steps):
    """Processor and wall-clock seconds at each size, exponents, a further file, and the constant part."""
    sizes = sizes_of(curves)
    header = ["CPU s (wall s)", *(f"{size:,}" for size in sizes), "exponents", "ms a further file", "constant s"]
    lines = []
    for step, curve in curves.items():
        pairs = zip(curve.values("cpu_seconds"), curve.values("seconds"))
        cells = dict(zip(curve.files, (f"{cpu:.3g} ({wall:.3g})" for cpu, wall in pairs)))
        lines.append(
            [f"`{step}`: {steps[step].title}", *(cells.get(size, NONE) for size in sizes)]
            + [exponents(curve, "cpu_seconds"), *growth(curve, "cpu_seconds", 1000)]
        )
    return table(header, lines)


def memory_table(curves, steps):
    """Peak memory at each size, exponents, a further file, and the constant part."""
    sizes = sizes_of(curves)
    header = ["peak MiB", *(f"{size:,}" for size in sizes), "exponents", "bytes a further file", "constant MiB"]
    lines = []
    for step, curve in curves.items():
        cells = dict(zip(curve.files, (f"{peak:.0f}" for peak in curve.values("peak_mib"))))
        values = [exponents(curve, "peak_mib"), *growth(curve, "peak_mib", 2**20)]
        lines.append([f"`{step}`", *(cells.get(size, NONE) for size in sizes), *values])
    return table(header, lines)


def sizes_of(curves):
    """All numbers of files, sorted."""
    return sorted({size for curve in curves.values() for size in curve.files})


def exponents(curve, name):
    """The exponents as one cell."""
    return ", ".join(f"{exponent:.2f}" for exponent in curve.exponents(name)) or NONE


def growth(curve, name, scale):
    """Cells: what a further file takes between each size and the next, times ``scale``; the constant part."""
    if len(curve.files) < 2:
        return [NONE, NONE]
    return [", ".join(digits(scale * price) for price in curve.per_file(name)), digits(curve.constant(name))]


def digits(value):
    """A number with three digits before its noise, and none behind the point of a large one."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def paint_growth(figure, rows, steps):
    """Processor time and peak memory over the number of files, both logarithmic; exponents behind the names."""
    figure.set_size_inches(9.6, 5.4)
    axes = figure.subplots(1, len(PANELS))
    for panel, (title, name) in zip(axes, PANELS, strict=True):
        for step, colour, marker in zip(steps, cycle(COLOURS), cycle(MARKERS)):
            curve = Curve(rows, step)
            if curve.files:
                label = f"{step}: {exponents(curve, name)}"
                style = {"color": colour, "marker": marker, "markersize": 4}
                panel.plot(curve.files, curve.values(name), label=label, **style)
        _scale(panel, sorted({size for _, size in rows}))
        _paint_proportional(panel, rows, name)
        panel.set_title(title, fontsize=10)
        panel.set_xlabel("files, or rows of a list")
        panel.grid(color=plots.FAINT, linewidth=0.6)
        panel.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, title="exponents from size to size")
    figure.subplots_adjust(left=0.06, right=0.99, bottom=0.33, top=0.93, wspace=0.14)


def _scale(axes, files):
    """Logarithmic axes with numbers as people write them."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.minorticks_off()
    axes.set_xticks(files, [f"{size:,}" for size in files])
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _paint_proportional(axes, rows, name):
    """A dotted line of what grows as the number of files does, through the middle of the picture."""
    files = sorted({size for _, size in rows})
    if len(files) > 1:
        low, high = axes.get_ylim()
        middle = (low * high) ** 0.5 / (files[0] * files[-1]) ** 0.5
        axes.plot(files, [middle * size for size in files], color=plots.OTHER, linestyle=":", linewidth=1)
        axes.set_ylim(low, high)
