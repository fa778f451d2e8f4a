"""``mil-asc evaluate``: the report of a trained model on other data."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mil_asc.cli.model_choice import complete_model, revision_option

CLIPS = ("evaluate", "train", "all")
BAD_AUDIO = ("stop", "skip")


@click.command("evaluate", context_settings={"ignore_unknown_options": True})
@click.argument("model", shell_complete=complete_model)
@click.argument("reader_options", nargs=-1, type=click.UNPROCESSED, metavar="[--KEY=VALUE]...")
@click.option("--data", type=click.Path(path_type=Path), required=True, metavar="DIR", help="The data to evaluate on.")
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="OUT", help="Where the report goes.")
@click.option("--name", help="Name of the data in the report; by default that of DIR.")
@click.option(
    "--clips", type=click.Choice(CLIPS), default="evaluate", show_default=True, help="Clips of data that have lists."
)
@click.option(
    "--cache", type=click.Path(path_type=Path), metavar="DIR", help="Decoded clips; by default `waveforms` beside OUT."
)
@click.option(
    "--on-bad-audio", type=click.Choice(BAD_AUDIO), default="stop", show_default=True, help="What to do with bad files."
)
@revision_option
@click.option("--device", help="Such as cuda or cpu; by default the GPU if there is one.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bars, which only a terminal gets.")
def command(
    model: str,
    reader_options: tuple[str, ...],
    data: Path,
    to: Path,
    name: str | None,
    clips: str,
    cache: Path | None,
    on_bad_audio: str,
    revision: str | None,
    device: str | None,
    quiet: bool,
) -> None:
    """Evaluate a trained model on other data.

    MODEL is a model folder, the output folder of a trained run, the name of a shipped model, or hf:user/model; it stays
    as it is. The data are class folders (DIR/bus/*.wav), a folder in the official layout of DCASE, ESC-50, or a folder
    of manifests (test.json); their classes must be classes of the model. The report (report.html, report.json,
    predictions.npz) goes to OUT.

    --KEY=VALUE are options of the reader: classes, clip_seconds, groups, evaluate_groups, evaluate_fraction and
    split_seed of class folders, fold of the official layout, evaluate_fold and subset of ESC-50, data_root of
    manifests.

    \b
    Examples:
      mil-asc evaluate my-model --data recordings/ --to reports/mine
      mil-asc evaluate results/fuse_pnl/seed-1 --data TAU2019/ --fold=1 --to reports/tau
    """
    from mil_asc.training.launch import calm_progress_bars

    calm_progress_bars()  # before tqdm is imported
    from mil_asc.cli.evaluated_folder import open_folder
    from mil_asc.errors import UserError
    from mil_asc.packaging.sources import resolve_source
    from mil_asc.training.evaluate_run import evaluate_run, read_reader_options

    place = resolve_source(model, revision=revision)
    if place.is_file():
        raise UserError(f"{place} is an ONNX file, which is not evaluated: name the model folder or run it was made of")
    evaluate_run(
        run=place,
        data_folder=data,
        output_folder=to,
        name=name,
        clips=clips,
        cache_folder=cache,
        on_bad_audio=on_bad_audio,
        device=device,
        noprogressbar=quiet or not sys.stderr.isatty(),
        reader_options=read_reader_options(reader_options),
        open_model=open_folder,
    )
