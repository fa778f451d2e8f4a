import math

import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.mil.assigners import ground_truth_labels, positive_negative_labels
from mil_asc.mil.bags import make_bags
from mil_asc.mil.losses import (
    BagBCE,
    BagCE,
    BagFocal,
    BagFocalCE,
    FrameLoss,
    InstanceBCE,
    InstanceCE,
    MILLoss,
    weighted_bce,
)
from mil_asc.mil.pooling.extremes import max_pooling
from mil_asc.mil.pooling.means import geometric_mean
from mil_asc.model.heads import log_odds

ASSIGNERS = {"pnl": positive_negative_labels, "gt": ground_truth_labels}


TERMS = {
    "BagBCE": BagBCE(),
    "BagCE": BagCE(),
    "BagFocal": BagFocal(),
    "BagFocalCE": BagFocalCE(),
    "InstanceBCE, pnl": InstanceBCE(positive_negative_labels),
    "InstanceBCE, gt": InstanceBCE(ground_truth_labels),
    "InstanceCE, pnl": InstanceCE(positive_negative_labels),
    "InstanceCE, gt": InstanceCE(ground_truth_labels),
    "FrameLoss": FrameLoss(),
}


def bags_of(logits_BIC, counts=None, pooling=max_pooling):
    counts = counts or [logits_BIC.shape[1]] * len(logits_BIC)
    mask_BI = torch.arange(logits_BIC.shape[1]) < torch.tensor(counts).unsqueeze(1)
    return make_bags(logits_BIC, mask_BI, pooling)


def random_bags(seed, B=3, I=5, C=4):  # noqa: E741 (shape letters)
    torch.manual_seed(seed)
    return torch.randn(B, I, C) * 2, torch.randint(C, (B,))


def test_known_bag_loss():
    """Logits 0: every confidence is 1/2, so the loss is (alpha + C - 1) / C ln 2 with alpha = C - 1."""
    loss = BagBCE()(bags_of(torch.zeros(1, 3, 10)), torch.tensor([4]))
    assert loss.item() == pytest.approx(18 / 10 * math.log(2))


def test_known_focal_losses():
    """Logits 0 of ten classes: q = 1/2 for every class; the true class has a tenth of the confidences."""
    bags, label_B = bags_of(torch.zeros(1, 3, 10)), torch.tensor([4])
    assert BagFocal()(bags, label_B).item() == pytest.approx((0.25 + 9 * 0.75) * 0.5**2 * math.log(2))
    assert BagFocalCE()(bags, label_B).item() == pytest.approx(0.25 * 0.9**2 * math.log(10))


def test_focal_losses_of_the_paper():
    """Lin et al., section 3.2: with gamma 2, q = 0.9 has a loss 100 times lower, and q = 0.968 about 1000 times."""
    for q, factor in ((0.9, 100), (0.968, 1000)):
        bags, label_B = bags_of(torch.tensor([[[math.log(q / (1 - q)), -1e4]]])), torch.tensor([0])
        plain, focal = (BagFocal(alpha=0.5, gamma=gamma)(bags, label_B).item() for gamma in (0, 2))
        assert plain == pytest.approx(-0.5 * math.log(q), rel=1e-4)
        assert plain / focal == pytest.approx(factor, rel=0.03)


@given(st.integers(0, 2**31), st.sampled_from([0, 0.5, 2.0, 3]), st.sampled_from([0.25, 0.6]))
def test_focal_losses_against_slow_reference(seed, gamma, alpha):
    logits_BIC, label_B = random_bags(seed)
    sigmoid_B = BagFocal(alpha, gamma)(bags_of(logits_BIC), label_B)
    share_B = BagFocalCE(alpha, gamma)(bags_of(logits_BIC), label_B)
    for b, label in enumerate(label_B.tolist()):
        confidence_C = logits_BIC[b].amax(0).sigmoid().tolist()
        expected = 0.0
        for c, p in enumerate(confidence_C):
            q, weight = (p, alpha) if c == label else (1 - p, 1 - alpha)
            expected -= weight * (1 - q) ** gamma * math.log(q)
        assert sigmoid_B[b].item() == pytest.approx(expected, rel=1e-3)
        q = confidence_C[label] / sum(confidence_C)
        assert share_B[b].item() == pytest.approx(-alpha * (1 - q) ** gamma * math.log(q), rel=1e-3)


