"""``mil-asc serve``: a page and a JSON interface that classify recordings in a browser."""

from __future__ import annotations

import ipaddress
import sys
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mil_asc.cli.model_choice import ModelChoice, choose, model_options
from mil_asc.cli.numbers import Number
from mil_asc.errors import UserError, printable
from mil_asc.runtime.worker_process import cores

if TYPE_CHECKING:
    from mil_asc.inference.explainer import Explainer

PACKAGES = {"starlette": "starlette", "uvicorn": "uvicorn", "multipart": "python-multipart", "websockets": "websockets"}
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@click.command("serve", short_help="Classify in a browser: a page and a JSON interface.")
@model_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0: all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any that is free.")
@click.option("--allow-host", multiple=True, metavar="NAME", help="Another name of this server; may be repeated.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False), help="PEM file, for https.")
@click.option("--key", type=click.Path(exists=True, dir_okay=False), help="PEM file of the certificate's private key.")
@click.option("--megabytes", type=Number(0, 2000, min_open=True), default=50.0, show_default=True, help="Largest file.")
@click.option("--minutes", type=Number(0, 1440, min_open=True), default=30.0, show_default=True, help="Longest one.")
@click.option("--jobs", type=click.IntRange(1, 256), help="Recordings classified at once  [default: one per core]")
@click.option("--queue", type=click.IntRange(0, 10000), default=64, show_default=True, help="Recordings that may wait.")
@click.option(
    "--seconds",
    type=Number(0, 3600, min_open=True),
    default=60.0,
    show_default=True,
    help="Longest time to receive a recording, and to classify it.",
)
@click.option("--streams", type=click.IntRange(0, 1000), default=8, show_default=True, help="Live streams at once.")
@click.option(
    "--memory",
    type=Number(0.1, 1000),
    default=2.0,
    show_default=True,
    metavar="GB",
    help="Memory that a recording may take, and again what ffmpeg decodes.",
)
@click.option("--examples", type=click.Path(), metavar="DIR", help="Recordings to offer; by default synthetic ones.")
def command(
    source: str | None,
    backend: str | None,
    revision: str | None,
    device: str | None,
    rejected: float | None,
    host: str,
    port: int,
    allow_host: tuple[str, ...],
    certificate: str | None,
    key: str | None,
    megabytes: float,
    minutes: float,
    jobs: int | None,
    queue: int,
    seconds: float,
    streams: int,
    memory: float,
    examples: str | None,
) -> int:
    """Classify recordings and a microphone in a browser, and through a JSON interface.

    The page's address is printed once it works; Ctrl-C ends the server. Only this computer can reach it, unless --host
    says otherwise; then everyone who reaches the address can use it. Recordings are kept in memory or files without
    names, until they are classified. /openapi.json describes the interface. A browser gives its microphone to pages
    of this computer and of https alone.

    \b
    Examples:
      mil-asc serve --model synthscenes-fuse-pnl
      curl -F file=@street.wav http://127.0.0.1:8000/classify
      mil-asc serve --model my-model --host 0.0.0.0 --certificate cert.pem --key key.pem
    """
    _check_packages()
    if (certificate is None) != (key is None):
        raise click.UsageError("--certificate and --key belong together")
    if 1000 * memory < 4 * megabytes:
        raise click.UsageError(f"--memory must be at least {4 * megabytes / 1000:g} GB, for files of {megabytes:g} MB")
    model = choose(source, backend, device, rejected, revision)
    from mil_asc.web.server import listen, run_server
    from mil_asc.web.server_settings import ServerSettings

    settings = ServerSettings(
        load=partial(_load, model, model.identity),
        name=printable(str(source)) if not Path(str(source)).exists() else printable(model.place.name),
        description=_description(model),
        megabytes=megabytes,
        minutes=minutes,
        jobs=jobs or cores(),
        queue=queue,
        seconds=seconds,
        streams=streams,
        memory=memory,
        examples=None if examples is None else Path(examples),
        hosts=_hosts(host, allow_host),
    )
    with listen(host, port) as bound:
        if settings.hosts is None:
            print(f"warning: everyone who reaches {printable(host)} can use this server", file=sys.stderr)
        run_server(settings, bound, _path(certificate), _path(key))
    print("stopped", file=sys.stderr)
    return 0


def _load(model: ModelChoice, identity: str) -> Explainer:
    """The model that the server was started with, and no other one that took its place since."""
    explainer = model.load(threads=1)
    if model.identity != identity:
        raise UserError("the files of the model have changed since the server was started: start it again")
    return explainer


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _check_packages() -> None:
    missing = [name for module, name in PACKAGES.items() if find_spec(module) is None]
    if missing:
        raise UserError(f'the server needs {", ".join(missing)}: pip install -e ".[serve]"')


def _hosts(host: str, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
    """Names by which the server may be called; None (any) if it listens for others and none is given."""
    names = [name.lower() for name in allowed]
    if not _is_local(host) and not names:
        return None
    return (*LOCAL_NAMES, host.lower(), *names)


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _description(model: ModelChoice) -> str:
    """What the model was trained on, in a sentence; empty where it is not known."""
    from mil_asc.cli.model_facts import provenance

    told = provenance(model.place)
    parts = [told[name] for name in ("dataset", "experiment") if name in told]
    return f"Trained on {parts[0]} ({', '.join(parts[1:])})." if len(parts) > 1 else ""
