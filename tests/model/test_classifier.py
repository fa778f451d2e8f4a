import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Head, InstanceVectorGenerator


def parameters(module):
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_complete_model_has_the_papers_parameters():
    assert parameters(MILClassifier(LogMel(), FUSE())) == 139_082


def test_ten_seconds_give_39_instances():
    model = MILClassifier(LogMel(), FUSE()).eval()
    with torch.no_grad():
        bags = model(torch.randn(2, 160000))
    assert bags.logits_BIC.shape == (2, 39, 10) and bags.mask_BI.all()
    assert model.num_instances(160000) == 39


def test_shapes_of_table_1():
    x = torch.randn(1, 1, 256, 313)
    shapes = [tuple((x := module(x)).shape[1:]) for module in FUSE().eval()]
    assert shapes == [(32, 128, 156), (64, 64, 78), (128, 32, 39), (256, 32, 39)]


def test_module_is_the_sum_of_eq_9():
    """Known answer: identity blocks and batch norm make the module's output (n + 1) times its pointwise one."""
    module = FUSE(channels=(2,), num_blocks=3)[0].eval()
    with torch.no_grad():
        for block in module.blocks:
            for index in (0, 3):
                block[index].weight.zero_()
                block[index].weight[..., block[index].weight.shape[2] // 2, block[index].weight.shape[3] // 2] = 1
                block[index].bias.zero_()
        x = torch.rand(1, 1, 4, 6)
        module.pointwise[0].weight.abs_()
        module.pointwise[0].bias.abs_()
        expected = 4 * module.pointwise(x)
        torch.testing.assert_close(module(x), expected, rtol=1e-3, atol=1e-4)


def test_no_relu_follows_the_pointwise_convolution():
    module = FUSE(channels=(8,), num_blocks=0)[0].eval()
    assert (module(torch.randn(1, 1, 8, 8)) < 0).any()


@pytest.mark.parametrize(
    "channels, blocks, mels", [((8, 16), 1, 64), ((4, 8, 16), 2, 40), ((32, 64, 128, 256), 3, 128)]
)
def test_all_sizes_can_be_set(channels, blocks, mels):
    model = MILClassifier(LogMel(n_mels=mels), FUSE(channels, blocks), Head(num_classes=5, instance_dim=24)).eval()
    assert model(torch.randn(1, 16000)).logits_BIC.shape[2] == 5


def test_even_kernels_and_too_few_mel_bins_are_refused():
    with pytest.raises(ValueError, match="odd"):
        FUSE(time_kernel=4)
    with pytest.raises(ValueError, match="more mel bins"):
        InstanceVectorGenerator(8, 0)


def test_too_short_clip_is_refused(small_model):
    with pytest.raises(ValueError, match="too short"):
        small_model.eval()(torch.randn(1, small_model.min_samples - 1))
    assert small_model.eval()(torch.randn(1, small_model.min_samples)).logits_BIC.shape[1] == 1


@given(st.lists(st.integers(3584, 20000), min_size=1, max_size=4))
def test_scores_do_not_depend_on_other_clips_of_the_batch(small_model_shared, lengths):
    model = small_model_shared
    torch.manual_seed(sum(lengths))
    wav_BN = torch.randn(len(lengths), max(lengths)) * 0.1
    with torch.no_grad():
        bags = model(wav_BN, torch.tensor(lengths))
        for b, length in enumerate(lengths):
            alone = model(wav_BN[b : b + 1, :length]).logits_BIC[0]
            assert bags.mask_BI[b].sum() == len(alone) == model.num_instances(length)
            torch.testing.assert_close(bags.logits_BIC[b, : len(alone)], alone, rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def small_model_shared():
    torch.manual_seed(0)
    return MILClassifier(LogMel(n_mels=32), FUSE(channels=(4, 6, 8, 10)), Head(num_classes=4, instance_dim=12)).eval()


def test_permuting_clips_permutes_scores(small_model_shared):
    wav_BN = torch.randn(4, 16000)
    with torch.no_grad():
        logits_BIC = small_model_shared(wav_BN).logits_BIC
        torch.testing.assert_close(
            small_model_shared(wav_BN.flip(0)).logits_BIC.flip(0), logits_BIC, rtol=1e-4, atol=1e-5
        )


def test_training_masks_the_padding(small_model):
    bags = small_model.train()(torch.randn(2, 16000), torch.tensor([16000, 5000]))
    assert bags.mask_BI.sum(1).tolist() == [small_model.num_instances(16000), small_model.num_instances(5000)]


def test_instance_order_follows_time(small_model_shared):
    """A burst in the second half changes the later instances more than the earlier ones."""
    quiet = torch.randn(1, 32000) * 1e-3
    loud = quiet.clone()
    loud[:, 24000:26000] += torch.randn(2000)
    with torch.no_grad():
        moved_I = (small_model_shared(loud).logits_BIC - small_model_shared(quiet).logits_BIC).abs().sum(2)[0]
    assert moved_I.argmax().item() * small_model_shared.instance_samples == pytest.approx(24000, abs=8192)


def test_instance_times_of_the_paper():
    model = MILClassifier(LogMel(), FUSE())
    times_I2 = model.instance_times(160000)
    assert times_I2.shape == (39, 2) and times_I2[0, 0] == 0 and times_I2[1, 0] == pytest.approx(0.24)
    assert times_I2[-1, 1] == pytest.approx(9.968)
    np.testing.assert_array_equal(times_I2[1:, 0], times_I2[:-1, 1])


@pytest.mark.parametrize("samples", [5000, 16000, 16384, 53000])
def test_instances_have_times_within_the_clip(small_model, samples):
    times_I2 = small_model.instance_times(samples)
    assert len(times_I2) == small_model.num_instances(samples)
    assert (times_I2[:, 0] < times_I2[:, 1]).all() and times_I2[-1, 1] <= samples / 16000
