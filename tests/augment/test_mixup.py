"""Mixup: waveforms, and the labels of bags and instances that its loss amounts to."""

import pytest
import torch
from torch.nn.functional import binary_cross_entropy, one_hot

from mil_asc.augment.mixup import Mixup, TrainingBatch, mix
from mil_asc.mil.assigners import ground_truth_labels, positive_negative_labels
from mil_asc.mil.bags import make_bags
from mil_asc.mil.losses import BagBCE, InstanceBCE, MILLoss


@pytest.fixture
def batch(device):
    wav_BN = torch.tensor([[1.0, 2.0], [10.0, 20.0], [100.0, 200.0]], device=device)
    whole = torch.full((3,), 2, device=device)
    label_B, index_B = torch.tensor([0, 1, 2], device=device), torch.tensor([7, 8, 9], device=device)
    return TrainingBatch(wav_BN, whole, label_B, index_B)


def test_waveforms_are_added_with_their_shares(batch):
    device = batch.wav_BN.device
    mixed = mix(batch, torch.tensor(0.75, device=device), torch.tensor([1, 2, 0], device=device))
    assert torch.allclose(mixed.waveforms().cpu(), torch.tensor([[3.25, 6.5], [32.5, 65.0], [75.25, 150.5]]))
    assert torch.equal(mixed.label_B, batch.label_B) and torch.equal(mixed.length_B, batch.length_B)


def test_shares_are_at_least_a_half_and_of_the_beta_distribution(batch):
    shares = torch.stack([Mixup(alpha=1.0)(batch).share for _ in range(2000)])
    assert shares.min() >= 0.5 and (shares.mean() - 0.75).abs() < 0.01  # uniform, folded at a half


def weighted_bce(p, target, alpha):
    """Eq. 3 written out in float64 with the labels as they are."""
    loss = -(alpha * target * p.log() + (1 - target) * (1 - p).log())
    return loss.mean(-1)


@pytest.mark.parametrize("assigner", [positive_negative_labels, ground_truth_labels])
def test_the_loss_is_that_of_mixed_labels(batch, assigner):
    device, share = batch.wav_BN.device, torch.tensor(0.7, device=batch.wav_BN.device)
    partner_B = torch.tensor([1, 2, 0], device=device)
    torch.manual_seed(0)
    bags = make_bags(torch.randn(3, 5, 4, device=device))
    objective = MILLoss(bag=BagBCE(), instance=InstanceBCE(assigner=assigner))
    terms = mix(batch, share, partner_B).mixed_terms(lambda one: objective(bags, one.label_B))

    own, other = one_hot(batch.label_B, 4).double(), one_hot(batch.label_B[partner_B], 4).double()
    target_BC = 0.7 * own + 0.3 * other
    p_BIC, p_BC = bags.logits_BIC.double().sigmoid(), bags.bag_logits_BC.double().sigmoid()
    expected_bag = weighted_bce(p_BC, target_BC, 3.0).mean()
    target_BIC = target_BC.unsqueeze(1).expand_as(p_BIC)
    if assigner is positive_negative_labels:  # an instance is positive for the class that it finds most likely
        target_BIC = target_BIC * one_hot(p_BIC.argmax(2), 4)
    expected_instance = weighted_bce(p_BIC, target_BIC, 3.0).mean()
    assert torch.allclose(terms["bag"].double(), expected_bag, atol=1e-6)
    assert torch.allclose(terms["instance"].double(), expected_instance, atol=1e-6)
    assert torch.allclose(terms["loss"], terms["bag"] + terms["instance"])


def test_two_clips_of_one_class_keep_its_label(batch):
    same = batch._replace(label_B=torch.full_like(batch.label_B, 2))
    device = batch.wav_BN.device
    bags = make_bags(torch.randn(3, 5, 4, device=device))
    objective = MILLoss(bag=BagBCE(), instance=InstanceBCE(assigner=positive_negative_labels))
    mixed = mix(same, torch.tensor(0.6, device=device), torch.tensor([2, 0, 1], device=device))
    found = mixed.mixed_terms(lambda one: objective(bags, one.label_B))
    assert torch.allclose(found["loss"], objective(bags, same.label_B)["loss"])


def test_the_reference_is_the_cross_entropy_of_pytorch():
    p, y = torch.rand(6, 4, dtype=torch.float64), torch.rand(6, 4, dtype=torch.float64)
    assert torch.allclose(weighted_bce(p, y, 1.0).mean(), binary_cross_entropy(p, y))


def test_an_alpha_below_zero_is_refused():
    with pytest.raises(ValueError, match="mixup_alpha must be a number from 0 up"):
        Mixup(-0.1)
