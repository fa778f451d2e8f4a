"""``tools/reproduce.py``: stopped and started again, its dry run, the pages it fills, and bad input."""

import csv
import signal
import subprocess
import sys

import pytest
from fake_runs import ROOT, TOOL, finish, gone, reproduce, starts, wait_for, write_recipe, write_run

from mil_asc.paper.plan import Place, PlannedRun
from mil_asc.paper.rows import TABLES, paper_sets, read_rows


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes")


@pytest.mark.slow
@pytest.mark.parametrize("number, status", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_program_stops_its_runs_and_they_go_on_the_next_time(place, number, status):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    arguments = ("--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    run = PlannedRun("Tiny", "fuse_pnl", 1)
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


@pytest.mark.slow
def test_runs_are_asked_to_stop_though_ctrl_c_is_ignored(place):
    """As in a shell's background job, which hands on to its children that SIGINT is ignored; Ray blocks it."""
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = PlannedRun("Tiny", "fuse_pnl", 1)
    arguments = ("--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    process = reproduce(place, *arguments, preexec_fn=ignore_interrupts)
    wait_for((place.folder(run) / "waiting").exists)
    process.terminate()
    assert finish(process)[0] == 143
    assert (place.folder(run) / "asked").exists()


def ignore_interrupts():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux to end a process with its parent")
def test_a_killed_program_takes_its_runs_along(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="waits", fuse_gt="fine")
    run = PlannedRun("Tiny", "fuse_pnl", 1)
    process = reproduce(place, "--table=5", "--dataset=Tiny", "--seeds=1", "--devices=cpu")
    wait_for((place.folder(run) / "waiting").exists)
    process.kill()
    finish(process)
    wait_for(lambda: gone(int((place.folder(run) / "pid").read_text())))
    assert not (place.folder(run) / "asked").exists()


@pytest.mark.slow
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
    write_run(place.folder(PlannedRun("Tiny", "fuse_gt", 2)), "fuse_gt", 2)
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


@pytest.mark.slow
def test_dry_run_tells_stale_runs_which_are_refused_otherwise(place):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    folder = place.folder(PlannedRun("Tiny", "fuse_gt", 1))
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
    assert not place.folder(PlannedRun("Tiny", "fuse_pnl", 1)).exists()


def test_dry_run_of_all_names_a_command_for_every_row(tmp_path):
    folders = {name: tmp_path / name for name in paper_sets()}
    for folder in folders.values():
        folder.mkdir()
    audio = ",".join(f"{name}={folder}" for name, folder in folders.items())
    command = [sys.executable, str(TOOL), "--table=all", "--dry_run", "--seeds=2", f"--data_folder={audio}"]
    results = f"--results=results/{tmp_path.parent.name}-{tmp_path.name}"  # where no run is
    out = subprocess.run([*command, results], capture_output=True, text=True, check=True).stdout
    lines, _, systems = (part.splitlines() for part in out.partition("published systems whose network is here"))
    with open(ROOT / "mil_asc/paper/facts/paper_tables.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    needed = {
        f"to do  {row.recipe} {row.experiment} seed {seed}:  cd {ROOT / 'recipes' / row.recipe} && "
        f"python train.py hparams/{row.experiment}.yaml --seed={seed} --data_folder={folders[row.recipe]} "
        f"--output_folder={results[10:]}/{row.experiment}/seed-{seed}"
        for table in TABLES
        for row in read_rows(table)
        for seed in (1, 2)
    }
    assert sum(len(read_rows(table)) for table in TABLES) == len(rows)
    assert set(lines) == needed and len(lines) == len(needed)
    assert sum("to do" in line for line in systems) == 2 * 11 and any("raw_cnn_gap seed 2" in line for line in systems)


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


@pytest.mark.slow
def test_a_page_is_filled_with_all_tables(place, tmp_path):
    write_recipe(place.recipes / "Tiny", fuse_pnl="fine", fuse_gt="fine")
    write_run(place.folder(PlannedRun("Tiny", "fuse_gt", 1)), "fuse_gt", 1)
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
        (["--table=5", "--dataset=Tiny", "--seeds=0"], "--seeds must be a whole number from 1 to 1000, got 0"),
        (
            ["--table=5", "--dataset=Tiny", "--seeds=1000000"],
            "--seeds must be a whole number from 1 to 1000, got 1000000",
        ),
        (["--table=5", "--dataset=Tiny", "--devices=tpu"], "tpu is not available here"),
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
    assert f"--data_folder={tmp_path / 'a'} " in starts(place, PlannedRun("A", "fuse_gt", 1))[0]
    assert f"--data_folder={tmp_path / 'b'} " in starts(place, PlannedRun("B", "fuse_gt", 1))[0]
    page = (place.recipes / "tables/table-5-A-B.html").read_text()
    assert str(tmp_path) not in page
