"""Every pooling against its published formula, one class of one bag at a time, and its manners."""

import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.mil.bags import make_bags
from mil_asc.mil.pooling import POOLINGS, pooling
from mil_asc.mil.pooling.attention import attention_mean
from mil_asc.mil.pooling.extremes import log_sum_exp, top_k_mean
from mil_asc.model.classifier import MILClassifier
from mil_asc.model.extractors.fuse import FUSE
from mil_asc.model.features import LogMel
from mil_asc.model.heads import Attention, GatedAttention, Head, InstanceDetector, log_odds

SHARPNESS = torch.tensor([2.0])  # of auto-pool, whose reference has the same
PLAIN = sorted(name for name, pooling in POOLINGS.items() if pooling is not attention_mean)


def pool(name, logits_BIC, mask_BI):
    """The pooling called ``name``, with what auto-pool would have learned."""
    learned = {"sharpness_C": SHARPNESS.to(logits_BIC)} if name == "auto" else {}
    return POOLINGS[name](logits_BIC, mask_BI, **learned)


def mask_of(counts, instances):
    return torch.arange(instances) < torch.tensor(counts).unsqueeze(1)


@pytest.mark.parametrize("name", PLAIN)
@given(seed=st.integers(0, 2**31))
def test_against_the_formula(name, seed):
    torch.manual_seed(seed)
    logits_BIC, counts = torch.randn(3, 7, 2) * 3, [7, 4, 1]
    confidence_BC = pool(name, logits_BIC, mask_of(counts, 7)).sigmoid()
    for b, count in enumerate(counts):
        for c in range(2):
            p_I = [references.sigmoid(z) for z in logits_BIC[b, :count, c].tolist()]
            expected = references.pooled_confidence(name, p_I)
            assert confidence_BC[b, c].item() == pytest.approx(expected, rel=1e-3, abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, -10.0])