def test_gamma_zero_gives_cross_entropies():
    logits_BIC, label_B = random_bags(3)
    bags = bags_of(logits_BIC)
    torch.testing.assert_close(BagFocalCE(0.25, 0)(bags, label_B), 0.25 * BagCE()(bags, label_B))
    torch.testing.assert_close(BagFocal(0.5, 0)(bags, label_B), 0.5 * 4 * BagBCE(alpha=1)(bags, label_B))


def test_factor_of_the_focal_loss_may_be_one():
    bags, label_B = bags_of(torch.zeros(1, 3, 10)), torch.tensor([4])
    assert BagFocalCE(alpha=1)(bags, label_B).item() == pytest.approx(0.9**2 * math.log(10))


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("loss", [BagFocal, BagFocalCE])
@pytest.mark.parametrize("size", [0.0, 40.0, 1e4])
def test_focal_losses_and_gradients_of_extreme_scores_are_finite(loss, gamma, size):
    """Scores that decide the bag for the true class, and for another."""
    logits_BIC = (size * torch.eye(3)).sub(size / 2).reshape(3, 1, 3).requires_grad_()
    loss_B = loss(gamma=gamma)(bags_of(logits_BIC), torch.tensor([0, 0, 2]))
    loss_B.sum().backward()
    assert (loss_B >= 0).all() and loss_B.isfinite().all() and logits_BIC.grad.isfinite().all()


BAD_FOCAL = [(BagFocal, {"alpha": 1})]
BAD_FOCAL += [(loss, bad) for loss in (BagFocal, BagFocalCE) for bad in ({"alpha": 0}, {"gamma": -1}, {"gamma": "2"})]


@pytest.mark.parametrize("loss, values", BAD_FOCAL)
def test_bad_focal_settings_are_refused(loss, values):
    with pytest.raises(ValueError, match=f"{next(iter(values))} must be a number"):
        loss(**values)


def test_known_instance_loss():
    """A perfect bag loses nothing; under PNL an instance of another class is pulled to zero everywhere."""
    perfect = torch.full((1, 2, 3), -40.0)
    perfect[0, :, 1] = 40.0
    for assign in ASSIGNERS.values():
        assert InstanceBCE(assign)(bags_of(perfect), torch.tensor([1])).item() == pytest.approx(0, abs=1e-6)
    pnl = InstanceBCE(positive_negative_labels)(bags_of(perfect), torch.tensor([0]))
    assert pnl.item() == pytest.approx(40 / 3)
    gt = InstanceBCE(ground_truth_labels)(bags_of(perfect), torch.tensor([0]))
    assert gt.item() == pytest.approx((2 * 40 + 40) / 3)


def test_loss_is_finite_for_extreme_logits():
    logits_BIC = torch.tensor([[[1e4, -1e4], [-1e4, 1e4]]], requires_grad=True)
    terms = MILLoss(**TERMS)(bags_of(logits_BIC), torch.tensor([0]))
    assert all(math.isfinite(value.item()) for value in terms.values())
    terms["loss"].backward()
    assert logits_BIC.grad.isfinite().all()


