"""``mil-asc export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("model", type=click.Path())
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FILE.onnx", help="The ONNX file.")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(model: str, to: Path, force: bool, quiet: bool) -> None:
    """Write a model as one ONNX file, from waveform to scores.

    The file needs no PyTorch: `mil-asc classify --model x.onnx` runs it, and so does any ONNX runtime. MODEL is a
    model folder, the output folder of a run, the name of a shipped model, or hf:user/model.

    \b
    Examples:
      mil-asc export my-model --to street.onnx
      mil-asc classify street.wav --model street.onnx
    """
    from mil_asc.errors import UserError
    from mil_asc.packaging.export import export_onnx
    from mil_asc.packaging.folder import load_any
    from mil_asc.packaging.sources import resolve_source
    from mil_asc.runtime.files import size_text, write_atomically

    if to.suffix != ".onnx":
        raise click.UsageError(f"--to must end in .onnx, got {to}")
    if to.exists() and not force:
        raise UserError(f"{to} is there already: name another --to, or replace it with --force")
    if not to.parent.is_dir():
        raise UserError(f"{to.parent} is no folder: make it first, or name another --to")
    loaded = load_any(resolve_source(model))
    data = export_onnx(
        loaded.network,
        list(loaded.config.labels),
        weights_sha256=loaded.weights_sha256,
        calibration=loaded.calibration,
    )
    write_atomically(to, data)
    if not quiet:
        print(f"{to}: {size_text(len(data))}")
