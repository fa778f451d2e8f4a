"""How a run was made, as the report has it."""

import pytest
import torch
from speechbrain.utils.run_opts import RunOptions

from mil_asc.training.environment import describe_training


def test_clips_per_second_are_those_of_the_whole_training():
    """300 clips in 10 s, then 100 in 40 s."""
    history = [{"seconds": 10.0, "clips_per_second": 30.0}, {"seconds": 40.0, "clips_per_second": 2.5}]
    options = RunOptions(precision="bf16", overridden_args={"precision"})
    found = describe_training(history, options, torch.device("cpu"))
    assert found["train_clips_per_second"] == pytest.approx(400 / 50)
    assert (found["train_seconds"], found["epochs"]) == (50.0, 2)
    assert (found["precision"], found["run_options"]) == ("bf16", {"precision": "bf16"})


def test_run_that_trained_nothing_has_no_speed():
    assert describe_training([], RunOptions(), torch.device("cpu"))["train_clips_per_second"] is None
