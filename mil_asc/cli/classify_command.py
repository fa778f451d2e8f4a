"""``mil-asc classify``: the scene of every recording, as rows or as files for other programs."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from mil_asc.cli.model_choice import REJECTED, ModelChoice, assumption_option, choose, model_options
from mil_asc.cli.progress_line import ProgressLine
from mil_asc.cli.worker_pool import map_in_order
from mil_asc.errors import UserError, name_some, printable
from mil_asc.runtime.worker_process import Died, Work, cores

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer
    from mil_asc.presentation.scene_formats import Formatting

SOME_BAD = 3
"""Exit status where recordings could not be classified."""
FEW = 32
"""So many recordings or fewer are classified in one process: starting others would take longer."""
FORMATS = ("table", "csv", "json", "jsonl", "audacity", "raven", "parquet", "dcase")
FOLDERS = ("audacity", "raven")
WITHOUT_TIMELINE = ("csv", "audacity", "raven", "parquet", "dcase")


class Text(NamedTuple):
    """A recording's result in the format asked for."""

    content: Any


class Bad(NamedTuple):
    """Why a recording has no result, in one line with its path."""

    message: str


@dataclass(frozen=True)
class Classify:
    """What each process sets up: the model, then (path, name) -> ``Text`` or ``Bad``."""

    model: ModelChoice
    how: Formatting
    assumption: str | None
    threads: int | None

    def __call__(self) -> Work:
        """Load the model; the work on one recording."""
        return self.work_with(self.model.load(self.threads))

    def work_with(self, classifier: Explainer) -> Work:
        """The work on one recording with a model that is loaded."""
        from mil_asc.presentation.scene_formats import render

        def work(recording: tuple[str, str]) -> Text | Bad:
            path, name = recording
            try:
                return Text(render(classifier.explain_file(path, self.assumption), path, name, self.how))
            except UserError as error:  # AudioError is one
                return Bad(str(error))

        return work


@click.command("classify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@model_options
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="table for people (the default); csv, json, jsonl (a JSON object per line) or parquet: a row per recording; "
    "audacity (label track) or raven (selection table): a file per recording with its positive moments; dcase: the "
    "table of a submission to DCASE task 1, with a .meta.yaml beside it. "
    "Without --format, the ending of --to decides.",
)
@click.option(
    "--list",
    "listed",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Classify the recordings that this list names (tab-separated, column filename), relative to PATH, a folder.",
)
@click.option("--to", type=click.Path(), metavar="FILE|DIR", help="Where results go; by default, standard output.")
@assumption_option
@click.option(
    "--timeline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Also a scene for every so many seconds (table, json, jsonl).",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes, which share the cores; by default one per core with ONNX Runtime where there are more than "
    f"{FEW} recordings, else one.",
)
@click.option("--force", is_flag=True, help="Start anew instead of going on with results that are there.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, and no summary.")
def command(
    paths: tuple[str, ...],
    source: str | None,
    backend: str | None,
    revision: str | None,
    device: str | None,
    rejected: float | None,
    form: str | None,
    listed: str | None,
    to: str | None,
    assumption: str | None,
    timeline: float | None,
    jobs: int | None,
    force: bool,
    quiet: bool,
) -> int:
    """Name the acoustic scene of recordings.

    PATH is an audio file or a folder (with its sub-folders). The model must be named: none is used by default.

    CSV, JSON lines and dcase grow row by row, and the same command goes on where it was stopped or killed; so do the
    files of audacity and raven. Recordings that cannot be used are listed at the end, and the exit status is then 3.

    \b
    Examples:
      mil-asc classify street.wav --model synthscenes-fuse-pnl
      mil-asc classify recordings/ --model my-model --to scenes.csv
      mil-asc classify night.flac --model my-model --timeline 60
      mil-asc classify recordings/ --model my-model --format audacity --to labels/
      mil-asc classify EVAL/ --list EVAL/test.csv --model my-model --format dcase --to a.csv
      export MIL_ASC_MODEL=my-model; mil-asc classify *.wav --format jsonl | jq .label
    """
    form = form or _format_of(to)
    _check_usage(paths, form, to, timeline)
    if listed is not None and (len(paths) > 1 or not os.path.isdir(paths[0])):
        raise click.UsageError("--list names recordings relative to PATH: give one folder")
    model = choose(source, backend, device, rejected, revision)
    settings: dict[str, Any] = {"format": form, "model": model.identity if to else "", "backend": model.backend}
    settings |= {"--assumption": assumption, "--timeline": timeline, "--rejected": rejected or REJECTED}
    return _Classification(paths, listed, model, to, settings, force, quiet).run(jobs)


def _format_of(to: str | None) -> str:
    """The format of a file by its ending; of a folder none can be told."""
    if to is None:
        return "table"
    endings = {f".{form}": form for form in ("csv", "json", "jsonl", "parquet")} | {".txt": "table"}
    form = endings.get(os.path.splitext(to)[1].lower())
    if form is None:
        raise click.UsageError(f"--to {printable(to)}: its ending says no format, so give --format too")
    return form


