"""``mil-asc info``: what a model is, and what is in its folder."""

from __future__ import annotations

import json

import click

from mil_asc.cli.model_choice import VARIABLE, choose, complete_model, revision_option
from mil_asc.errors import printable


@click.command("info", short_help="Say what a model is, and what is in its folder.")
@click.argument("source", metavar="MODEL", required=False, envvar=VARIABLE, shell_complete=complete_model)
@revision_option
@click.option("--json", "as_json", is_flag=True, help="As a JSON object.")
def command(source: str | None, revision: str | None, as_json: bool) -> None:
    """Say what a model is: classes, input, decision, calibration, origin, files.

    MODEL is a model folder, the output folder of a run, an ONNX file, the name of a shipped model, or hf:user/model.

    \b
    Examples:
      mil-asc info synthscenes-fuse-pnl
      mil-asc info my-model --json | jq .labels
    """
    from mil_asc.cli.model_facts import describe
    from mil_asc.packaging.sources import shipped_models

    if not source:
        raise click.UsageError(f"name a model, such as: mil-asc info {shipped_models()[0]}; or set {VARIABLE}")
    facts = describe(choose(source, revision=revision))
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    for name, value in facts.items():
        print(f"{name.replace('_', ' ')}: {_text(value)}".replace(": \n", ":\n"))


def _text(value: object) -> str:
    if isinstance(value, dict):
        return "".join(f"\n  {printable(str(key))}: {_text(part)}" for key, part in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return "none" if value is None else printable(str(value))
