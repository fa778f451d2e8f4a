"""Throughput of mil-asc classify beside a plain loop: python tools/tagging.py MODEL [--files 400] [--rounds 3]

MODEL is a model folder or the name of a shipped model. The recordings are stereo noise at 48 kHz, 24 bit. The plain
loop decodes each and computes the model's scores (decode, then the network in ONNX Runtime), in as many processes as
the command has (--jobs), with one thread each; it writes nothing. The command writes Parquet parts. Both do a tenth of
the files too, and differences are compared, so that what each takes to start cancels. Contestants take turns, because
the machine may be shared; ratios are taken within a round: the plain loop's processor time, or wall-clock time, of a
file over that of the command; 1 is as good as the loop.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SOURCES = 8
"""Different recordings; the others are links to them."""
SHARE = 10
"""The small turn has one of so many files."""


def loop(source, folder, first, step):
    """The plain loop over every ``step``-th file of a folder from ``first`` on."""
    from mil_asc.audio.decode import decode
    from mil_asc.inference.onnx import OnnxSceneClassifier

    classifier = OnnxSceneClassifier.from_hparams(source, threads=1)
    for path in sorted(Path(folder).iterdir())[int(first) :: int(step)]:
        classifier.compute(decode(path, classifier.interface.sample_rate))


def parse(arguments):
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("model", help="a model folder, or the name of a shipped model")
    parser.add_argument("--files", type=int, default=400, metavar="N", help="recordings of a turn (default 400)")
    parser.add_argument("--seconds", type=int, default=10, metavar="S", help="length of each, 1 to 600 (default 10)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each (default 3)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes of each (default 2)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all measurements go")
    options = parser.parse_args(arguments)
    for name, least in (("files", 2 * SHARE), ("rounds", 1), ("jobs", 2)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be a whole number from {least} up")
    if not 1 <= options.seconds <= 600:
        parser.error("--seconds must be a whole number from 1 to 600")
    if options.json and not options.json.parent.is_dir():
        parser.error(f"--json: no such folder: {options.json.parent}")
    return options


def write_recordings(folder, count, seconds):
    """A folder of ``count`` recordings; all but some are links."""
    import numpy as np
    import soundfile

    rng = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count):
        path = folder / f"{number:06}.wav"
        if number < SOURCES:
            soundfile.write(path, 0.05 * rng.normal(size=(48000 * seconds, 2)), 48000, subtype="PCM_24")
        else:
            os.link(folder / f"{number % SOURCES:06}.wav", path)


def turn(commands):
    """(wall-clock, processor) seconds of programs that run side by side."""
    from mil_asc.errors import UserError

    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    running = [subprocess.Popen(words, env=environment, stderr=subprocess.PIPE, text=True) for words in commands]
    said = [process.communicate()[1].strip().splitlines() for process in running]
    for process, lines in zip(running, said):
        if process.returncode:
            raise UserError(f"a turn ended with status {process.returncode}: {(lines or ['it said nothing'])[-1]}")
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def commands_of(contestant, source, folder, jobs, to):
    """The command lines of a contestant."""
    if contestant == "plain loop":
        return [
            [sys.executable, __file__, "--loop", str(source), str(folder), str(first), str(jobs)]
            for first in range(jobs)
        ]
    words = ["classify", folder, "--model", source, "--format", "parquet", "--to", to, "--jobs", jobs, "--force"]
    return [[sys.executable, "-m", "mil_asc.cli.main", *map(str, words)]]


def main(arguments=None):
    """Measure and print; returns the exit status."""
    from mil_asc.packaging.sources import resolve_source
    from mil_asc.results import markdown
    from mil_asc.runtime import hardware

    options = parse(arguments)
    source, rounds = resolve_source(options.model), []
    names = ("plain loop", "mil-asc classify")
    few = options.files // SHARE
    with tempfile.TemporaryDirectory(prefix="mil_asc_tagging_") as work:
        for count in (few, options.files):
            write_recordings(Path(work, str(count)), count, options.seconds)
        for number in range(options.rounds):
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
            found = {}
            for name in names if number % 2 == 0 else reversed(names):
                turns = [
                    turn(commands_of(name, source, Path(work, str(count)), options.jobs, Path(work, f"out-{count}")))
                    for count in (few, options.files)
                ]
                found[name] = [(more - less) / (options.files - few) for less, more in zip(*turns)]
            rounds.append(found)
    lines = []
    for name in names:
        wall, cpu = (statistics.median(found[name][i] for found in rounds) for i in (0, 1))
        ratios = [statistics.median(found[names[0]][i] / found[name][i] for found in rounds) for i in (0, 1)]
        hours = options.seconds / cpu
        lines.append(
            [name, f"{1000 * cpu:.3g}", f"{hours:.0f}", f"{1000 * wall:.3g}", *(f"{r:.2f}" for r in ratios[::-1])]
        )
    print(
        f"{hardware.processor_name()}, {options.jobs} processes, {options.files} files of {options.seconds} s, ", end=""
    )
    print(f"{options.rounds} rounds\n")
    columns = ["CPU ms a file", "hours of audio per core-hour", "wall ms a file", "ratio, CPU", "ratio, wall"]
    print(markdown.table(["", *columns], lines))
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--loop"]:
        loop(*sys.argv[2:])
    else:
        from mil_asc.runtime.program import run_program

        sys.exit(run_program(main))
