"""``mil-asc explain``: a page that shows and plays what led to a decision."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mil_asc.cli.found_recordings import refuse_recording
from mil_asc.cli.model_choice import assumption_option, choose, model_options
from mil_asc.cli.numbers import Number
from mil_asc.errors import UserError, printable

if TYPE_CHECKING:
    import numpy as np

    from mil_asc.inference.explainer import Explainer


@click.command("explain", short_help="Show which moments of a recording decided.")
@click.argument("file", type=click.Path())
@model_options
@click.option("--to", type=click.Path(), required=True, metavar="PAGE", help="The page, such as street.html.")
@assumption_option
@click.option(
    "--minutes",
    type=Number(0, 30, min_open=True),
    default=5.0,
    show_default=True,
    help="Of a longer recording, show and play the first minutes; the scene is that of all of it.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing.")
def command(
    file: str,
    source: str | None,
    backend: str | None,
    revision: str | None,
    device: str | None,
    rejected: float | None,
    to: str,
    assumption: str | None,
    minutes: float,
    force: bool,
    quiet: bool,
) -> int:
    """Show which moments of a recording decided, in a page with pictures and sound.

    The page is one file that needs no network: log-mel spectrogram, confidence in every class along time, the
    spectrogram masked by the confidence in the class decided, and the positive moments, which play on a click. A
    recording that is unlike the training data is marked.

    \b
    Examples:
      mil-asc explain street.wav --model synthscenes-fuse-pnl --to street.html
      mil-asc explain day.flac --model my-model --minutes 10 --assumption cmi --to day.html
    """
    page = Path(to)
    if page.is_dir():
        raise UserError(f"{page} is a folder: name a file for --to")
    refuse_recording(to, [file])
    if page.exists() and not force:
        raise UserError(f"{page} is there already: name another --to, or replace it with --force")
    if not page.parent.is_dir():
        raise UserError(f"{page.parent} is no folder: make it first, or name another --to")
    model = choose(source, backend, device, rejected, revision)
    classifier = model.load()
    _check_stretch(minutes, classifier)
    scene = classifier.explain_file(file, assumption)
    wav_N, length = _beginning(file, classifier, 60 * minutes)

    from mil_asc.presentation.explain_page import Explained, write_page
    from mil_asc.presentation.spectrogram import spectrogram
    from mil_asc.runtime.files import write_atomically

    name = source if source and source.startswith("hf:") else os.path.basename(model.place)
    rate = classifier.interface.sample_rate
    shown = Explained(os.path.basename(file), name, scene, wav_N, rate, spectrogram(classifier, wav_N), length)
    write_atomically(page, write_page(shown))
    if not quiet:
        print(f"{printable(str(scene))}\n{printable(to)}")
        if shown.seconds < length:
            print(f"only the first {minutes:g} minutes are shown (--minutes)", file=sys.stderr)
    return 0


def _check_stretch(minutes: float, classifier: Explainer) -> None:
    """Refuse to show less than the model takes."""
    own = classifier.interface
    if round(60 * minutes * own.sample_rate) < own.min_samples:
        least = math.ceil(own.min_seconds / 60 * 10_000) / 10_000
        raise UserError(
            f"--minutes must be at least {least:g}, got {minutes:g}: this model takes {own.min_seconds:.3f} s or more"
        )


def _beginning(file: str, classifier: Explainer, seconds: float) -> tuple[np.ndarray, float]:
    """(N,) samples of a recording's beginning at the model's rate, and its length (in seconds)."""
    import numpy as np

    from mil_asc.audio.decode import fits_memory
    from mil_asc.audio.sound_blocks import open_blocks

    rate = classifier.interface.sample_rate
    most, parts, count = round(seconds * rate), [], 0
    with open_blocks(file, rate) as blocks, fits_memory(file):
        for block in blocks:
            parts.append(block)
            count += len(block)
            if count >= most:
                break
        return np.concatenate(parts)[:most], blocks.num_samples / rate