@pytest.mark.parametrize("name", PLAIN)
@given(seed=st.integers(0, 2**31))
def test_float64_logits_are_pooled_in_float64(name, seed, shift):
    """With the shift, confidences are around 5e-5 each."""
    torch.manual_seed(seed)
    logits_BIC = torch.randn(1, 7, 1, dtype=torch.float64) + shift
    bag_logit = pool(name, logits_BIC, mask_of([7], 7)).item()
    expected = references.pooled_confidence(name, [references.sigmoid(z) for z in logits_BIC[0, :, 0].tolist()])
    assert references.sigmoid(bag_logit) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_gradient_is_the_derivative(name):
    """Against differences, for the logits and for what is learned (attention, sharpness): nothing is detached."""
    torch.manual_seed(0)
    inputs = [torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)]
    if name not in PLAIN:
        inputs.append(torch.randn(2, 5, dtype=torch.float64, requires_grad=True))
    if name == "auto":
        inputs.append(torch.randn(3, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(
        lambda logits, *learned: POOLINGS[name](logits, mask_of([5, 3], 5), *learned), inputs
    )


@pytest.mark.parametrize("name", PLAIN)
def test_equal_instances_pool_to_themselves(name):
    """Known answer: all but noisy-or give the confidence that every instance has."""
    logits_BIC = torch.full((1, 6, 1), 0.7)
    p = torch.tensor(0.7).sigmoid().item()
    expected = 1 - (1 - p) ** 6 if name == "noisy_or" else p
    assert pool(name, logits_BIC, mask_of([6], 6)).sigmoid().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
def test_extreme_logits_give_finite_logits_and_gradients(name, scale):
    logits_BIC = (scale * torch.tensor([[[-1.0, 1.0, -1.0], [-0.9, 1.0, 1.0]]])).requires_grad_()
    bag_BC = pool(name, logits_BIC, mask_of([2], 2))
    bag_BC.sum().backward()
    assert bag_BC.isfinite().all() and logits_BIC.grad.isfinite().all()


@pytest.mark.parametrize("name", PLAIN)
def test_saturated_instances_keep_a_gradient_that_can_turn_them(name):
    """A bag that is confidently empty still learns from a positive label: the logit's gradient does not vanish."""
    logits_BIC = torch.full((1, 4, 1), -25.0, requires_grad=True)
    pool(name, logits_BIC, mask_of([4], 4)).sum().backward()
    assert logits_BIC.grad.sum().item() == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize("name", PLAIN)
def test_padding_does_not_count(name):
    torch.manual_seed(0)
    logits_BIC = torch.randn(2, 5, 3)
    padded = torch.cat([logits_BIC, torch.full((2, 4, 3), 99.0)], dim=1)
    alone_BC = pool(name, logits_BIC, mask_of([5, 5], 5))
    torch.testing.assert_close(pool(name, padded, mask_of([5, 5], 9)), alone_BC)


@pytest.mark.parametrize("name", PLAIN)
def test_a_logit_that_is_not_a_number_is_not_hidden(name):
    logits_BIC = torch.zeros(1, 3, 2)
    logits_BIC[0, 1, 0] = float("nan")
    bag_BC = pool(name, logits_BIC, mask_of([3], 3))
    assert bag_BC[0, 0].isnan() and bag_BC[0, 1].isfinite()


def test_sharpness_of_auto_pool_runs_from_minimum_over_mean_to_maximum():
    logits_BIC, mask_BI = torch.randn(2, 6, 5, dtype=torch.float64), mask_of([6, 6], 6)
    p_BIC = logits_BIC.sigmoid()
    sharpness_C = torch.tensor([-1e4, 0.0, 1.0, 1e4, -1e4], dtype=torch.float64)
    pooled_BC = POOLINGS["auto"](logits_BIC, mask_BI, sharpness_C).sigmoid()
    torch.testing.assert_close(pooled_BC[:, 0], p_BIC.amin(1)[:, 0])
    torch.testing.assert_close(pooled_BC[:, 1], p_BIC.mean(1)[:, 1])
    torch.testing.assert_close(pooled_BC[:, 2], POOLINGS["exponential_softmax"](logits_BIC, mask_BI).sigmoid()[:, 2])
    torch.testing.assert_close(pooled_BC[:, 3], p_BIC.amax(1)[:, 3])


def test_model_with_auto_pool_starts_at_the_mean_and_learns_a_sharpness_per_class():
    torch.manual_seed(0)
    model = MILClassifier(LogMel(n_mels=16), FUSE([4, 4, 6, 8], num_blocks=1), Head(3, 8, pooling="auto")).train()
    plain = sum(p.numel() for p in MILClassifier(LogMel(n_mels=16), FUSE([4, 4, 6, 8], 1), Head(3, 8)).parameters())
    assert sum(p.numel() for p in model.parameters()) == plain + 3
    assert "sharpness_C" in model.state_dict() and model.decision == "bag"
    bags = model(torch.randn(4, 32000))
    torch.testing.assert_close(bags.bag_logits_BC.sigmoid(), bags.logits_BIC.sigmoid().mean(1))
    bags.bag_logits_BC.sum().backward()
    assert (model.sharpness_C.grad > 0).all()  # more weight on confident instances raises the mean


def test_sharpness_and_k_run_from_mean_to_maximum():
    logits_BIC, mask_BI = torch.randn(2, 6, 3), mask_of([6, 6], 6)
    torch.testing.assert_close(log_sum_exp(logits_BIC, mask_BI, 1e-3), logits_BIC.mean(1), atol=1e-2, rtol=0)
    torch.testing.assert_close(log_sum_exp(logits_BIC, mask_BI, 500.0), logits_BIC.amax(1), atol=1e-2, rtol=0)
    torch.testing.assert_close(top_k_mean(logits_BIC, mask_BI, 1), logits_BIC.amax(1))
    for refused in (lambda: log_sum_exp(logits_BIC, mask_BI, 0), lambda: top_k_mean(logits_BIC, mask_BI, 0)):
        with pytest.raises(ValueError, match="must be"):
            refused()


@pytest.mark.parametrize("module", [Attention, GatedAttention])
def test_attention_pools_instance_vectors_before_a_linear_classifier(module):
    """The published order (weighted mean of vectors, then the classifier) gives the same logits."""
    torch.manual_seed(0)
    vectors_BID, mask_BI = torch.randn(2, 5, 8), mask_of([5, 3], 5)
    attention, detector = module(8, hidden=6), InstanceDetector(8, 3)
    score_BI = attention(vectors_BID).squeeze(2)
    ours_BC = attention_mean(detector(vectors_BID), mask_BI, score_BI)
    for b, count in enumerate([5, 3]):
        weight_I = score_BI[b, :count].softmax(0)
        torch.testing.assert_close(ours_BC[b], detector((weight_I.unsqueeze(1) * vectors_BID[b, :count]).sum(0)))


def test_gated_attention_is_eq_9():
    module, vector_D = GatedAttention(4, hidden=3), torch.randn(4)
    value = torch.tanh(module.value.weight @ vector_D + module.value.bias)
    gate = torch.sigmoid(module.gate.weight @ vector_D + module.gate.bias)
    expected = (module.score.weight[0] * value * gate).sum() + module.score.bias
    torch.testing.assert_close(module(vector_D), expected)


def test_log_odds_of_the_softmax():
    score = torch.randn(2, 5, 4) * 5
    torch.testing.assert_close(log_odds(score).sigmoid(), score.softmax(-1), rtol=1e-4, atol=1e-7)
    assert torch.equal(log_odds(score).argmax(-1), score.argmax(-1))
    with pytest.raises(ValueError, match="two classes"):
        log_odds(torch.zeros(3, 1))


def test_the_strongest_of_several_detectors_counts():
    detector, vector_D = InstanceDetector(6, 3, detectors=4), torch.randn(6)
    every = detector.weight @ vector_D + detector.bias
    torch.testing.assert_close(detector(vector_D), torch.stack([every[4 * c : 4 * c + 4].max() for c in range(3)]))


@pytest.mark.parametrize("pooling", sorted(POOLINGS))
@pytest.mark.parametrize("confidence", ["sigmoid", "softmax"])
@pytest.mark.parametrize("instances", ["separable", "dense", "frequency_mean"])
def test_every_combination_trains(pooling, confidence, instances):
    torch.manual_seed(0)
    options = {"pooling": pooling, "confidence": confidence, "instances": instances, "detectors": 2}
    model = MILClassifier(LogMel(n_mels=16), FUSE((4, 6), 1), Head(num_classes=3, instance_dim=8, **options))
    bags = model(torch.randn(2, 8000), torch.tensor([8000, 6000]))
    assert bags.bag_logits_BC.shape == (2, 3)
    bags.bag_logits_BC.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.decision == ("smi" if pooling == "max" else "bag")
    joined = model.as_bags(model.instance_scores(bags), bags.mask_BI)
    torch.testing.assert_close(joined.bag_logits_BC, bags.bag_logits_BC)


def test_unknown_names_are_refused_with_the_legal_ones():
    legal = {"pooling": ".*max.*noisy_or", "instances": "separable, dense", "confidence": "sigmoid, softmax"}
    for option, names in legal.items():
        with pytest.raises(ValueError, match=f"{option} must be one of {names}.*; got 'nonsense'"):
            Head(**{option: "nonsense"})
    with pytest.raises(ValueError, match="input_norm must be one of none, resnorm; got 'nonsense'"):
        MILClassifier(LogMel(n_mels=16), FUSE((4, 6), 1), input_norm="nonsense")


def test_pooling_options_are_checked_when_the_model_is_built():
    model = MILClassifier(LogMel(n_mels=16), FUSE((4, 6), 1), Head(pooling="top_k_mean", pooling_options={"k": 2}))
    assert model.pooling.keywords == {"k": 2}
    with pytest.raises(ValueError, match="pooling_options of max: unknown 'k'; legal: none"):
        Head(pooling_options={"k": 2})


def test_make_bags_takes_every_instance_for_the_clips_own():
    bags = make_bags(torch.randn(2, 3, 4))
    assert bags.mask_BI.all() and torch.equal(bags.bag_logits_BC, bags.logits_BIC.amax(1))


def test_a_pooling_registers_itself_once():
    @pooling("test_first_instance")
    def first_instance(logits_BIC, mask_BI):
        return logits_BIC[:, 0]

    try:
        assert Head(pooling="test_first_instance").pooling == "test_first_instance"
        with pytest.raises(ValueError, match="there is a pooling called test_first_instance already"):
            pooling("test_first_instance")(lambda logits_BIC, mask_BI: logits_BIC[:, 1])
    finally:
        del POOLINGS["test_first_instance"]
