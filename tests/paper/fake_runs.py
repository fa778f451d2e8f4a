"""Runs as ``train.py`` leaves them, and recipes whose ``train.py`` is a small program that behaves as told."""

import json
import subprocess
import sys
import textwrap
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools/reproduce.py"
LABELS = ["bus", "park"]

TRAIN = '''
"""Does what its YAML file says: fine, dies_once, dies, refuses, fails_once, waits, kills_watcher_once."""
import os, re, signal, sys, time
from pathlib import Path

sys.path.insert(0, {here!r})
from fake_runs import write_run

path, options = sys.argv[1], dict(word[2:].split("=", 1) for word in sys.argv[2:])
experiment, seed = Path(path).stem, int(options["seed"])
folder = Path(options.get("output_folder", f"results/{{experiment}}/seed-{{seed}}"))
folder.mkdir(parents=True, exist_ok=True)
behaviour = re.search("behaviour: (.*)", Path(path).read_text())[1]
with open(folder / "starts", "a") as file:
    file.write(" ".join(sys.argv[1:]) + "\\n")
first = len((folder / "starts").read_text().splitlines()) == 1
(folder / "pid").write_text(str(os.getpid()))
print("epoch 1 of 8", flush=True)
if behaviour == "dies" or (behaviour == "dies_once" and first):
    os.kill(os.getpid(), signal.SIGKILL)
if behaviour == "kills_watcher_once" and first:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(600)
if behaviour == "refuses":
    print("error: meta.csv is not a table", file=sys.stderr)
    sys.exit(1)
if behaviour == "fails_once" and first:
    raise MemoryError("no error: line here")
if behaviour == "waits" and first:
    try:
        (folder / "waiting").touch()
        time.sleep(600)
    except KeyboardInterrupt:
        (folder / "asked").touch()
        sys.exit(130)
write_run(folder, experiment, seed, epochs=int(options.get("number_of_epochs", 8)), smi=0.5 + seed / 100)
'''


def report(
    experiment,
    seed,
    epochs=8,
    smi=0.5,
    cmi=0.4,
    bag=0.3,
    clips=100,
    debug=False,
    parameters=139082,
    options=None,
    **more,
):
    """The keys of ``report.json`` that tables read, and those around them."""
    accuracies = {"smi": smi, "cmi": cmi, "bag": bag}
    return {
        "experiment": experiment,
        "dataset": "Tiny",
        "labels": LABELS,
        "evaluation": {
            "clips": clips,
            "decision": "smi",
            "log_loss": 0.7,
            "underestimation": {"positive_share": 0.5, "mean_confidence": 0.5},
            "tmi": {"auc_macro": 0.75},
            **{name: {"accuracy": a, "macro_accuracy": a} for name, a in accuracies.items() if a is not None},
        },
        "events": None,
        "history": [],
        "notes": [],
        "warnings": [],
        "run": {
            "finished": "2026-11-22T17:38:37+00:00",
            "seed": seed,
            "epochs": epochs,
            "debug": debug,
            "data_folder": "/somewhere/audio",
            "clip_seconds": 0.0,
            "train_clips": 300,
            "parameters": parameters,
            "device": "a processor, 2 threads",
            "precision": "bf16",
            "run_options": {"device": "cpu", "precision": "bf16"} | (options or {}),
            "wall_seconds": 7.0,
            "train_seconds": 90.0,
            "versions": {"mil_asc": "0.1.0", "torch": "2.14.1"},
        },
    } | more


SETTINGS = """\
# behaviour: {behaviour}
experiment: {experiment}
seed: {seed}
__set_seed: !apply:speechbrain.utils.seed_everything [{seed_again}]
data_folder: {data_folder}
output_folder: {output_folder}
data:
  cache_folder: results/waveforms
  corpus: !name:mil_asc.corpora.dcase.read_dcase_folder
    expected: {{train: 9185, evaluate: {official}}}
model:
  features:
    n_mels: 256
    hop_ms: 32.0
    front_end: !new:mil_asc.model.features.LogMel
      n_mels: 256
objective:
  pnl_weight: 1.0
training:
  number_of_epochs: {total}
  batch_size: 48
  learning_rate: 0.06
  brain: !name:mil_asc.training.brain.MILBrain
"""
"""The YAML file of a recipe, and what it resolves to."""


def settings(experiment, seed, seed_again, total, official, data_folder, output_folder, behaviour="fine"):
    """A YAML text of either kind."""
    return SETTINGS.format(**locals())


def write_run(folder, experiment, seed, epochs=8, total=None, official=100, **more):
    """A run of ``epochs`` of ``total`` epochs (as many, unless said) on data with ``official`` evaluate clips."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    total = epochs if total is None else total
    (folder / "hyperparams.yaml").write_text(settings(experiment, seed, seed, total, official, "elsewhere", folder))
    (folder / "model.ckpt").write_bytes(b"weights")
    (folder / "report.json").write_text(json.dumps(report(experiment, seed, epochs, **more)))


def write_recipe(folder, needs_data=False, **behaviours):
    """A recipe with a YAML file for each experiment, which says how its runs behave."""
    (folder / "hparams").mkdir(parents=True)
    (folder / "train.py").write_text(textwrap.dedent(TRAIN).format(here=str(Path(__file__).parent)))
    for experiment, behaviour in behaviours.items():
        data = "!PLACEHOLDER" if needs_data else "data/tiny"
        text = settings(experiment, 1, "!ref <seed>", 8, 100, data, "!ref results/<experiment>/<seed>", behaviour)
        (folder / f"hparams/{experiment}.yaml").write_text(text)
    return folder


# -- looking at runs and waiting for them


def starts(place, run):
    """The command lines with which a run was started."""
    return (place.folder(run) / "starts").read_text().splitlines()


def gone(pid):
    """Whether a process has ended (a zombie has)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_for(condition):
    """Wait until ``condition()`` holds, two minutes at most."""
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# -- the program that trains them


def reproduce(place, *options, **more):
    """Start ``tools/reproduce.py`` on the recipes of ``place``."""
    command = [sys.executable, str(TOOL), "--recipes", str(place.recipes), "--write", str(place.recipes / "tables")]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more
    )


def finish(process):
    """Wait for a process: (status, standard output, standard error)."""
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err