def _check_usage(paths: Sequence[str], form: str, to: str | None, timeline: float | None) -> None:
    if timeline is not None and form in WITHOUT_TIMELINE:
        raise click.UsageError(f"--format {form} has no timeline: take table, json or jsonl")
    if to is None and form == "parquet":
        raise click.UsageError("--format parquet needs --to FILE")
    if form not in FOLDERS:
        return
    if to is None and (len(paths) > 1 or os.path.isdir(paths[0])):
        raise click.UsageError(f"--format {form} makes a file per recording: give --to DIR")
    names = [os.path.basename(os.path.abspath(path)) for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise click.UsageError(
            f"two paths end in {printable(twice[0])}, so their results would have one name: classify them in two steps"
        )


def _has_colour() -> bool:
    """Whether standard output is a terminal that is to show colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class _Classification:
    """One call of the command."""

    def __init__(
        self,
        paths: Sequence[str],
        listed: str | None,
        model: ModelChoice,
        to: str | None,
        settings: dict[str, Any],
        force: bool,
        quiet: bool,
    ):
        self._paths, self._listed, self._model, self._to, self._settings = paths, listed, model, to, settings
        self._force, self._quiet = force, quiet
        self._written = self._before = self._bad = 0

    def run(self, jobs: int | None) -> int:
        """Classify everything; returns the exit status."""
        from mil_asc.cli.result_files import open_results

        recordings = self._recordings()
        first = list(itertools.islice(recordings, FEW + 1))
        if not first:
            raise UserError(f"{printable(self._paths[0])} holds no audio file")
        if jobs is None:
            jobs = cores() if len(first) > FEW and self._model.backend == "onnx" else 1
        threads = None if jobs == 1 else max(cores() // jobs, 1)
        classifier = self._model.load(threads)
        job = Classify(self._model, self._formatting(classifier), self._settings["--assumption"], threads)
        progress = ProgressLine(self._total() if self._shows_progress(len(first)) else None)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as bad:
            with open_results(self._to, job.how, self._settings, self._force, self._paths) as results:
                todo = (one for one in itertools.chain(first, recordings) if not self._is_done(results, one))
                outcomes: Generator[tuple[tuple[str, str], Any], None, None]
                if jobs == 1:
                    work = job.work_with(classifier)
                    outcomes = ((recording, work(recording)) for recording in todo)
                else:
                    outcomes = map_in_order(todo, job, jobs)
                with contextlib.closing(outcomes):
                    for (path, name), outcome in outcomes:
                        self._take(results, path, name, outcome, bad, progress)
                results.finish()
                progress.clear()
            self._report(bad, results.newer)
        if self._to is not None and job.how.form == "dcase":
            self._describe(self._to, classifier)
        return SOME_BAD if self._bad else 0

    def _formatting(self, classifier: Explainer) -> Formatting:
        from mil_asc.presentation.scene_formats import Formatting

        interface, colour = classifier.interface, self._to is None and _has_colour()
        form, timeline = self._settings["format"], self._settings["--timeline"]
        return Formatting(form, list(interface.labels), interface.sample_rate, timeline, colour)

    def _recordings(self) -> Iterator[tuple[str, str]]:
        from mil_asc.cli.found_recordings import find_recordings, read_list

        return find_recordings(self._paths) if self._listed is None else iter(read_list(self._paths[0], self._listed))

    def _describe(self, to: str, classifier: Explainer) -> None:
        """Write what the model says of itself beside a submission, and name what the author must add."""
        from mil_asc.cli.submission import write_meta

        written = write_meta(to, self._model, classifier, self._settings["--assumption"], self._force)
        if not self._quiet:
            print(written, file=sys.stderr)

    def _total(self) -> int:
        return sum(1 for _ in self._recordings())

    def _shows_progress(self, count: int) -> bool:
        shown_rows = self._to is None and sys.stdout.isatty()
        return sys.stderr.isatty() and not self._quiet and not shown_rows and count > 1

    def _is_done(self, results: Any, recording: tuple[str, str]) -> bool:
        done = results.has(*recording)
        self._before += done
        return done

    def _take(self, results: Any, path: str, name: str, outcome: Any, bad: Any, progress: ProgressLine) -> None:
        if isinstance(outcome, Text):
            try:
                results.add(name, outcome.content)
                self._written += 1
                progress.step()
                return
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                outcome = Bad(f"{printable(path)}: its name is too long for a file of results")
        message = f"{printable(path)}: {outcome.reason}" if isinstance(outcome, Died) else outcome.message
        bad.write(f"{message}\n")
        self._bad += 1
        progress.step(bad=True)

    def _report(self, bad: Any, newer: Sequence[str]) -> None:
        if self._bad:
            sys.stdout.flush()
            count = self._bad + self._written + self._before
            print(f"{self._bad} of {count} recordings could not be classified:", file=sys.stderr)
            bad.seek(0)
            for line in bad:
                sys.stderr.write(f"  {line}")
        if newer:
            what = f"{len(newer)} recordings are newer than their rows, which stay ({name_some(newer, 3)})"
            print(f"warning: {printable(what)}: if they changed, start anew with --force", file=sys.stderr)
        if self._to is not None and not self._quiet:
            before = f", {self._before} were there before" if self._before else ""
            print(f"{self._written} recordings classified{before}: {printable(self._to)}", file=sys.stderr)
