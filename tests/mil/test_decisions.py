import itertools

import pytest
import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.mil.bags import make_bags
from mil_asc.mil.decisions import RULES, count, standard, threshold


def bags_of(logits_BIC, count=None):
    mask_BI = torch.arange(logits_BIC.shape[1]).expand(logits_BIC.shape[:2]) < (count or logits_BIC.shape[1])
    return make_bags(logits_BIC, mask_BI)


def test_one_loud_instance_wins_under_smi_and_loses_under_cmi():
    logits_BIC = torch.tensor([[[9.0, 0.0], [0.0, 1.0], [0.0, 1.0]]])
    assert standard(bags_of(logits_BIC)).class_B.item() == 0
    assert count(bags_of(logits_BIC)).class_B.item() == 1
    torch.testing.assert_close(count(bags_of(logits_BIC)).score_BC[0], torch.tensor([1 / 3, 2 / 3]).double())


@given(st.integers(0, 2**31), st.integers(1, 6), st.sampled_from([0.2, 0.5, 0.9]))
def test_threshold_counts_confident_instances(seed, theta, tau):
    torch.manual_seed(seed)
    logits_BIC = torch.randn(3, 6, 4) * 2
    found_BC = threshold(bags_of(logits_BIC, 5), theta, tau)
    for b, c in itertools.product(range(3), range(4)):
        confident = [z for z in logits_BIC[b, :5, c].tolist() if references.sigmoid(z) >= tau]
        assert found_BC[b, c].item() == (len(confident) >= theta)


def test_threshold_out_of_range_raises_value_error():
    for theta, tau, words in [
        (0, 0.5, "theta must be at least 1, got 0"),
        (1, 0.0, "tau must be above 0 and below 1, got 0.0"),
        (1, 1.0, "tau must be above 0 and below 1, got 1.0"),
    ]:
        with pytest.raises(ValueError, match=words):
            threshold(bags_of(torch.zeros(1, 2, 2)), theta, tau)


def test_ties_of_cmi_go_to_the_larger_summed_confidence():
    logits_BIC = torch.tensor([[[1.0, 0.0], [0.0, 1.1]], [[1.2, 0.0], [0.0, 1.1]]])
    assert count(bags_of(logits_BIC)).class_B.tolist() == [1, 0]


@given(st.integers(0, 2**31), st.integers(2, 7))
def test_against_slow_reference(seed, instances):
    torch.manual_seed(seed)
    logits_BIC = torch.randn(4, instances, 3)
    for b in range(4):
        logits_IC = logits_BIC[b].tolist()
        assert standard(bags_of(logits_BIC)).score_BC[b].tolist() == pytest.approx(
            references.bag_confidence(logits_IC), rel=1e-6
        )
        assert count(bags_of(logits_BIC)).class_B[b].item() == references.count_decision(logits_IC)


@given(st.integers(0, 2**31), st.sampled_from(sorted(RULES)), st.permutations(range(6)))
def test_order_and_padding_do_not_matter(seed, name, order):
    torch.manual_seed(seed)
    logits_BIC = torch.randn(2, 6, 3)
    expected = RULES[name](bags_of(logits_BIC))
    assert torch.equal(expected.class_B, expected.score_BC.argmax(1)) or name == "cmi"
    torch.testing.assert_close(RULES[name](bags_of(logits_BIC[:, order])), expected)
    padded = torch.cat([logits_BIC, torch.full((2, 2, 3), 50.0)], dim=1)
    torch.testing.assert_close(RULES[name](bags_of(padded, count=6)), expected, rtol=1e-12, atol=0)


@given(st.integers(0, 2**31), st.floats(0.1, 8))
def test_scaling_all_logits_changes_no_decision_of_smi(seed, factor):
    torch.manual_seed(seed)
    logits_BIC = torch.randn(3, 5, 4)
    decided = standard(bags_of(logits_BIC)).class_B
    assert torch.equal(standard(bags_of(logits_BIC * factor)).class_B, decided)


def test_scores_lie_between_0_and_1_and_shares_sum_to_1():
    bags = bags_of(torch.randn(5, 39, 10))
    score_BC = standard(bags).score_BC
    assert ((score_BC >= 0) & (score_BC <= 1)).all()
    torch.testing.assert_close(count(bags).score_BC.sum(1), torch.ones(5).double())


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_saturated_confidences_are_decided_on_logits(name, dtype):
    """Sigmoids of 40 and 50 are both 1 in float64: the scores tie, the decision does not."""
    logits_BIC = torch.tensor([[[40.0, 50.0, -5.0]], [[60.0, 50.0, -5.0]]], dtype=dtype)
    verdict = RULES[name](bags_of(logits_BIC))
    assert verdict.class_B.tolist() == [1, 0]
    assert verdict.score_BC.dtype == torch.float64


def test_smi_decides_on_float64_logits_that_are_equal_in_float32():
    logits_BIC = torch.tensor([[[1.0, 1.0 + 1e-12]]], dtype=torch.float64)
    assert standard(bags_of(logits_BIC)).class_B.item() == 1


@pytest.mark.parametrize("votes", [(4001, 3999), (3999, 4001), (4000, 4000)])
def test_cmi_of_a_long_recording_is_decided_by_the_count_then_by_the_summed_confidence(votes):
    """8,000 instances: those of class 1 are far more confident, which counts only if the votes are equal."""
    first, second = votes
    logits_BIC = torch.tensor([[-4.0, -5.0]] * first + [[-6.0, 6.0]] * second).unsqueeze(0)
    expected = 0 if first > second else 1
    assert count(bags_of(logits_BIC)).class_B.item() == expected
    assert count(bags_of(logits_BIC.flip(2))).class_B.item() == 1 - expected


def test_cmi_tie_with_saturated_confidences_goes_to_the_larger_summed_logit():
    logits_BIC = torch.tensor([[[60.0, -60.0], [-60.0, 70.0]], [[80.0, -60.0], [-60.0, 70.0]]])
    assert count(bags_of(logits_BIC)).class_B.tolist() == [1, 0]
