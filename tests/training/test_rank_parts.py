"""What one rank computes, and what is refused, without a second process."""

import pytest
import torch
from test_brain import dataset
from torch import nn

from mil_asc.errors import UserError
from mil_asc.results.settings import changed_settings
from mil_asc.training.one_voice import RanksLost
from mil_asc.training.rank_batch_norm import join_batch_norms
from mil_asc.training.rank_clips import RankClips, evaluation_batches
from mil_asc.training.ranks import Ranks, device_of, join_ranks, lost_ranks
from mil_asc.training.run_state import RunState


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("clips", [0, 1, 6, 20])
def test_shares_are_the_whole_and_differ_by_one_at_most(count, clips):
    shares = [Ranks(rank, count).share(list(range(clips))) for rank in range(count)]
    assert sorted(sum(shares, [])) == list(range(clips))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    for rank, share in enumerate(shares):
        assert share == [Ranks(rank, count).number(position) for position in range(len(share))]


def test_batch_size_counts_a_step_or_a_rank():
    assert Ranks(0, 3).clips_of_step(16, "step") == 16
    assert Ranks(0, 3).clips_of_step(16, "rank") == 48
    with pytest.raises(UserError, match="^--batch_size=2 is less than the number of ranks .3.: .*rank$"):
        Ranks(0, 3).clips_of_step(2, "step")


def test_part_of_a_batch_is_padded_like_the_whole():
    data = dataset(6, lengths=(8000, 6000))
    whole = data.__getitems__([1, 0, 3, 5])
    first, second = (RankClips(data, Ranks(rank, 2)).__getitems__([1, 0, 3, 5]) for rank in (0, 1))
    assert torch.equal(first.samples_BN, whole.samples_BN[0::2]) and first.index_B.tolist() == [1, 3]
    assert torch.equal(second.samples_BN, whole.samples_BN[1::2]) and second.length_B.tolist() == [8000, 6000]
    lonely = RankClips(data, Ranks(2, 3)).__getitems__([1, 0])  # no clip of its own
    assert lonely.index_B.tolist() == [1] and lonely.samples_BN.shape == (1, 8000)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_evaluation_batches_of_all_ranks_have_every_clip_once_and_are_those_of_one_process(count):
    data = dataset(11, lengths=(8000, 6000, 7000))
    batches = [batch for rank in range(count) for batch in evaluation_batches(data, 4, Ranks(rank, count))]
    assert sorted(sum(batches, [])) == list(range(11))
    assert sorted(batches) == sorted(evaluation_batches(data, 4, Ranks()))


def test_each_rank_takes_the_gpu_of_its_number(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="^rank 5 has no GPU: this machine has 2, so give --nproc_per_node=2$"):
        device_of(Ranks(5, 8, local=2))
    with pytest.raises(UserError, match="^--device=cuda:1: with torchrun each rank takes its own GPU"):
        device_of(Ranks(1, 2, local=1), "cuda:1")
    assert device_of(Ranks(1, 2, local=1), "cpu").type == "cpu"


def test_environment_that_is_not_complete_is_refused(monkeypatch):
    for name in ("WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RANK", "0")
    assert join_ranks().count == 1  # some cluster managers set RANK for every process
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(UserError, match="^the ranks cannot be connected .*WORLD_SIZE.*: start them with torchrun$"):
        join_ranks()


def test_only_errors_of_the_connection_are_those_of_a_lost_rank():
    with pytest.raises(RanksLost, match="^rank 1 lost the connection to another rank, which ended$"):
        with lost_ranks(Ranks(1, 2)):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:561] Connection closed by peer")
    with pytest.raises(RuntimeError, match="^shapes differ$"):
        with lost_ranks(Ranks(1, 2)):
            raise RuntimeError("shapes differ")


def test_batch_norm_of_another_class_is_refused():
    class Own(nn.BatchNorm2d):
        pass

    model = nn.Sequential(nn.Conv2d(1, 2, 1), Own(2))
    join_batch_norms(model, Ranks())
    with pytest.raises(UserError, match="^1 is a Own: with several ranks, batch norms must be BatchNorm1d, "):
        join_batch_norms(model, Ranks(0, 2))


def test_batch_norm_of_ranks_is_the_same_in_evaluation_and_keeps_its_names():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)).eval()
    wav = torch.randn(3, 1, 4, 5)
    before, names = model(wav), list(model.state_dict())
    join_batch_norms(model, Ranks(0, 2))
    assert torch.equal(model(wav), before) and list(model.state_dict()) == names
    assert isinstance(model[1], nn.BatchNorm2d)


def test_state_of_another_number_of_ranks_is_refused_in_training_only(tmp_path):
    state = RunState()
    state.save(tmp_path / "state")
    other = RunState(Ranks(0, 2))
    other.load(tmp_path / "state", end_of_epoch=True)
    with pytest.raises(UserError, match="^this run was trained by 1 rank.s., now there are 2: give --nproc_per_node=1"):
        other.check_ranks(0)


def test_runs_of_earlier_versions_counted_a_step():
    assert changed_settings("training: {batch_size: 8}", "training: {batch_size: 8, batch_size_of: step}") == {}
    assert changed_settings("training: {batch_size: 8}", "training: {batch_size: 8, batch_size_of: rank}")
