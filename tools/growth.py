"""Time and memory of each step against the number of files: python tools/growth.py [--files 1000,10000,100000]

Makes tiny recordings in a temporary folder and lists them, decodes them, trains on them and tags them, each step at
each size in a process of its own; and reads lists of TAU 2022 without sound. Appends a row to docs/growth.csv with each
step that is done, so that the command goes on where it was stopped, and writes the tables and the picture of
docs/growth.md. 100,000 files take 3 GB of disk while they are measured.
"""

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES, ROWS = (1000, 10_000, 100_000), (1000, 10_000, 100_000, 230_350)
"""Numbers of recordings; of rows of TAU 2022, which has 230,350."""
LEAST = 20
"""Two files of each class."""


def numbers(text):
    """Argument type: whole numbers from ``LEAST`` up, separated by commas."""
    with contextlib.suppress(ValueError):
        found = sorted({int(word) for word in text.split(",")})
        if found[0] >= LEAST:
            return found
    raise argparse.ArgumentTypeError(f"must be whole numbers from {LEAST} up, such as 1000,10000, got {text!r}")


def parse(arguments, steps):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    add = parser.add_argument
    add("--files", type=numbers, default=FILES, metavar="N,N", help="numbers of recordings (1000,10000,100000)")
    add("--rows", type=numbers, default=ROWS, metavar="N,N", help="rows of the lists (1000,10000,100000,230350)")
    add("--steps", default=",".join(steps), metavar="A,B", help=f"some of {','.join(steps)} (all)")
    add("--csv", type=Path, default=ROOT / "docs/growth.csv", metavar="FILE", help="rows (docs/growth.csv)")
    add(
        "--page",
        type=Path,
        default=ROOT / "docs/growth.md",
        metavar="FILE",
        help="page that is there, whose tables are replaced",
    )
    add("--picture", type=Path, default=ROOT / "docs/growth.svg", metavar="FILE", help="picture (docs/growth.svg)")
    add("--work", type=Path, metavar="DIR", help="where the temporary folder is made (the system's)")
    add("--no_run", action="store_true", help="measure nothing: write page and picture from the rows that are there")
    options = parser.parse_args(arguments)
    options.steps = options.steps.split(",")
    unknown = [name for name in options.steps if name not in steps]
    if unknown:
        parser.error(f"--steps: unknown step {unknown[0]!r}; legal: {', '.join(steps)}")
    for name, folder in (("csv", options.csv.parent), ("picture", options.picture.parent), ("work", options.work)):
        if folder is not None and not folder.is_dir():
            parser.error(f"--{name}: no such folder: {folder}")
    return options


def measure_missing(options, rows, facts):
    """Measure the steps that have no row, the smallest size first, and write each row as it is there."""
    from bench.growth_rows import write_rows
    from bench.growth_steps import STEPS, Size

    with tempfile.TemporaryDirectory(prefix="mil_asc_growth_", dir=options.work) as work:
        for count in sorted({*options.files, *options.rows}):
            size = Size(work, count)
            for name in options.steps:
                wanted = options.rows if STEPS[name].of_lists else options.files
                if count in wanted and (name, count) not in rows:
                    found = size.measure(name)
                    rows[name, count] = {"step": name, "files": count, **found, **facts}
                    write_rows(options.csv, rows, STEPS)
                    used = f"{found['cpu_seconds']:.1f} s of processor, {found['peak_mib']:.0f} MiB"
                    print(f"{name}, {count} files: {found['seconds']:.1f} s, {used}", file=sys.stderr, flush=True)
            size.remove()


def main(arguments=None):
    """Measure what is missing, and write the page; returns the exit status."""
    from bench.growth_page import growth_text, paint_growth
    from bench.growth_rows import check_facts, facts_here, read_rows
    from bench.growth_steps import SETTINGS, STEPS

    from mil_asc.paper.fill import put_text, read_page
    from mil_asc.results import plots
    from mil_asc.runtime.files import write_atomically

    options = parse(arguments, STEPS)
    read_page(options.page)  # an hour before it is needed
    rows = read_rows(options.csv, STEPS)
    if not options.no_run:
        facts = facts_here(SETTINGS)
        check_facts(options.csv, rows, facts)
        measure_missing(options, rows, facts)
    put_text(options.page, growth_text(rows, STEPS))
    write_atomically(options.picture, plots.svg(paint_growth, rows, STEPS))
    print(f"written: {options.page}, {options.picture} ({len(rows)} rows)")
    return 0


def main_part(words):
    """A part of a step in this process, which imports nothing else."""
    from bench.growth_parts import main as part

    return part(*words)


if __name__ == "__main__":
    from mil_asc.runtime.program import run_program

    if sys.argv[1:2] == ["--part"]:
        sys.exit(run_program(lambda: main_part(sys.argv[2:])))
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that temporary files are removed
    sys.exit(run_program(main))
