"""Finished runs that the same command would now train with other settings."""

from dataclasses import replace

import pytest
from fake_runs import write_recipe, write_run

from mil_asc.errors import UserError
from mil_asc.paper.plan import Place, PlannedRun, finished_runs
from mil_asc.paper.stale import find_stale, refuse_stale


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "recipes")


@pytest.fixture
def finished(place):
    """A recipe with two finished runs of 8 epochs: seeds 1 and 12 of ``fuse_pnl``."""
    write_recipe(place.recipes / "Tiny", needs_data=True, fuse_pnl="fine")
    runs = [PlannedRun("Tiny", "fuse_pnl", seed) for seed in (1, 12)]
    for run in runs:
        write_run(place.folder(run), "fuse_pnl", run.seed)
    return runs


def stale(place, runs, *options):
    """What ``find_stale`` says with ``options`` for train.py: seed -> words."""
    place = replace(place, options=options)
    return {run.seed: str(change) for run, change in find_stale(finished_runs(runs, place), place).items()}


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
        ("--remove_vector_weight_decay", "remove_vector_weight_decay False, not True"),
    ],
)
def test_runs_without_an_option_are_stale(place, finished, option, words):
    assert stale(place, finished, option) == {1: words, 12: words}


def test_runs_with_another_option_are_stale(place, finished):
    write_run(place.folder(finished[1]), "fuse_pnl", 12, options={"grad_accumulation_factor": 4, "precision": "fp32"})
    assert stale(place, finished) == {12: "grad_accumulation_factor 4, not 1"}
    assert stale(place, finished[1:], "--grad_accumulation_factor=4", "--precision=fp32") == {}


def test_runs_are_stale_after_a_change_of_their_yaml_file(place, finished):
    file = place.recipes / "Tiny/hparams/fuse_pnl.yaml"
    file.write_text(file.read_text().replace("pnl_weight: 1.0", "pnl_weight: 1.0\n  more: [1, 2]"))
    words = "objective.more unset, not [1, 2]"
    assert stale(place, finished) == {1: words, 12: words}


def test_folder_of_another_seed_is_stale(place, finished):
    write_run(place.folder(finished[1]), "fuse_pnl", 13)
    assert stale(place, finished) == {
        12: "__set_seed !apply:speechbrain.utils.seed_everything [13], not "
        "!apply:speechbrain.utils.seed_everything [12]"
    }


def test_runs_of_a_yaml_file_that_computes_with_the_seed_are_not_stale(place, finished):
    file = place.recipes / "Tiny/hparams/fuse_pnl.yaml"
    file.write_text(file.read_text().replace("pnl_weight: 1.0", "pnl_weight: !ref <seed> + 1"))
    for run in finished:
        settings = place.folder(run) / "hyperparams.yaml"
        settings.write_text(settings.read_text().replace("pnl_weight: 1.0", f"pnl_weight: {run.seed + 1}"))
    assert stale(place, finished) == {}


def test_a_stale_run_is_refused_with_what_to_do(place, finished):
    other = replace(place, options=("--batch_size=24",))
    with pytest.raises(UserError) as caught:
        refuse_stale(finished_runs(finished, other), other)
    assert str(caught.value) == (
        f"{place.folder(finished[0])} holds a finished run with training.batch_size 48, not 24: "
        "move the folder away, or keep these runs apart with --results=results/NAME"
    )
    refuse_stale(finished_runs(finished, place), place)
