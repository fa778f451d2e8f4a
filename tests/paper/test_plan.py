"""Planned runs: their commands, and the options, audio folders and devices that are refused."""

import pytest
from fake_runs import write_recipe

from mil_asc.errors import UserError
from mil_asc.paper.plan import Place, PlannedRun, check_data, check_options, find_devices, runs_of
from mil_asc.paper.rows import select_rows


def test_tables_share_their_runs():
    rows = [row for table in (5, 7, 8) for row in select_rows(table, "TAU2019")]
    found = runs_of(rows, seeds=2)
    assert [(run.experiment, run.seed) for run in found] == [
        (name, seed) for seed in (1, 2) for name in ("fuse_pnl", "fuse_gt", "fuse_no_il")
    ]


def test_commands_name_seed_folders_and_options(tmp_path):
    write_recipe(tmp_path / "A", fuse_pnl="fine")
    write_recipe(tmp_path / "B", needs_data=True, fuse_pnl="fine")
    a, b = PlannedRun("A", "fuse_pnl", 1), PlannedRun("B", "fuse_pnl", 2)
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


@pytest.mark.parametrize("option", ["--seed=2", "--debug", "--data.data_folder=x", "--output_folder=x", "--test_only"])
def test_reserved_options_are_refused(option):
    with pytest.raises(UserError, match="may not be passed"):
        check_options([option])


def test_options_without_dashes_are_refused():
    with pytest.raises(UserError, match="8 is not an option of train.py"):
        check_options(["--number_of_epochs", "8"])


def test_audio_folder_must_be_named_and_exist(tmp_path):
    write_recipe(tmp_path / "B", needs_data=True, fuse_pnl="fine")
    runs = [PlannedRun("B", "fuse_pnl", 1)]
    with pytest.raises(UserError, match="where is the audio of B"):
        check_data(runs, Place(tmp_path))
    with pytest.raises(UserError, match="nowhere is not a folder"):
        check_data(runs, Place(tmp_path, data={"B": str(tmp_path / "nowhere")}))
    check_data(runs, Place(tmp_path, data={"B": str(tmp_path)}))


def test_devices_are_those_of_the_machine(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert find_devices("auto") == ["cuda:0", "cuda:1"]
    assert find_devices("cuda:1,cpu") == ["cuda:1", "cpu"]
    with pytest.raises(UserError, match="cuda:2 is not available here; legal: auto, cpu, cuda:0, cuda:1"):
        find_devices("cuda:0,cuda:2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert find_devices("auto") == ["cpu"]
    with pytest.raises(UserError, match="gpu is not available here"):
        find_devices("gpu")
