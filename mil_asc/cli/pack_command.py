"""``mil-asc pack``: from a finished training run to a model folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click


@click.command("pack")
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FOLDER", help="The model folder.")
@click.option("--name", help="Name of the model; by default that of the folder.")
@click.option("--license", default=None, help="Licence of the weights, as the Hub names it, such as apache-2.0.")
@click.option(
    "--data-license", default="", help="Licence of the training data, in words; known of the official DCASE sets."
)
@click.option("--description", default="", help="A sentence or two for the model card.")
@click.option("--made-by", default="", metavar="COMMAND", help="The command that makes the model, for its card.")
@click.option(
    "--attribution",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Markdown for the end of the card, such as the authors of the recordings.",
)
@click.option(
    "--calibrate",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="DIR",
    help="At least 500 clips that the model was never trained on, as `mil-asc evaluate` takes data; may be repeated. "
    "With fewer the model is packed without a calibration.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Decoded clips of --calibrate; else temporary.",
)
@click.option("--no-onnx", is_flag=True, help="Without an ONNX file.")
@click.option("--force", is_flag=True, help="Replace a model folder.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    run: Path,
    to: Path,
    name: str | None,
    license: str | None,
    data_license: str,
    description: str,
    made_by: str,
    attribution: Path | None,
    calibrate: tuple[Path, ...],
    cache: Path | None,
    no_onnx: bool,
    force: bool,
    quiet: bool,
) -> None:
    """Make a model folder of a finished training run.

    It holds config.json, model.safetensors, model.onnx, a model card (README.md), checksums, and with --calibrate a
    calibration: probabilities of the decided class, and which recordings are unlike the training data. Nothing in it is
    code, and it needs nothing of the run.

    \b
    Examples:
      mil-asc pack results/fuse_pnl/seed-1 --to my-model
      mil-asc pack results/fuse_pnl/seed-1 --to my-model --calibrate held-out/
    """
    from mil_asc.training.launch import calm_progress_bars

    calm_progress_bars()  # before tqdm is imported
    from mil_asc.packaging.card import LICENSE
    from mil_asc.packaging.pack import onnx_graph, pack_run

    calibration = None
    if calibrate:
        from mil_asc.cli.calibration_clips import calibrate_run
        from mil_asc.packaging.calibrate import TooFewClips

        with tempfile.TemporaryDirectory() as temporary:
            try:
                calibration = calibrate_run(run, calibrate, cache or Path(temporary), not quiet)
            except TooFewClips as error:
                click.echo(f"warning: packed without a calibration, foreign sound is not marked: {error}", err=True)
    folder = pack_run(
        run,
        to,
        calibration=calibration,
        graph=None if no_onnx else onnx_graph,
        name=name,
        license=license or LICENSE,
        data_license=data_license,
        description=description,
        command=made_by,
        attribution="" if attribution is None else attribution.read_text(encoding="utf-8"),
        force=force,
    )
    if quiet:
        return
    print(folder)
    if calibration is None and not calibrate:
        click.echo("without a calibration: foreign sound is not marked (--calibrate)", err=True)
