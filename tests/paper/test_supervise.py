"""Runs: which are finished, what becomes of those that die, are refused, or are stopped."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fake_runs import write_recipe, write_run

from mil_asc.errors import UserError
from mil_asc.paper import supervise as module
from mil_asc.paper.rows import TABLES, paper_sets, read_rows, select_rows
from mil_asc.paper.stale import find_stale, refuse_stale
from mil_asc.paper.supervise import (
    RESTARTS,
    Place,
    Run,
    check_data,
    check_options,
    find_devices,
    read_result,
    read_results,
    runs_of,
    train_here,
)

TOOL = Path(__file__).parents[2] / "tools/reproduce.py"
RECIPES = Path(__file__).parents[2] / "recipes"


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes")


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
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# -- what is finished


def test_a_finished_run_is_read(tmp_path):
    write_run(tmp_path, "fuse_pnl", 3, smi=0.5, cmi=0.25)
    result = read_result(tmp_path)
    assert (result.accuracy("smi"), result.accuracy("cmi"), result.accuracy("other")) == (50, 25, None)
    assert (result.setting("n_mels"), result.setting("hop_ms"), result.setting("nothing")) == (256, 32.0, None)


@pytest.mark.parametrize(
    "case", ["debug", "epochs", "no model", "no report", "half a report", "no settings", "nothing"]
)
def test_unfinished_runs_are_not(tmp_path, case):
    folder = tmp_path / "run"
    if case != "nothing":
        write_run(folder, "fuse_pnl", 1, epochs=8, total=100 if case == "epochs" else 8, debug=case == "debug")
    if case == "half a report":
        (folder / "report.json").write_text('{"run": ')
    missing = {"no model": "model.ckpt", "no report": "report.json", "no settings": "hyperparams.yaml"}.get(case)
    if missing:
        (folder / missing).unlink()
    assert read_result(folder) is None


def test_tables_share_their_runs():
    rows = [row for table in (5, 7, 8) for row in select_rows(table, "TAU2019")]
    found = runs_of(rows, seeds=2)
    assert [(run.experiment, run.seed) for run in found] == [
        (name, seed) for seed in (1, 2) for name in ("fuse_pnl", "fuse_gt", "fuse_no_il")
    ]


def test_commands(tmp_path):
    write_recipe(tmp_path / "A", fuse_pnl="fine")
    write_recipe(tmp_path / "B", needs_data=True, fuse_pnl="fine")
    a, b = Run("A", "fuse_pnl", 1), Run("B", "fuse_pnl", 2)
    plain = Place(tmp_path)
    assert plain.command(a) == ["train.py", "hparams/fuse_pnl.yaml", "--seed=1"]
    assert plain.command(b) == ["train.py", "hparams/fuse_pnl.yaml", "--seed=2", "--data_folder=DIR"]
    other = Place(tmp_path, "results/short", {"B": "/audio"}, ("--number_of_epochs=8",))
    assert other.command(b, "cuda:1") == [
        "train.py",
        "hparams/fuse_pnl.yaml",
        "--seed=2",
        "--data_folder=/audio",
        "--output_folder=results/short/fuse_pnl/seed-2",
        "--device=cuda:1",
        "--number_of_epochs=8",
    ]
    assert other.folder(b) == tmp_path / "B/results/short/fuse_pnl/seed-2"


# -- what is refused


@pytest.mark.parametrize("option", ["--seed=2", "--debug", "--data.data_folder=x", "--output_folder=x", "--test_only"])
def test_options_that_are_set_here(option):
    with pytest.raises(UserError, match="may not be passed"):
        check_options([option])


def test_options_without_dashes():
    with pytest.raises(UserError, match="8 is no option of train.py"):
        check_options(["--number_of_epochs", "8"])


# -- finished runs that were trained otherwise


@pytest.fixture
def finished(place):
    """A recipe with two finished runs of 8 epochs: seeds 1 and 12 of ``fuse_pnl``."""
    write_recipe(place.recipes / "Tiny", needs_data=True, fuse_pnl="fine")
    runs = [Run("Tiny", "fuse_pnl", seed) for seed in (1, 12)]
    for run in runs:
        write_run(place.folder(run), "fuse_pnl", run.seed)
    return runs


def stale(place, runs, *options):
    """What ``find_stale`` says with ``options`` for train.py: seed -> words."""
    place = replace(place, options=options)
    return {run.seed: str(change) for run, change in find_stale(read_results(runs, place), place).items()}


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--number_of_epochs=8", "--learning_rate=6e-2"),
        ("--cache_folder=/elsewhere",),
        ("--precision=bf16", "--noprogressbar", "--ckpt_interval_minutes=3"),
    ],
)
def test_runs_trained_alike_are_not_stale(place, finished, options):
    assert stale(place, finished, *options) == {}


@pytest.mark.parametrize(
    "option, words",
    [
        ("--number_of_epochs=9", "training.number_of_epochs 8, not 9"),
        ("--training.number_of_epochs=9", "training.number_of_epochs 8, not 9"),
        ("--n_mels=64", "model.features.n_mels 256, not 64"),
        ("--precision=fp32", "precision bf16, not fp32"),
        ("--grad_accumulation_factor=4", "grad_accumulation_factor 1, not 4"),
        ("--compile", "compile False, not True"),
    ],
)
def test_options_that_finished_runs_did_not_have(place, finished, option, words):
    assert stale(place, finished, option) == {1: words, 12: words}


def test_options_that_finished_runs_had(place, finished):
    write_run(place.folder(finished[1]), "fuse_pnl", 12, options={"grad_accumulation_factor": 4, "precision": "fp32"})
    assert stale(place, finished) == {12: "grad_accumulation_factor 4, not 1"}
    assert stale(place, finished[1:], "--grad_accumulation_factor=4", "--precision=fp32") == {}


def test_a_yaml_file_that_changed_since(place, finished):
    file = place.recipes / "Tiny/hparams/fuse_pnl.yaml"
    file.write_text(file.read_text().replace("pnl_weight: 1.0", "pnl_weight: 1.0\n  more: [1, 2]"))
    words = "objective.more unset, not [1, 2]"
    assert stale(place, finished) == {1: words, 12: words}


def test_a_folder_that_holds_another_seed(place, finished):
    write_run(place.folder(finished[1]), "fuse_pnl", 13)
    assert stale(place, finished) == {
        12: "__set_seed !apply:speechbrain.utils.seed_everything [13], not "
        "!apply:speechbrain.utils.seed_everything [12]"
    }


def test_a_yaml_file_that_reckons_with_the_seed(place, finished):
    file = place.recipes / "Tiny/hparams/fuse_pnl.yaml"
    file.write_text(file.read_text().replace("pnl_weight: 1.0", "pnl_weight: !ref <seed> + 1"))
    for run in finished:
        settings = place.folder(run) / "hyperparams.yaml"
        settings.write_text(settings.read_text().replace("pnl_weight: 1.0", f"pnl_weight: {run.seed + 1}"))
    assert stale(place, finished) == {}


def test_a_stale_run_is_refused_with_what_to_do(place, finished):
    other = replace(place, options=("--batch_size=24",))
    with pytest.raises(UserError) as caught:
        refuse_stale(read_results(finished, other), other)
    assert str(caught.value) == (
        f"{place.folder(finished[0])} holds a finished run with training.batch_size 48, not 24: "
        "move the folder away, or keep these runs apart with --results=results/NAME"
    )
    refuse_stale(read_results(finished, place), place)


def test_audio_must_be_named_and_there(tmp_path):
    write_recipe(tmp_path / "B", needs_data=True, fuse_pnl="fine")
    runs = [Run("B", "fuse_pnl", 1)]
    with pytest.raises(UserError, match="where is the audio of B"):
        check_data(runs, Place(tmp_path))
    with pytest.raises(UserError, match="nowhere is not a folder"):
        check_data(runs, Place(tmp_path, data={"B": str(tmp_path / "nowhere")}))
    check_data(runs, Place(tmp_path, data={"B": str(tmp_path)}))


def test_devices(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_devices("auto") == ["cuda:0", "cuda:1"]
    assert find_devices("cuda:1,cpu") == ["cuda:1", "cpu"]
    with pytest.raises(UserError, match="cuda:2 is not to be had here; there are: cpu, cuda:0, cuda:1"):
        find_devices("cuda:0,cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_devices("auto") == ["cpu"]
    with pytest.raises(UserError, match="gpu is not to be had"):
        find_devices("gpu")


# -- training


def test_runs_end_as_they_may(place, capsys):
    behaviours = {"fuse_pnl": "fine", "fuse_gt": "dies_once", "fuse_no_il": "refuses", "fuse_gap": "dies"}
    write_recipe(place.recipes / "Tiny", resnet_pnl="fails_once", **behaviours)
    names = [*behaviours, "resnet_pnl"]
    runs = [Run("Tiny", name, 1) for name in names]
    failures = train_here(runs, place, ["cpu"])
    problems = {failure.run.experiment: failure.problem for failure in failures}
    assert problems == {"fuse_no_il": "meta.csv is not a table", "fuse_gap": "died of SIGKILL, the last of 3 times"}
    assert {name: len(starts(place, run)) for name, run in zip(names, runs)} == {
        "fuse_pnl": 1,
        "fuse_gt": 2,
        "fuse_no_il": 1,
        "fuse_gap": 1 + RESTARTS,
        "resnet_pnl": 2,
    }
    assert {run.experiment for run in read_results(runs, place)} == {"fuse_pnl", "fuse_gt", "resnet_pnl"}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"[0/5] Tiny fuse_pnl seed 1 starts on cpu, log in {place.folder(runs[0]) / 'console.log'}"
    assert lines[1] == (
        "[1/5] Tiny fuse_pnl seed 1 finished in 1.5 min, accuracy 51.00 % (SMI); about 6 min left"
    )  # as the report says: 90 s of training each
    assert "[1/5] Tiny fuse_gt seed 1 died of SIGKILL and is started again" in lines
    assert any("Tiny fuse_no_il seed 1 FAILED" in line and "meta.csv is not a table" in line for line in lines)


def test_an_error_line_of_an_earlier_start_does_not_count(place):
    """The log of all starts is one file; only the last start's part of it is read."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="fails_once")
    run = Run("Tiny", "fuse_pnl", 1)
    place.folder(run).mkdir(parents=True)
    (place.folder(run) / "console.log").write_text("error: of last week\n")
    assert train_here([run], place, ["cpu"]) == []


