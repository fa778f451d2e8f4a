"""One call of ``mil-asc classify``: recordings in, results out, and what is said of them on standard error."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mil_asc.cli.model_choice import ModelChoice
from mil_asc.cli.progress_line import ProgressLine
from mil_asc.cli.worker_pool import map_as_done, map_in_order
from mil_asc.errors import UserError, name_some, printable
from mil_asc.runtime.remote_files import fetched, is_url
from mil_asc.runtime.worker_process import Died, Work, cores

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer
    from mil_asc.presentation.scene_formats import Formatting

SOME_BAD = 3
"""Exit status where recordings could not be classified."""
FEW = 32
"""So many recordings or fewer are classified in one process: starting others would take longer."""
MOST_NAMED = 20
"""Bad recordings that are listed at the end where the results hold all of them."""


class Text(NamedTuple):
    """A recording's result in the format asked for, and its length (in seconds)."""

    content: Any
    seconds: float = 0.0


class Bad(NamedTuple):
    """Why a recording has no result, in one line with its path."""

    message: str


@dataclass(frozen=True)
class Classify:
    """What each process sets up: the model, then (path, name) -> ``Text`` or ``Bad``.

    With ``identity``, that of the model, another model at its place is refused, as another machine may have.
    """

    model: ModelChoice
    how: Formatting
    assumption: str | None
    threads: int | None
    identity: str | None = None

    def __call__(self) -> Work:
        """Load the model; the work on one recording."""
        if self.identity not in (None, self.model.identity):
            raise UserError(f"{self.model.place} on {socket.gethostname()} is another model than here")
        return self.work_with(self.model.load(self.threads))

    def work_with(self, classifier: Explainer) -> Work:
        """The work on one recording with a model that is loaded."""
        from mil_asc.presentation.part_rows import part_row
        from mil_asc.presentation.scene_formats import render

        def work(recording: tuple[str, str]) -> Text | Bad:
            path, name = recording
            try:
                with fetched(path) if is_url(path) else contextlib.nullcontext(path) as local:
                    scene = classifier.explain_file(local, self.assumption, path)
                is_part = self.how.form == "parts"
                text = part_row(scene, path, self.how) if is_part else render(scene, path, name, self.how)
                return Text(text, scene.duration or 0.0)
            except UserError as error:  # AudioError is one
                return Bad(str(error))

        return work


