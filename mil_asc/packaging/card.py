"""The model card of a model folder: ``README.md`` with the front matter that the Hugging Face Hub reads."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field

from mil_asc.corpora.official import read_datasets
from mil_asc.errors import name_some
from mil_asc.model.model_config import ModelConfig
from mil_asc.packaging.familiarity import Calibration
from mil_asc.results.report import accuracy_interval
from mil_asc.results.run import CONSOLE, Run

LICENSE = "other"
"""The Hub's name of a licence that it does not know; of the weights where whoever packed them states none."""
RULES = {"smi": "SMI", "cmi": "CMI", "bag": "the model's pooling"}
VERSIONS = ("mil_asc", "python", "torch", "speechbrain")
LIMITS = (
    "It knows its classes and no others: any recording is put into one of them. Where the model has a calibration, a "
    "recording that is unlike the training data is marked; otherwise nothing marks it.",
    "The scores above hold for recordings like those of the evaluation set; other microphones and places are "
    "expected to be harder.",
    "An instance's confidence says which moments led to the decision. It is not a detection of sound events.",
)


@dataclass(frozen=True)
class CardFacts:
    """What a card says that a run does not know.

    Arguments
    ---------
    name : str
        Name of the model.
    license : str
        Licence of the weights, by the name that the Hub uses.
    data_license : str
        Licence of the training data, in words; default: that of an official set.
    description : str
        A sentence or two at the top.
    command : str
        The command that trained the model; empty: the one that the run's ``console.log`` has, or the recipe's.
    attribution : str
        Markdown at the end, such as the authors of the recordings.
    """

    name: str
    license: str = LICENSE
    data_license: str = ""
    description: str = ""
    command: str = ""
    attribution: str = ""
    tags: list[str] = field(default_factory=list)


def write_card(
    run: Run, config: ModelConfig, facts: CardFacts, calibration: Calibration | None, parameters: int
) -> str:
    """The text of ``README.md``: front matter, data, scores, limits, how the model was made, calibration.

    Arguments
    ---------
    run : Run
        The finished run.
    config : ModelConfig
        The network's values.
    facts : CardFacts
    calibration : Calibration or None
        That of the model.
    parameters : int
        Parameters of the network.
    """
    parts = [
        _front_matter(run, facts),
        f"# {_line(facts.name)}",
        _line(facts.description) or f"Acoustic scene classification, trained on {_line(run.dataset)}.",
        _use(facts),
        "## Data",
        _data(run, config, facts),
        "## Scores",
        _scores(run),
        "## Limits",
        "\n".join(f"- {text}" for text in (*map(_line, [*run.report["notes"], *run.report["warnings"]]), *LIMITS)),
        "## Calibration",
        _calibration(calibration),
        "## How it was made",
        _making(run, config, facts, parameters),
    ]
    if facts.attribution:
        parts += ["## Attribution", facts.attribution.strip()]
    return "\n\n".join(parts) + "\n"


def _front_matter(run: Run, facts: CardFacts) -> str:
    """YAML between lines of dashes; every text is a JSON string, which YAML reads as text."""
    tags = ["audio", "acoustic-scene-classification", "multiple-instance-learning", "speechbrain", *facts.tags]
    values = {
        "license": facts.license,
        **({"license_name": "not-stated"} if facts.license == LICENSE else {}),
        "library_name": "mil_asc",
        "pipeline_tag": "audio-classification",
        "tags": tags,
        "datasets": [re.sub(r"[^\w.-]+", "-", run.dataset)],
        "metrics": ["accuracy"],
    }
    lines = [f"{key}: {json.dumps(value)}" for key, value in values.items()]
    return "\n".join(["---", *lines, "---"])


def _use(facts: CardFacts) -> str:
    return (
        "```python\n"
        "from mil_asc import SceneClassifier\n\n"
        "# source: the path of this folder, or hf:user/model\n"
        f"classifier = SceneClassifier.from_hparams(source={json.dumps(facts.name)})\n"
        'print(classifier.explain_file("recording.wav"))\n'
        "```"
    )


def _data(run: Run, config: ModelConfig, facts: CardFacts) -> str:
    clips = run.provenance.get("train_clips")
    rows = [
        f"- training data: {_line(run.dataset)}" + (f", {clips} clips" if clips else ""),
        f"- licence of the data: {_data_license(run, facts)}",
        f"- evaluation set: {run.report['evaluation']['clips']} clips, not trained on",
        f"- classes ({len(config.labels)}): {name_some([_line(label) for label in config.labels], 60)}",
    ]
    return "\n".join(rows)


def _data_license(run: Run, facts: CardFacts) -> str:
    """As stated, or that of an official set."""
    known = read_datasets().get(run.dataset.lower(), {}).get("licence", "")
    return _line(facts.data_license) or known or "not stated by whoever packed the model"