def test_one_process_a_device(place):
    """Of two devices each gets the next run as soon as it is free; no third process goes beside them."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine")
    runs = [Run("Tiny", "fuse_pnl", seed) for seed in range(1, 5)]
    jobs, most = [], []
    begin = module.Job.start

    def counting(job):
        begin(job)
        jobs.append(job)
        most.append(sum(other.process.poll() is None for other in jobs))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Job, "start", counting)
        assert train_here(runs, place, ["cpu", "cuda:7"]) == []
    assert max(most) == 2
    assert {job.device for job in jobs} == {"cpu", "cuda:7"}
    assert "--device=cuda:7" in starts(place, runs[1])[0]


def test_the_runs_stop_when_their_starter_fails(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    runs = [Run("Tiny", "fuse_pnl", 1), Run("Tiny", "fuse_gt", 1)]
    waiting = place.folder(runs[0])

    def fail(progress, outcome):
        wait_for((waiting / "waiting").exists)
        raise RuntimeError("the terminal is gone")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.Progress, "ended", fail)
        with pytest.raises(RuntimeError, match="the terminal is gone"):
            train_here(runs, place, ["cpu", "cpu"])
    assert (waiting / "asked").exists()
    assert gone(int((waiting / "pid").read_text()))


# -- the program


def reproduce(place, *options, **more):
    command = [sys.executable, str(TOOL), "--recipes", str(place.recipes), "--write", str(place.recipes / "tables")]
    return subprocess.Popen(
        [*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, **more
    )


def finish(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_program_stops_its_runs_and_they_go_on_the_next_time(place, number, status):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    arguments = ("--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    run = Run("Tiny", "fuse_pnl", 1)
    process = reproduce(place, *arguments)
    wait_for((place.folder(run) / "waiting").exists)
    process.send_signal(number)
    assert finish(process)[0] == status
    assert (place.folder(run) / "asked").exists()
    assert gone(int((place.folder(run) / "pid").read_text()))
    assert not (place.recipes / "tables").exists()
    code, _, err = finish(reproduce(place, *arguments))
    assert (code, err) == (0, "")
    assert len(starts(place, run)) == 2
    assert "| 51.0 (n = 1) |" in (place.recipes / "tables/table-5-Tiny.md").read_text()


def test_runs_are_asked_to_stop_though_ctrl_c_is_ignored(place):
    """As in a shell's background job, which hands on to its children that SIGINT is ignored; Ray blocks it."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = Run("Tiny", "fuse_pnl", 1)
    arguments = ("--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    process = reproduce(place, *arguments, preexec_fn=ignore_interrupts)
    wait_for((place.folder(run) / "waiting").exists)
    process.terminate()
    assert finish(process)[0] == 143
    assert (place.folder(run) / "asked").exists()


def ignore_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end a process with its parent")
def test_a_killed_program_takes_its_runs_along(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = Run("Tiny", "fuse_pnl", 1)
    process = reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    wait_for((place.folder(run) / "waiting").exists)
    process.kill()
    finish(process)
    wait_for(lambda: gone(int((place.folder(run) / "pid").read_text())))
    assert not (place.folder(run) / "asked").exists()


def test_failures_are_listed_and_the_tables_written(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="refuses", fuse_gt="fine")
    code, _, err = finish(reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=2", "--devices=cpu"))
    assert code == 1
    assert [line.split(";")[0] for line in err.splitlines()] == [
        "failed: Tiny fuse_pnl seed 1: meta.csv is not a table",
        "failed: Tiny fuse_pnl seed 2: meta.csv is not a table",
        "error: 2 run(s) failed",
    ]
    assert "52.0 (seed 2)" in (place.recipes / "tables/table-5-Tiny.md").read_text()


def test_dry_run_touches_nothing(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    write_run(place.folder(Run("Tiny", "fuse_gt", 2)), "fuse_gt", 2)
    before = sorted(place.recipes.rglob("*"))
    options = ("--table=all", "--dataset=Tiny", "--seeds=2", "--dry_run", "--", "--batch_size=48")
    code, out, err = finish(reproduce(place, *options))
    assert code == 0
    assert "note: Tiny has no hparams/vgg_like_pnl.yaml: its rows stay empty" in err
    recipe = place.recipes / "Tiny"
    assert out.splitlines() == [
        f"{state}  Tiny {name} seed {seed}:  cd {recipe} && python train.py hparams/{name}.yaml --seed={seed} "
        "--batch_size=48"
        for state, name, seed in [
            ("to do", "fuse_pnl", 1),
            ("to do", "fuse_gt", 1),
            ("to do", "fuse_pnl", 2),
            ("done ", "fuse_gt", 2),
        ]
    ]
    assert sorted(place.recipes.rglob("*")) == before


def test_dry_run_tells_stale_runs_which_are_refused_otherwise(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    folder = place.folder(Run("Tiny", "fuse_gt", 1))
    write_run(folder, "fuse_gt", 1)
    options = ("--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    passed = ("--", "--batch_size=24")
    code, out, err = finish(reproduce(place, *options, "--dry_run", *passed))
    assert (code, err) == (0, "")
    assert [line[:5] for line in out.splitlines()] == ["to do", "stale"]
    code, out, err = finish(reproduce(place, *options, *passed))
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {folder} holds a finished run with training.batch_size 48, not 24: ")
    assert err.count("\n") == 1
    assert not place.folder(Run("Tiny", "fuse_pnl", 1)).exists()


def test_dry_run_of_all_names_a_command_for_every_row(tmp_path):
    folders = {name: tmp_path / name for name in paper_sets()}
    for folder in folders.values():
        folder.mkdir()
    audio = ",".join(f"{name}={folder}" for name, folder in folders.items())
    command = [sys.executable, str(TOOL), "--table=all", "--dry_run", "--seeds=2", f"--data_folder={audio}"]
    results = f"--results=results/{tmp_path.parent.name}-{tmp_path.name}"  # where no run is
    out = subprocess.run([*command, results], capture_output=True, text=True, check=True).stdout
    lines = out.splitlines()
    with open(Path(module.__file__).parent / "facts/paper_tables.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {
        f"to do  {row.recipe} {row.experiment} seed {seed}:  cd {RECIPES / row.recipe} && "
        f"python train.py hparams/{row.experiment}.yaml --seed={seed} --data_folder={folders[row.recipe]} "
        f"--output_folder={results[10:]}/{row.experiment}/seed-{seed}"
        for table in TABLES
        for row in read_rows(table)
        for seed in (1, 2)
    }
    assert sum(len(read_rows(table)) for table in TABLES) == len(rows)
    assert set(lines) == needed and len(lines) == len(needed)


@pytest.mark.parametrize("option", ["--fill_readme", "--fill"])
def test_marks_are_looked_for_before_training(place, tmp_path, option):
    recipe = write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    page = recipe / "README.md" if option == "--fill_readme" else tmp_path / "page.md"
    page.write_text("no marks")
    word = option if option == "--fill_readme" else f"--fill={page}"
    code, _, err = finish(reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu", word))
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith(f"error: {page} needs the lines <!-- results --> and")
    assert not (recipe / "results").exists()


def test_a_page_is_filled_with_all_tables(place, tmp_path):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    write_run(place.folder(Run("Tiny", "fuse_gt", 1)), "fuse_gt", 1)
    page = tmp_path / "page.md"
    page.write_text("# Ours\n<!-- results -->\nold\n<!-- /results -->\nthe end\n")
    options = ("--table=5,7", "--dataset=Tiny", "--seeds=1", "--no_run", f"--fill={page}")
    code, out, err = finish(reproduce(place, *options))
    assert code == 0 and f"written: {page}" in out, err
    text = page.read_text()
    assert "Table 5" in text and "Table 7" in text and "old" not in text
    assert text.startswith("# Ours\n") and text.endswith("the end\n")
    code, _, err = finish(reproduce(place, "--table=7", "--dataset=Tiny", "--seeds=1", "--no_run", f"--fill={page}"))
    assert (code, page.read_text()) == (0, text)


@pytest.mark.parametrize(
    "options, message",
    [
        (["--table=10"], "--table must be a number from 2 to 9, or all; got '10'"),
        (["--table=5", "--dataset=Nowhere"], "no recipe Nowhere"),
        (["--table=4", "--dataset=TAU2020m"], "Table 4 has no rows of TAU2020m"),
        (["--table=5", "--dataset=Tiny", "--seeds=0"], "--seeds must be a whole number from 1 up, got 0"),
        (["--table=5", "--dataset=Tiny", "--devices=tpu"], "tpu is not to be had here"),
        (["--table=5", "--dataset=Tiny", "--results=/tmp/x"], "--results must be a folder inside each recipe's"),
        (["--table=5", "--dataset=Tiny", "--data_folder=Tiny"], "--data_folder must say whose audio is where"),
        (["--table=5", "--dataset=Tiny", "--ray", "--devices=cpu"], "--ray and --devices exclude each other"),
        (["--table=5", "--dataset=Tiny", "--no_run", "--fill_readme"], "README.md"),
        (["--table=5", "--dataset=Tiny", "--", "--seed=7"], "--seed may not be passed to the runs"),
    ],
)
def test_bad_input_is_one_line(place, options, message):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    code, _, err = finish(reproduce(place, *options))
    assert code == 1
    assert err.startswith("error: ") and message in err and err.count("\n") == 1


def test_data_folders_reach_their_recipes(place, tmp_path):
    write_recipe(place.recipes / "A", needs_data=True, fuse_pnl="fine", fuse_gt="fine")
    write_recipe(place.recipes / "B", needs_data=True, fuse_pnl="fine", fuse_gt="fine")
    for name in "ab":
        (tmp_path / name).mkdir()
    options = ("--table=5", "--dataset=A,B", "--seeds=1", "--devices=cpu", "--data_folder=A=a,B=b")
    code, _, err = finish(reproduce(place, *options, cwd=tmp_path))
    assert (code, err) == (0, "")
    assert f"--data_folder={tmp_path / 'a'} " in starts(place, Run("A", "fuse_gt", 1))[0]
    assert f"--data_folder={tmp_path / 'b'} " in starts(place, Run("B", "fuse_gt", 1))[0]
    page = (place.recipes / "tables/table-5-A-B.html").read_text()
    assert str(tmp_path) not in page


def test_ray_missing_is_one_line(place, tmp_path):
    (tmp_path / "none/ray.py").parent.mkdir()
    (tmp_path / "none/ray.py").write_text("raise ImportError('no ray here')")
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "none")}
    code, _, err = finish(reproduce(place, "--table=5", "--dataset=Tiny", "--ray", env=environment))
    assert (code, err) == (1, 'error: Ray is not installed: pip install -e ".[ray]"\n')


def test_ray_sees_runs_through(place):
    """On a cluster of this machine: a run that dies, one that is refused, one whose worker is lost."""
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    write_recipe(
        place.recipes / "Tiny",
        fuse_no_il="kills_watcher_once",
        fuse_pnl="dies_once",
        fuse_gt="refuses",
    )
    code, out, err = finish(reproduce(place, "--table=7", "--dataset=Tiny", "--seeds=1", "--ray"))
    assert code == 1
    assert "failed: Tiny fuse_gt seed 1: meta.csv is not a table" in err
    assert "[3/3]" in out
    runs = [Run("Tiny", name, 1) for name in ("fuse_no_il", "fuse_pnl", "fuse_gt")]
    assert [len(starts(place, run)) for run in runs] == [2, 2, 1]
    assert set(read_results(runs, place)) == set(runs[:2])
    assert json.loads((place.folder(runs[0]) / "report.json").read_text())["run"]["seed"] == 1


def test_ray_stops_its_runs(place):
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = Run("Tiny", "fuse_pnl", 1)
    process = reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=1", "--ray")
    wait_for((place.folder(run) / "waiting").exists)
    process.send_signal(signal.SIGINT)
    assert finish(process)[0] == 130
    assert (place.folder(run) / "asked").exists()
    assert gone(int((place.folder(run) / "pid").read_text()))
