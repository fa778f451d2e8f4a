"""``mil-asc classify``: the scene of every recording, as rows or as files for other programs."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import click

from mil_asc.cli.classification import FEW, Classification
from mil_asc.cli.found_recordings import is_folder, refuse_recording
from mil_asc.cli.model_choice import REJECTED, assumption_option, choose, model_options
from mil_asc.cli.numbers import Number
from mil_asc.errors import printable
from mil_asc.runtime.remote_files import absolute, refuse_one_slash, refuse_url

FORMATS = ("table", "csv", "json", "jsonl", "audacity", "raven", "parquet", "dcase")
FOLDERS = ("audacity", "raven")
WITHOUT_TIMELINE = ("csv", "audacity", "raven", "parquet", "dcase")


@click.command("classify")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path())
@model_options
@click.option(
    "-f",
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="table for people (the default); csv, json, jsonl (a JSON object per line) or parquet: a row per recording, "
    "with --to FOLDER in files of Parquet that appear one after the other; "
    "audacity (label track) or raven (selection table): a file per recording with its positive moments; dcase: the "
    "table of a submission to DCASE task 1, with a .meta.yaml beside it. "
    "Without --format, the ending of --to decides.",
)
@click.option(
    "--list",
    "listed",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="Classify the recordings that this list names (tab-separated, column filename), by their URLs or relative to "
    "PATH, a folder.",
)
@click.option("--to", type=click.Path(), metavar="FILE|DIR", help="Where results go; by default, standard output.")
@assumption_option
@click.option(
    "--timeline",
    type=Number(min=0, min_open=True),
    metavar="SECONDS",
    help="Also a scene for every so many seconds (table, json, jsonl).",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Processes, which share the cores; by default one per core with ONNX Runtime where there are more than "
    f"{FEW} recordings, else one.",
)
@click.option(
    "--ray",
    "ray_address",
    metavar="ADDRESS",
    help="Work on the cores of a Ray cluster, HOST:PORT, or auto for that of this machine; local starts one here. For "
    "--format parquet --to FOLDER; recordings and model must be at the same paths on all its machines.",
)
@click.option(
    "--part-rows",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Rows of a file of --format parquet --to FOLDER, at most; by default 20000.",
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
    ray_address: str | None,
    part_rows: int | None,
    force: bool,
    quiet: bool,
) -> int:
    """Name the acoustic scene of recordings.

    PATH is an audio file or a folder (with its sub-folders), or a URL of them, such as s3://bucket/recordings. The
    model must be named: none is used by default.

    CSV, JSON lines and dcase grow row by row, and the same command goes on where it was stopped or killed; so do the
    files of audacity and raven, and a folder of parquet. Recordings that cannot be used are listed at the end, and the
    exit status is then 3.

    \b
    Examples:
      mil-asc classify street.wav --model synthscenes-fuse-pnl
      mil-asc classify recordings/ --model my-model --to scenes.csv
      mil-asc classify night.flac --model my-model --timeline 60
      mil-asc classify recordings/ --model my-model --format audacity --to labels/
      mil-asc classify corpus/ --model my-model --format parquet --to scenes/
      mil-asc classify s3://bucket/corpus --model my-model --format parquet --to scenes/
      mil-asc classify EVAL/ --list EVAL/test.csv --model my-model --format dcase --to a.csv
      export MIL_ASC_MODEL=my-model; mil-asc classify *.wav --format jsonl | jq .label
    """
    form = form or _format_of(to)
    _check_usage(paths, form, to, timeline)
    form = "parts" if form == "parquet" and _is_folder(to) else form
    if form != "parts" and (ray_address is not None or part_rows is not None):
        option = "--ray" if ray_address is not None else "--part-rows"
        raise click.UsageError(f"{option} is for --format parquet --to FOLDER")
    if ray_address is not None and (device is not None or "://" in ray_address):
        raise click.UsageError("--ray takes HOST:PORT, auto or local, and no --device: its workers compute on CPUs")
    if listed is not None and (len(paths) > 1 or not is_folder(paths[0])):
        raise click.UsageError("--list names recordings relative to PATH: give one folder")
    for path in paths:
        refuse_one_slash(path)
    if to is not None:
        refuse_url("--to", to)
        refuse_recording(to, paths if listed is None else [listed])
    model = choose(source, backend, device, rejected, revision)
    settings: dict[str, Any] = {"format": form, "model": model.identity if to else "", "backend": model.backend}
    settings |= {"--assumption": assumption, "--timeline": timeline, "--rejected": rejected or REJECTED}
    return Classification(paths, listed, model, to, settings, force, quiet, part_rows).run(jobs, ray_address)


def _format_of(to: str | None) -> str:
    """The format of a file by its ending; of a folder none can be told."""
    if to is None:
        return "table"
    endings = {f".{form}": form for form in ("csv", "json", "jsonl", "parquet")} | {".txt": "table"}
    form = endings.get(os.path.splitext(to)[1].lower())
    if form is None:
        raise click.UsageError(f"--to {printable(to)}: its ending says no format, so give --format too")
    return form


def _is_folder(to: str | None) -> bool:
    """Whether results of ``--format parquet`` are a folder of files: all but one whose name ends in ``.parquet``."""
    return to is not None and (os.path.isdir(to) or os.path.splitext(to)[1].lower() != ".parquet")


def _check_usage(paths: Sequence[str], form: str, to: str | None, timeline: float | None) -> None:
    if timeline is not None and form in WITHOUT_TIMELINE:
        raise click.UsageError(f"--format {form} has no timeline: take table, json or jsonl")
    if to is None and form == "parquet":
        raise click.UsageError("--format parquet needs --to FILE.parquet or --to FOLDER")
    if form not in FOLDERS:
        return
    if to is None and (len(paths) > 1 or is_folder(paths[0])):
        raise click.UsageError(f"--format {form} makes a file per recording: give --to DIR")
    names = [os.path.basename(absolute(path)) for path in paths]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise click.UsageError(
            f"two paths end in {printable(twice[0])}, so their results would have one name: classify them in two steps"
        )