@given(st.integers(0, 2**31), st.sampled_from(sorted(ASSIGNERS)), st.sampled_from([None, 1.0, 2.5]))
def test_against_slow_reference(seed, kind, alpha):
    logits_BIC, label_B = random_bags(seed)
    bag_B = BagBCE(alpha)(bags_of(logits_BIC), label_B)
    ins_B = InstanceBCE(ASSIGNERS[kind], alpha)(bags_of(logits_BIC), label_B)
    for b, label in enumerate(label_B.tolist()):
        logits_IC = logits_BIC[b].tolist()
        assert bag_B[b].item() == pytest.approx(references.bag_loss(logits_IC, label, alpha or 3), rel=1e-4)
        assert ins_B[b].item() == pytest.approx(references.instance_loss(logits_IC, label, alpha or 3, kind), rel=1e-4)


@given(st.integers(0, 2**31), st.permutations(range(5)))
def test_order_of_instances_and_clips_does_not_matter(seed, order):
    logits_BIC, label_B = random_bags(seed)
    for name, term in TERMS.items():
        loss_B = term(bags_of(logits_BIC), label_B)
        if name != "FrameLoss":  # which is about neighbours
            torch.testing.assert_close(term(bags_of(logits_BIC[:, order]), label_B), loss_B)
        torch.testing.assert_close(term(bags_of(logits_BIC.flip(0)), label_B.flip(0)), loss_B.flip(0))


@given(st.integers(0, 2**31), st.integers(1, 4))
def test_masked_instances_do_not_count(seed, count):
    logits_BIC, label_B = random_bags(seed)
    garbage = logits_BIC.clone()
    garbage[:, count:] = 1e6
    for term in TERMS.values():
        alone_B = term(bags_of(logits_BIC[:, :count]), label_B)
        torch.testing.assert_close(term(bags_of(garbage, [count] * 3), label_B), alone_B)


def test_bag_gradient_reaches_only_the_winning_instances():
    logits_BIC = torch.randn(2, 6, 4, requires_grad=True)
    BagBCE()(bags_of(logits_BIC), torch.tensor([0, 3])).sum().backward()
    touched_BIC = logits_BIC.grad != 0
    assert torch.equal(touched_BIC.sum(1), torch.ones(2, 4, dtype=torch.long))
    assert torch.equal(touched_BIC.float().argmax(1), logits_BIC.argmax(1))


def test_bag_gradient_has_the_sign_that_helps():
    logits_BIC = torch.zeros(1, 1, 3, requires_grad=True)
    BagBCE()(bags_of(logits_BIC), torch.tensor([1])).sum().backward()
    assert torch.allclose(logits_BIC.grad.squeeze(), torch.tensor([0.5 / 3, -2 * 0.5 / 3, 0.5 / 3]))


def test_instance_gradient_is_that_of_fixed_labels():
    """The analytic gradient with the labels held constant: ((1 - y) p - alpha y (1 - p)) / (N C)."""
    logits_BIC = torch.randn(1, 5, 3, dtype=torch.double, requires_grad=True)
    label_B = torch.tensor([2])
    InstanceBCE(positive_negative_labels)(bags_of(logits_BIC), label_B).sum().backward()
    y_BIC, p_BIC = positive_negative_labels(logits_BIC, label_B), logits_BIC.detach().sigmoid()
    torch.testing.assert_close(logits_BIC.grad, ((1 - y_BIC) * p_BIC - 2 * y_BIC * (1 - p_BIC)) / 15)


def test_total_is_the_sum_of_the_terms():
    bags, label_B = bags_of(torch.randn(2, 3, 4)), torch.tensor([1, 2])
    terms = MILLoss(bag=BagBCE(), instance=InstanceBCE(positive_negative_labels))(bags, label_B)
    assert terms["loss"].item() == pytest.approx(terms["bag"].item() + terms["instance"].item())
    assert terms["bag"].item() == pytest.approx(BagBCE()(bags, label_B).mean().item())
    with pytest.raises(ValueError, match="at least one"):
        MILLoss()


