import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from speechbrain.utils import checkpoints as speechbrain_checkpoints

from mil_asc.errors import UserError
from mil_asc.runtime.files import write_atomically
from mil_asc.training.checkpoints import AtomicCheckpointer
from mil_asc.training.run_state import RunState


def meta(epoch, **more):
    """Meta data of a checkpoint of a training with ten optimizer steps per epoch."""
    return {"epoch": epoch, "optimizer_step": 10 * epoch, **more}


class BackwardClock:
    """A clock that goes back one hour at every look."""

    strftime, localtime = time.strftime, time.localtime

    def __init__(self):
        self.now = 1e9

    def time(self):
        self.now -= 3600
        return self.now


@pytest.fixture
def layer_and_checkpointer(tmp_path):
    """A layer, and a checkpointer of it that writes into ``tmp_path / "save"``."""
    layer = torch.nn.Linear(2, 2)
    return layer, AtomicCheckpointer(tmp_path / "save", recoverables={"layer": layer})


def fill(layer, value):
    torch.nn.init.constant_(layer.weight, float(value))


def flip_bits(path):
    """Invert a byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    place = len(content) // 2
    content[place] ^= 0xFF
    path.write_bytes(content)


def test_random_states_and_history_are_restored(tmp_path):
    state = RunState()
    state.sums, state.history = {"clips": 3, "loss": 0.1}, [{"epoch": 1}]
    AtomicCheckpointer(tmp_path, recoverables={"state": state}).save_checkpoint(meta(1))
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
        checkpointer.save_and_keep_only(meta(step), num_to_keep=1)
    (found,) = tmp_path.iterdir()
    assert found.name == "CKPT+epoch-0002+step-0000020"
    assert checkpointer.recover_if_possible().meta["epoch"] == 2
    assert (layer.weight == 2).all()


class Exploding:
    pass


def test_failure_while_saving_keeps_the_older_checkpoint(tmp_path):
    layer = torch.nn.Linear(2, 2)
    checkpointer = AtomicCheckpointer(tmp_path, recoverables={"layer": layer})
    checkpointer.save_checkpoint(meta(1))
    checkpointer.add_recoverable("broken", Exploding())
    with pytest.raises(RuntimeError):
        checkpointer.save_checkpoint(meta(2))
    assert len(list(tmp_path.iterdir())) == 1
    assert AtomicCheckpointer(tmp_path, recoverables={"layer": layer}).recover_if_possible().meta["epoch"] == 1


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
AtomicCheckpointer(sys.argv[1], recoverables={"layer": layer}).save_checkpoint({"epoch": 1, "optimizer_step": 1})
slow = AtomicCheckpointer(sys.argv[1], recoverables={"layer": layer, "slow": Slow()})
slow.save_checkpoint({"epoch": 2, "optimizer_step": 2})
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
    assert found.meta["epoch"] == 1
    assert [path.name for path in tmp_path.iterdir()] == [found.path.name]


def test_files_are_written_atomically(tmp_path):
    write_atomically(tmp_path / "a.txt", "old")
    with pytest.raises(TypeError):
        write_atomically(tmp_path / "a.txt", 5)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


# -- the order of checkpoints


def test_clock_that_steps_back_keeps_and_finds_the_latest_epoch(layer_and_checkpointer, monkeypatch):
    monkeypatch.setattr(speechbrain_checkpoints, "time", BackwardClock())
    layer, checkpointer = layer_and_checkpointer
    for epoch in (1, 2, 3):
        fill(layer, epoch)
        checkpointer.save_and_keep_only(meta(epoch))
    fill(layer, 0)
    assert checkpointer.recover_if_possible().meta["epoch"] == 3
    assert (layer.weight == 3).all() and len(checkpointer.list_checkpoints()) == 1


def test_equal_accuracies_are_ordered_by_epoch(layer_and_checkpointer, monkeypatch):
    monkeypatch.setattr(speechbrain_checkpoints, "time", BackwardClock())
    _, checkpointer = layer_and_checkpointer
    for epoch, accuracy in [(1, 0.5), (2, 0.5), (3, 0.25)]:
        checkpointer.save_and_keep_only(meta(epoch, accuracy=accuracy), max_keys=["accuracy"])
    assert [found.meta["epoch"] for found in checkpointer.find_checkpoints()] == [3, 2]
    assert checkpointer.find_checkpoint(max_key="accuracy").meta["epoch"] == 2
    assert checkpointer.find_checkpoint(min_key="accuracy").meta["epoch"] == 3


def test_checkpoint_within_an_epoch_is_between_those_of_complete_epochs(layer_and_checkpointer):
    _, checkpointer = layer_and_checkpointer
    checkpointer.save_checkpoint(meta(3))
    checkpointer.save_checkpoint({"epoch": 3, "optimizer_step": 30}, end_of_epoch=False)  # after its last step
    checkpointer.save_checkpoint({"epoch": 3, "optimizer_step": 24}, end_of_epoch=False)
    checkpointer.save_checkpoint(meta(2))
    found = [(c.meta["epoch"], c.meta["end-of-epoch"]) for c in checkpointer.find_checkpoints()]
    assert found == [(3, True), (3, False), (3, False), (2, True)]
    assert checkpointer.find_checkpoints()[1].meta["optimizer_step"] == 30


def test_checkpoint_of_the_same_progress_is_replaced(layer_and_checkpointer):
    layer, checkpointer = layer_and_checkpointer
    for value in (1, 2):
        fill(layer, value)
        checkpointer.save_and_keep_only(meta(1))
    fill(layer, 0)
    checkpointer.recover_if_possible()
    assert (layer.weight == 2).all() and len(list(checkpointer.checkpoints_dir.iterdir())) == 1


def test_checkpoint_without_progress_is_refused(layer_and_checkpointer):
    with pytest.raises(ValueError, match="must have epoch, optimizer_step"):
        layer_and_checkpointer[1].save_checkpoint({})


# -- damage


DAMAGES = {
    "flipped bits": (lambda path: flip_bits(path / "layer.ckpt"), "layer.ckpt does not match its checksum"),
    "truncated": (lambda path: (path / "layer.ckpt").write_bytes(b"PK"), "layer.ckpt does not match its checksum"),
    "no weights": (lambda path: (path / "layer.ckpt").unlink(), "layer.ckpt is missing"),
    "no meta data": (lambda path: (path / "CKPT.yaml").unlink(), "CKPT.yaml is missing"),
    "other meta data": (lambda path: (path / "CKPT.yaml").write_text("epoch: ["), "CKPT.yaml does not match"),
    "no checksums": (lambda path: (path / "SHA256SUMS").unlink(), "SHA256SUMS is missing"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_checkpoint_is_not_loaded(layer_and_checkpointer, damage):
    _, checkpointer = layer_and_checkpointer
    path = checkpointer.save_checkpoint(meta(1)).path
    spoil, words = DAMAGES[damage]
    spoil(path)
    with pytest.raises(UserError, match="CKPT.epoch-0001.step-0000010 is damaged") as caught:
        checkpointer.recover_if_possible()
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match=words) as caught:
        checkpointer.set_damaged_aside()
    assert "there is no earlier checkpoint: remove" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_training_resumes_from_an_earlier_checkpoint_with_a_warning(layer_and_checkpointer, damage, caplog):
    layer, checkpointer = layer_and_checkpointer
    for epoch in (1, 2):
        fill(layer, epoch)
        path = checkpointer.save_checkpoint(meta(epoch)).path
    spoil, words = DAMAGES[damage]
    spoil(path)
    checkpointer.set_damaged_aside()
    assert checkpointer.recover_if_possible().meta["epoch"] == 1
    assert (layer.weight == 1).all()
    assert words in caplog.text and str(path) in caplog.text
    checkpointer.save_and_keep_only(meta(2))
    assert checkpointer.recover_if_possible().meta["epoch"] == 2


def test_weights_that_are_not_finite_are_not_saved(layer_and_checkpointer):
    layer, checkpointer = layer_and_checkpointer
    fill(layer, float("nan"))
    with pytest.raises(UserError, match=r"no checkpoint of epoch 4: weights that are not finite .*: weight"):
        checkpointer.save_checkpoint(meta(4))
    assert not checkpointer.list_checkpoints()


def test_weights_that_are_not_finite_are_not_loaded(layer_and_checkpointer, monkeypatch):
    layer, checkpointer = layer_and_checkpointer
    fill(layer, float("inf"))
    with monkeypatch.context() as patch:
        patch.setattr(AtomicCheckpointer, "_check_weights", lambda *arguments: None)
        path = checkpointer.save_checkpoint(meta(1)).path
    with pytest.raises(UserError, match=f"{path.name.replace('+', '.')}: weights that are not finite"):
        checkpointer.recover_if_possible()
