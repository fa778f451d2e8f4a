"""``mil-asc live``: the scene of sound that is still arriving, a line a second."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import click

from mil_asc.cli.model_choice import assumption_option, choose, model_options
from mil_asc.cli.numbers import Number
from mil_asc.errors import UserError

if TYPE_CHECKING:
    from mil_asc.cli.live_sources import Sound
    from mil_asc.inference.stream import StreamingClassifier

ENCODINGS = ("u8", "s16le", "s24le", "s32le", "f32le", "f64le")


@click.command("live", short_help="Follow a microphone, a recording or a pipe.")
@click.argument("file", required=False, type=click.Path(allow_dash=True))
@model_options
@click.option(
    "--window",
    type=Number(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="Length of the sliding window that decides.",
)
@assumption_option
@click.option("--jsonl", is_flag=True, help="A JSON object per line, with every instance.")
@click.option("--microphone", metavar="NAME", help="Number or part of the name of an input; by default the system's.")
@click.option("--microphones", is_flag=True, help="List the inputs of this computer, and end.")
@click.option("--raw", type=click.Choice(ENCODINGS), help="Standard input has samples like this, without a header.")
@click.option("--rate", type=click.IntRange(1000, 768000), metavar="HZ", help="Rate of --raw, or of the microphone.")
@click.option("--channels", type=click.IntRange(1, 1024), metavar="N", help="Channels of --raw  [default: 1]")
def command(
    file: str | None,
    source: str | None,
    backend: str | None,
    revision: str | None,
    device: str | None,
    rejected: float | None,
    window: float,
    assumption: str | None,
    jsonl: bool,
    microphone: str | None,
    microphones: bool,
    raw: str | None,
    rate: int | None,
    channels: int | None,
) -> int:
    """Follow the acoustic scene of a microphone, a recording (FILE) or standard input (-).

    A line a second: the scene of the last --window seconds as far as it is final, then the newest instance, marked ?
    because later sound may still change it. The delay until an instance is final is that of the model, and is said
    first. Ctrl-C ends with a summary. Standard input takes WAV, or raw samples with --raw.

    \b
    Examples:
      mil-asc live --model synthscenes-fuse-pnl
      mil-asc live street.wav --model my-model --window 30
      ffmpeg -i rtsp://camera -vn -f wav - | mil-asc live - --model my-model --jsonl
      arecord -f S16_LE -r 48000 -t raw | mil-asc live - --model my-model --raw s16le --rate 48000
      mil-asc live --microphones
    """
    _check_usage(file, raw, rate, channels, microphone)
    if microphones:
        from mil_asc.cli import live_sources

        print("\n".join(live_sources.microphones()))
        return 0
    from mil_asc.inference.stream import StreamingClassifier

    classifier = choose(source, backend, device, rejected, revision).load(threads=1)
    own = classifier.interface
    with _opened(file, raw, rate, channels, microphone, own.sample_rate, own.min_seconds) as sound:
        return _Live(StreamingClassifier(classifier, window, sound.rate), assumption, jsonl).run(sound)


def _check_usage(
    file: str | None, raw: str | None, rate: int | None, channels: int | None, microphone: str | None
) -> None:
    if raw is not None and file != "-":
        raise click.UsageError("--raw is for standard input: mil-asc live - --raw s16le --rate 48000")
    if raw is not None and rate is None:
        raise click.UsageError("--raw needs --rate: raw samples do not state it")
    if channels is not None and raw is None:
        raise click.UsageError("--channels is for --raw")
    if rate is not None and raw is None and file is not None:
        raise click.UsageError("--rate is for --raw and the microphone: a recording states its own")
    if microphone is not None and file is not None:
        raise click.UsageError("give a microphone or a FILE, not both")


def _opened(
    file: str | None,
    raw: str | None,
    rate: int | None,
    channels: int | None,
    microphone: str | None,
    model_rate: int,
    min_seconds: float,
) -> contextlib.AbstractContextManager[Sound]:
    from mil_asc.audio.pcm_stream import PcmFormat
    from mil_asc.cli.live_sources import open_file, open_microphone, open_pipe

    if file is None:
        return open_microphone(microphone, rate)
    if file != "-":
        return open_file(file, model_rate, min_seconds)
    return open_pipe(PcmFormat(raw, rate, channels or 1) if raw is not None and rate is not None else None)


class _Live:
    """One call of the command."""

    def __init__(self, stream: StreamingClassifier, assumption: str | None, jsonl: bool):
        from mil_asc.presentation.live_lines import FinalCounts, JsonLines, TextLines

        self._stream, self._assumption = stream, assumption
        self._lines = (JsonLines if jsonl else TextLines)(stream, assumption or stream.interface.rule)
        self._counts = FinalCounts(stream)

    def run(self, sound: Sound) -> int:
        """Follow the sound to its end, or to Ctrl-C, which ends with the summary too."""
        self._say(self._lines.begin(sound.name))
        try:
            for block_n in sound.blocks:
                self._step(self._stream.push(block_n))
            self._step(self._stream.finish())
        except KeyboardInterrupt:
            self._say(self._lines.summary(self._counts))
            raise
        except UserError:  # what was final stays so
            if self._counts.total:
                self._say(self._lines.summary(self._counts))
            raise
        self._say(self._lines.summary(self._counts))
        return 0

    def _step(self, found: list) -> None:
        self._counts.add(found)
        final = self._stream.scene(self._assumption, provisional=False)
        self._say(self._lines.line(found, final, self._stream.scene(self._assumption)))

    @staticmethod
    def _say(text: str) -> None:
        print(text)
        sys.stdout.flush()  # a pipe's reader wants each second as it comes