def test_cross_entropy_against_slow_reference():
    logits_BIC, label_B = random_bags(7)
    odds_BIC = log_odds(logits_BIC)
    bag_B = BagCE()(bags_of(odds_BIC), label_B)
    pnl_B = InstanceCE(positive_negative_labels)(bags_of(odds_BIC), label_B)
    gt_B = InstanceCE(ground_truth_labels)(bags_of(odds_BIC), label_B)
    for b, label in enumerate(label_B.tolist()):
        softmax_IC = [references.softmax(z_C) for z_C in logits_BIC[b].tolist()]
        best_C = [max(p_C[c] for p_C in softmax_IC) for c in range(4)]
        assert bag_B[b].item() == pytest.approx(-math.log(best_C[label] / sum(best_C)), rel=1e-4)
        every = [-math.log(p_C[label]) for p_C in softmax_IC]
        positive = [loss for loss, p_C in zip(every, softmax_IC) if references.argmax(p_C) == label]
        assert pnl_B[b].item() == pytest.approx(sum(positive) / 5, rel=1e-4, abs=1e-6)
        assert gt_B[b].item() == pytest.approx(sum(every) / 5, rel=1e-4)


def test_average_pooling_under_cross_entropy_is_the_textbook_one():
    """Softmax of the mean of linear outputs, and its gradient, through log-odds and their geometric mean."""
    logits_BIC, label_B = random_bags(3)
    ours_BIC, plain_BIC = logits_BIC.clone().requires_grad_(), logits_BIC.clone().requires_grad_()
    ours_B = BagCE()(bags_of(log_odds(ours_BIC), pooling=geometric_mean), label_B)
    plain_B = torch.nn.functional.cross_entropy(plain_BIC.mean(1), label_B, reduction="none")
    torch.testing.assert_close(ours_B, plain_B)
    ours_B.sum().backward()
    plain_B.sum().backward()
    torch.testing.assert_close(ours_BIC.grad, plain_BIC.grad, rtol=1e-4, atol=1e-6)


def test_known_frame_loss():
    """Confidences 1/2 everywhere: absent classes cost 1/4, and nothing changes over time."""
    assert FrameLoss()(bags_of(torch.zeros(1, 4, 3)), torch.tensor([1])).item() == pytest.approx(0.25)
    assert FrameLoss()(bags_of(torch.zeros(1, 1, 3)), torch.tensor([1])).item() == pytest.approx(0.25)
    swing = torch.full((1, 3, 2), -50.0)
    swing[0, 1, 0] = 50.0
    assert FrameLoss()(bags_of(swing), torch.tensor([0])).item() == pytest.approx(1.0)


@given(st.integers(0, 2**31))
def test_frame_loss_against_slow_reference(seed):
    logits_BIC, label_B = random_bags(seed)
    loss_B = FrameLoss()(bags_of(logits_BIC), label_B)
    for b, label in enumerate(label_B.tolist()):
        assert loss_B[b].item() == pytest.approx(references.frame_loss(logits_BIC[b].tolist(), label), rel=1e-4)


def test_weighted_bce_keeps_the_other_axes():
    assert weighted_bce(torch.randn(2, 3, 4), torch.zeros(2, 3, 4)).shape == (2, 3)


@given(st.integers(0, 2**31))
def test_float64_logits_give_float64_losses(seed):
    torch.manual_seed(seed)
    logits_BIC = 3 * torch.randn(1, 4, 3, dtype=torch.float64)
    label_B = torch.tensor([1])
    for loss, expected in [
        (BagBCE(), references.bag_loss(logits_BIC[0].tolist(), 1, alpha=2)),
        (InstanceBCE(ground_truth_labels), references.instance_loss(logits_BIC[0].tolist(), 1, alpha=2, kind="gt")),
    ]:
        value = loss(make_bags(logits_BIC), label_B)
        assert value.dtype == torch.float64
        assert value.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", TERMS)
def test_gradient_is_the_derivative(name):
    """Against differences; the labels of instances do not change within them."""
    torch.manual_seed(0)
    logits_BIC = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: TERMS[name](bags_of(z, [5, 3]), torch.tensor([1, 2])), [logits_BIC])