def _has_colour() -> bool:
    """Whether standard output is a terminal that is to show colour (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


class Classification:
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
        part_rows: int | None = None,
    ):
        self._paths, self._listed, self._model, self._to, self._settings = paths, listed, model, to, settings
        self._force, self._quiet, self._part_rows = force, quiet, part_rows
        self._written = self._before = self._bad = 0
        self._passed: Counter[str] = Counter()
        self._holds_bad = settings["format"] == "parts"

    def run(self, jobs: int | None, ray_address: str | None = None) -> int:
        """Classify everything, in ``jobs`` processes or on a Ray cluster; returns the exit status."""
        from mil_asc.cli.result_files import open_results

        recordings = self._recordings(self._passed)
        first = list(itertools.islice(recordings, FEW + 1))
        if not first:
            others = f", but files in formats that are not read ({self._others()})" if self._passed else ""
            raise UserError(f"{printable(self._paths[0])} holds no audio file{others}")
        if jobs is None and ray_address is None:
            jobs = cores() if len(first) > FEW and self._model.backend == "onnx" else 1
        threads = 1 if ray_address is not None else None if jobs == 1 else max(cores() // (jobs or 1), 1)
        classifier = self._model.load(threads)
        job = Classify(self._model, self._formatting(classifier), self._settings["--assumption"], threads)
        self._say_shortest_window(classifier)
        progress = self._progress(len(first))
        with tempfile.TemporaryFile("w+", encoding="utf-8") as bad:
            rows = self._part_rows
            with open_results(self._to, job.how, self._settings, self._force, self._paths, rows) as results:
                todo = (one for one in itertools.chain(first, recordings) if not self._is_done(results, one))
                with contextlib.closing(self._outcomes(todo, job, classifier, jobs, ray_address)) as outcomes:
                    for (path, name), outcome in outcomes:
                        self._take(results, path, name, outcome, bad, progress)
                results.finish()
                progress.clear()
            self._report(bad, results, progress)
        if self._to is not None and job.how.form == "dcase":
            self._describe(self._to, classifier)
        return SOME_BAD if self._bad or results.bad_before else 0

    def _outcomes(
        self,
        todo: Iterable[tuple[str, str]],
        job: Classify,
        classifier: Explainer,
        jobs: int | None,
        ray_address: str | None,
    ) -> Generator[tuple[tuple[str, str], Any], None, None]:
        """Every recording with its ``Text``, ``Bad`` or ``Died``; in their order, unless rows may have any."""
        if ray_address is not None:
            from mil_asc.cli.ray_pool import map_on_ray

            return map_on_ray(todo, replace(job, identity=self._model.identity), ray_address, jobs, self._paths)
        if jobs == 1:
            work = job.work_with(classifier)
            return ((recording, work(recording)) for recording in todo)
        return (map_as_done if self._holds_bad else map_in_order)(todo, job, jobs or 1)

    def _progress(self, count: int) -> ProgressLine:
        """Progress in a line on a terminal; lines now and then of a corpus that is tagged in the background."""
        if self._quiet or (self._to is None and sys.stdout.isatty()) or count == 1:
            return ProgressLine(None)
        if sys.stderr.isatty():
            if self._listed is None and any(map(is_url, self._paths)):  # what is at a URL is not listed twice
                return ProgressLine(None, lines=True)
            return ProgressLine(self._total())
        return ProgressLine(None, lines=self._holds_bad)

    def _formatting(self, classifier: Explainer) -> Formatting:
        from mil_asc.presentation.scene_formats import Formatting

        interface, colour = classifier.interface, self._to is None and _has_colour()
        form, timeline = self._settings["format"], self._settings["--timeline"]
        deciding = self._settings["--assumption"] or interface.rule
        rules = tuple(dict.fromkeys(("smi", "cmi", deciding)))
        return Formatting(form, list(interface.labels), interface.sample_rate, timeline, colour, rules)

    def _say_shortest_window(self, classifier: Explainer) -> None:
        """A window of a timeline has one instance at the least."""
        own, asked = classifier.interface, self._settings["--timeline"]
        least = own.step_samples / own.sample_rate
        if asked is not None and asked < least and not self._quiet:
            print(
                f"note: windows are longer than {asked:g} s: an instance of this model has {least:g} s", file=sys.stderr
            )

    def _recordings(self, passed: Counter[str] | None = None) -> Iterator[tuple[str, str]]:
        from mil_asc.cli.found_recordings import find_recordings, read_list

        return find_recordings(self._paths, passed) if self._listed is None else read_list(self._paths[0], self._listed)

    def _describe(self, to: str, classifier: Explainer) -> None:
        """Write what the model says of itself beside a submission, and name what the author must add."""
        from mil_asc.cli.submission import write_meta

        written = write_meta(to, self._model, classifier, self._settings["--assumption"], self._force)
        if not self._quiet:
            print(written, file=sys.stderr)

    def _others(self) -> str:
        """How many files of each ending were passed over."""
        return ", ".join(f"{count} {ending}" for ending, count in self._passed.most_common())

    def _total(self) -> int:
        return sum(1 for _ in self._recordings())

    def _is_done(self, results: Any, recording: tuple[str, str]) -> bool:
        done = results.has(*recording)
        self._before += done
        return done

    def _take(self, results: Any, path: str, name: str, outcome: Any, bad: Any, progress: ProgressLine) -> None:
        if isinstance(outcome, Text):
            try:
                results.add(name, outcome.content)
                self._written += 1
                progress.step(outcome.seconds)
                return
            except OSError as error:
                if error.errno != errno.ENAMETOOLONG:
                    raise
                outcome = Bad(f"{printable(path)}: its name is too long for a file of results")
        message = f"{printable(path)}: {outcome.reason}" if isinstance(outcome, Died) else outcome.message
        results.add_bad(path, message)
        if not self._holds_bad or self._bad < MOST_NAMED:
            bad.write(f"{message}\n")
        self._bad += 1
        progress.step(bad=True)

    def _report(self, bad: Any, results: Any, progress: ProgressLine) -> None:
        newer = results.newer
        if self._bad:
            sys.stdout.flush()
            count = self._bad + self._written + self._before
            print(f"{self._bad} of {count} recordings could not be classified:", file=sys.stderr)
            bad.seek(0)
            for line in bad:
                sys.stderr.write(f"  {line}")
        if self._holds_bad and (self._bad > MOST_NAMED or results.bad_before):
            count = self._bad + results.bad_before
            print(f"{count} rows have no label: the column error says why", file=sys.stderr)
        if self._passed:
            print(f"warning: files in formats that are not read were passed over ({self._others()})", file=sys.stderr)
        if newer:
            what = f"{len(newer)} recordings are newer than their rows, which stay ({name_some(newer, 3)})"
            print(f"warning: {printable(what)}: if they changed, start anew with --force", file=sys.stderr)
        if self._to is not None and not self._quiet:
            before = f", {self._before} were there before" if self._before else ""
            pace = f"; {progress.pace()}" if self._holds_bad and self._written else ""
            print(f"{self._written} recordings classified{before}: {printable(self._to)}{pace}", file=sys.stderr)
