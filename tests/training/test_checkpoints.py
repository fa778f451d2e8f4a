import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from mil_asc.runtime.files import write_atomically
from mil_asc.training.checkpoints import AtomicCheckpointer, RunState


def test_random_states_and_history_are_restored(tmp_path):
    state = RunState()
    state.sums, state.history = {"clips": 3, "loss": 0.1}, [{"epoch": 1}]
    AtomicCheckpointer(tmp_path, recoverables={"state": state}).save_checkpoint()
    expected = [random.random(), np.random.rand(), torch.rand(1).item()]
    other = RunState()
    checkpointer = AtomicCheckpointer(tmp_path)
    checkpointer.add_recoverable("state", other)
    checkpointer.recover_if_possible()
    assert [random.random(), np.random.rand(), torch.rand(1).item()] == expected
    assert (other.sums, other.history) == (state.sums, state.history)


def test_only_the_last_of_several_checkpoints_within_a_second_is_kept(tmp_path):
    layer = torch.nn.Linear(2, 2)
    checkpointer = AtomicCheckpointer(tmp_path, recoverables={"layer": layer})
    for step in range(3):
        torch.nn.init.constant_(layer.weight, float(step))
        checkpointer.save_and_keep_only(meta={"step": step}, num_to_keep=1)
    (found,) = tmp_path.iterdir()
    assert found.name.startswith("CKPT+")
    assert checkpointer.recover_if_possible().meta["step"] == 2
    assert (layer.weight == 2).all()


class Exploding:
    pass


def test_failure_while_saving_keeps_the_older_checkpoint(tmp_path):
    layer = torch.nn.Linear(2, 2)
    checkpointer = AtomicCheckpointer(tmp_path, recoverables={"layer": layer})
    checkpointer.save_checkpoint(meta={"step": 1})
    checkpointer.add_recoverable("broken", Exploding())
    with pytest.raises(RuntimeError):
        checkpointer.save_checkpoint(meta={"step": 2})
    assert len(list(tmp_path.iterdir())) == 1
    assert AtomicCheckpointer(tmp_path, recoverables={"layer": layer}).recover_if_possible().meta["step"] == 1


KILLED_WHILE_SAVING = """
import sys, time, torch
from speechbrain.utils.checkpoints import mark_as_saver, register_checkpoint_hooks, mark_as_loader
from mil_asc.training.checkpoints import AtomicCheckpointer
@register_checkpoint_hooks
class Slow:
    @mark_as_saver
    def save(self, path):
        print("saving", flush=True)
        time.sleep(60)
    @mark_as_loader
    def load(self, path, end_of_epoch): pass
layer = torch.nn.Linear(2, 2)
AtomicCheckpointer(sys.argv[1], recoverables={"layer": layer}).save_checkpoint(meta={"step": 1})
AtomicCheckpointer(sys.argv[1], recoverables={"layer": layer, "slow": Slow()}).save_checkpoint(meta={"step": 2})
"""


@pytest.mark.slow
def test_kill_while_saving_loses_only_that_checkpoint(tmp_path):
    command = [sys.executable, "-c", KILLED_WHILE_SAVING, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"saving\n"
        time.sleep(0.1)
        process.kill()
    assert len(list(tmp_path.iterdir())) == 2
    found = AtomicCheckpointer(tmp_path, recoverables={"layer": torch.nn.Linear(2, 2)}).recover_if_possible()
    assert found.meta["step"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [found.path.name]


def test_files_are_written_atomically(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "a.txt", 5)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1
