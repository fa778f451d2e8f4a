"""``mil-asc export``: a model as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mil_asc.cli.model_choice import complete_model, revision_option
from mil_asc.cli.numbers import Number

if TYPE_CHECKING:
    import numpy as np

    from mil_asc.packaging.folder import LoadedModel

WINDOW = 10.0
"""Length of the input of ``--network-only`` by default (in seconds)."""
LEAST_AGREEMENT = 0.95
"""Share of clips that an int8 file should decide as the float file does; below it is warned."""


@click.command("export")
@click.argument("model", type=click.Path(), shell_complete=complete_model)
@click.option("--to", type=click.Path(path_type=Path), required=True, metavar="FILE.onnx", help="The ONNX file.")
@click.option("--fp16", is_flag=True, help="Store the weights in half precision; computation stays in float32.")
@click.option("--int8", is_flag=True, help="Quantize the convolutions to 8 bits; needs --calibrate.")
@click.option(
    "--calibrate",
    type=click.Path(exists=True, path_type=Path),
    metavar="DIR",
    help="Recordings below this folder measure the ranges for --int8: 20 or more like those in use, 180 are taken.",
)
@click.option("--network-only", is_flag=True, help="Log-mel in, fixed window: for phones and microcontrollers.")
@click.option(
    "--seconds",
    type=Number(0, 3600, min_open=True, max_open=True),
    help=f"Window of --network-only (in seconds)  [default: {WINDOW:g}]",
)
@revision_option
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    model: str,
    to: Path,
    fp16: bool,
    int8: bool,
    calibrate: Path | None,
    network_only: bool,
    seconds: float | None,
    revision: str | None,
    force: bool,
    quiet: bool,
) -> None:
    """Write a model as one ONNX file, from waveform to scores.

    The file needs no PyTorch: `mil-asc classify --model x.onnx` runs it, and so does any ONNX runtime. MODEL is a
    model folder, the output folder of a run, the name of a shipped model, or hf:user/model.

    \b
    Examples:
      mil-asc export my-model --to street.onnx
      mil-asc export my-model --to half.onnx --fp16
      mil-asc export my-model --to small.onnx --int8 --calibrate recordings/
      mil-asc export my-model --to network.onnx --network-only --seconds 1
      mil-asc classify street.wav --model street.onnx
    """
    from mil_asc.cli.model_facts import provenance
    from mil_asc.errors import UserError
    from mil_asc.packaging.export import state_facts
    from mil_asc.packaging.folder import load_any
    from mil_asc.packaging.sources import resolve_source
    from mil_asc.runtime.files import size_text, write_atomically

    if to.suffix != ".onnx":
        raise click.UsageError(f"--to must end in .onnx, got {to}")
    if fp16 and int8:
        raise click.UsageError("--fp16 and --int8 exclude each other")
    if int8 != (calibrate is not None):
        raise click.UsageError("--int8 and --calibrate DIR (20 recordings or more) belong together")
    if seconds is not None and not network_only:
        raise click.UsageError("--seconds is for --network-only: other files take recordings of any length")
    window = (WINDOW if seconds is None else seconds) if network_only else None
    if to.exists() and not force:
        raise UserError(f"{to} is there already: name another --to, or replace it with --force")
    if not to.parent.is_dir():
        raise UserError(f"{to.parent} is no folder: make it first, or name another --to")
    source = resolve_source(model, revision=revision)
    loaded = load_any(source)
    data, notes = _graph(loaded, window)
    if fp16:
        from mil_asc.packaging.half import to_fp16

        data = to_fp16(data)
    if calibrate is not None:
        data, note = _quantized(data, loaded, calibrate, window, quiet)
        notes.append(note)
    data, facts = state_facts(data, loaded.network, provenance(source))
    notes.append(
        f"{facts.total_parameters:,} parameters, {facts.weight_bytes:,} bytes of weights as DCASE task 1 counts them"
    )
    write_atomically(to, data)
    if not quiet:
        print(f"{to}: {size_text(len(data))}")
        for note in notes:
            print(note)


def _graph(loaded: LoadedModel, window: float | None) -> tuple[bytes, list[str]]:
    """The float file, and lines about it; ``window`` (in seconds) is that of the network alone."""
    from mil_asc.packaging.export import export_onnx
    from mil_asc.packaging.network_only import export_network_only
    from mil_asc.runtime.files import size_text

    labels = list(loaded.config.labels)
    if window is None:
        sources = {"weights_sha256": loaded.weights_sha256, "calibration": loaded.calibration}
        return export_onnx(loaded.network, labels, **sources), []
    found = export_network_only(loaded.network, labels, window, loaded.weights_sha256)
    flash, memory = size_text(found.flash_bytes), size_text(found.memory_bytes)
    return found.data, [f"in float32: weights (flash) {flash}, working memory {memory} at the least"]


def _quantized(data: bytes, loaded: LoadedModel, folder: Path, window: float | None, quiet: bool) -> tuple[bytes, str]:
    """The int8 file and a line about its agreement with float."""
    from mil_asc.packaging.int8 import to_int8

    def tried(line: str) -> None:
        if not quiet:
            click.echo(f"  {line}", err=True)

    found = to_int8(data, _inputs(loaded, folder, window), tried)
    line = (
        f"int8 ({found.choice}): decides {100 * found.agreement:.1f} % of the clips as float32 does, SMI and CMI, on "
        "recordings that chose between the ways to measure ranges"
    )
    if found.agreement < LEAST_AGREEMENT:
        line = f"warning: {line}; that is below {100 * LEAST_AGREEMENT:.0f} %: take more recordings, or --fp16"
    return found.data, line


def _inputs(loaded: LoadedModel, folder: Path, window: float | None) -> list[np.ndarray]:
    """Waveforms of recordings below a folder, or their spectrograms in the length of the window."""
    import torch

    from mil_asc.audio.decode import decode
    from mil_asc.cli.found_recordings import find_recordings
    from mil_asc.errors import UserError
    from mil_asc.packaging.int8 import LEAST_CLIPS, MOST_CLIPS, spread

    front_end = loaded.network.front_end
    least = loaded.network.min_samples if window is None else round(window * front_end.sample_rate)
    paths = [path for path, _ in find_recordings([str(folder)])]
    waves = [decode(paths[place], front_end.sample_rate) for place in spread(len(paths), MOST_CLIPS)]
    waves = [wav_N for wav_N in waves if len(wav_N) >= least]
    if len(waves) < LEAST_CLIPS:
        raise UserError(f"--calibrate: {folder} has {len(waves)} recordings that are long enough, {LEAST_CLIPS} needed")
    if window is None:
        return waves
    with torch.no_grad():
        return [front_end(torch.from_numpy(wav_N[:least])[None])[0].numpy() for wav_N in waves]