def _scores(run: Run) -> str:
    evaluation = run.report["evaluation"]
    rows = ["| on the evaluation set | accuracy | 95 % interval |", "|---|---|---|"]
    for rule in dict.fromkeys([run.decision, "smi", "cmi"]):
        share = run.accuracy(rule)
        if share is not None:
            own = " (decides by default)" if rule == run.decision else ""
            rows.append(f"| {RULES[rule]}{own} | {_percent(share)} | {_span(accuracy_interval(evaluation, rule))} |")
    floor = run.report.get("floor")
    if isinstance(floor, dict):
        rows.append(f"| floor: linear classifier on mean and deviation of mel bins | {_percent(floor['accuracy'])} | |")
        chance = floor["chance"]
        rows.append(f"| chance: always {_line(chance['class'])} | {_percent(chance['accuracy'])} | |")
    text = "\n".join(rows)
    if isinstance(floor, dict) and floor["difference"]["low"] is not None:
        found = floor["difference"]
        spans = [f"{100 * found[key]:+.1f}" for key in ("accuracy", "low", "high")]
        text += (
            f"\n\nThe model is {spans[0]} points from the floor under {RULES[found['rule']]} "
            f"(95 % interval {spans[1]} to {spans[2]}, paired over clips)."
        )
    return text


def _calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return (
            "None, for want of enough clips that were never trained on or because none was asked for: confidences are "
            "those of the network, and nothing marks recordings unlike the training data."
        )
    lengths = f"{calibration.shortest:g} s"
    if calibration.longest > calibration.shortest:
        lengths = f"{calibration.shortest:g} to {calibration.longest:g} s"
    rows = [
        f"| {rule.upper()} | {100 * one.accuracy:.1f} % | {one.error_before:.3f} | {one.error_after:.3f} |"
        for rule, one in calibration.rules.items()
    ]
    return "\n".join(
        [
            f"Fitted to {calibration.clips} clips of {lengths} that the model was never trained on.",
            "",
            "| rule | accuracy on these clips | calibration error of the score | of the probability |",
            "|---|---|---|---|",
            *rows,
            "",
            f"Expected calibration errors in {calibration.bins} bins; that of the probability is cross-validated. A "
            "recording is marked as unlike the training data if its distance exceeds what 1 % of these clips do "
            "(settable).",
        ]
    )


def _making(run: Run, config: ModelConfig, facts: CardFacts, parameters: int) -> str:
    made = run.provenance
    versions = made.get("versions", {})
    rows = [
        f"- command: `{facts.command or command_of(run)}`",
        f"- seed {run.seed}, {made['epochs']} epochs, {_line(str(made.get('device', 'unknown device')))}, "
        f"precision {_line(str(made.get('precision', 'unknown')))}",
        f"- network: {config.extractor['name']}, {parameters:,} parameters, pooling {config.head.pooling}; its values "
        "are in `config.json`, the run's settings in `hyperparams.yaml`",
        f"- versions: {', '.join(f'{name} {_line(str(versions[name]))}' for name in VERSIONS if name in versions)}",
        f"- finished {_line(str(made.get('finished', 'at an unknown time')))}",
    ]
    return "\n".join(rows)


def command_of(run: Run) -> str:
    """The command that trained a run, without folders of this machine: of its console's log, or the recipe's own."""
    path = run.folder / CONSOLE
    first = ""
    if path.is_file():
        with open(path, encoding="utf-8", errors="replace") as file:
            first = file.readline(4000).strip()
    words = first.removeprefix("$ ").split() if first.startswith("$ ") else []
    if len(words) < 2 or not words[0].rpartition("/")[2].startswith("python"):
        words = ["python", "train.py", f"hparams/{run.experiment}.yaml", f"--seed={run.seed}"]
    words[0] = "python"
    kept = [word for word in words if not re.match(r"--\w*folder=", word)]
    return _line(" ".join(shlex.quote(without_machine_paths(word)) for word in kept)).replace("`", "")


def without_machine_paths(text: str) -> str:
    """The text without the folders of absolute paths: their last part stays, behind three dots.

    Example
    -------
    >>> without_machine_paths("data_folder: /home/anna/TAU2019 # the data")
    'data_folder: .../TAU2019 # the data'
    """
    text = re.sub(r"(?<![\w.:/<>~)-])(?:~|file://)?/(?:[^\s'\",\[\]{}/]+/)*([^\s'\",\[\]{}/]+)/?", r".../\1", text)
    return re.sub(r"\b[A-Za-z]:\\(?:[^\s'\",\[\]{}\\]+\\)*([^\s'\",\[\]{}\\]+)\\?", r".../\1", text)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _span(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f"{_percent(interval[0])} to {_percent(interval[1])}"


def _line(text: str) -> str:
    """Text of somebody else as one line of Markdown that builds no table, code or HTML."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return re.sub(r"([|<>])", r"\\\1", " ".join(plain.split()))
