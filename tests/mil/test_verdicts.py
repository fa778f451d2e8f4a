"""The NumPy decisions and poolings agree with those of the batches."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import given

from mil_asc.errors import ArgumentError
from mil_asc.mil.bag_logits import NUMPY_POOLINGS, pool
from mil_asc.mil.bags import make_bags
from mil_asc.mil.decisions import RULES
from mil_asc.mil.pooling import POOLINGS
from mil_asc.mil.verdicts import judge


def bag(seed, scale=3.0, instances=7, classes=4):
    return np.random.default_rng(seed).normal(scale=scale, size=(instances, classes))


def test_every_registered_pooling_is_there():
    assert NUMPY_POOLINGS.keys() == POOLINGS.keys()


@pytest.mark.parametrize("scale", [0.1, 3.0, 60.0])
@pytest.mark.parametrize("name", sorted(POOLINGS))
def test_pooling_equals_the_registered_one(name, scale):
    logits_IC = bag(1, scale)
    learned = {}
    if "attention" in name:
        learned = {"score_I": np.linspace(-2, 2, len(logits_IC))}
    if name == "auto":
        learned = {"sharpness_C": np.array([-2.0, 0.0, 1.0, 30.0])}
    options = {"k": 3} if name == "top_k_mean" else {"sharpness": 2.0} if name == "log_sum_exp" else {}
    own = [torch.from_numpy(value) for value in learned.values()]
    if "attention" in name:
        own = [own[0].unsqueeze(0)]
    mask_BI = torch.ones(1, len(logits_IC), dtype=torch.bool)
    expected = POOLINGS[name](torch.from_numpy(logits_IC).unsqueeze(0), mask_BI, *own, **options)[0]
    np.testing.assert_allclose(pool(name, logits_IC, options, **learned), expected, rtol=1e-9, atol=1e-9)


def test_unknown_pooling_is_refused():
    with pytest.raises(ArgumentError, match="unknown pooling 'median'; legal: max"):
        pool("median", bag(1))


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.5, 3.0, 80.0]), st.integers(1, 9))
def test_rules_equal_those_of_batches(seed, scale, instances):
    logits_IC = bag(seed, scale, instances).round(1)  # rounding makes ties
    bags = make_bags(torch.from_numpy(logits_IC).unsqueeze(0), None, POOLINGS["mean"])
    for rule, verdict in judge(logits_IC, bags.bag_logits_BC[0].numpy()).items():
        expected = RULES[rule](bags)
        assert verdict.winner == int(expected.class_B)
        np.testing.assert_allclose(verdict.scores_C, expected.score_BC[0], rtol=1e-12, atol=0)


def test_a_tie_of_votes_goes_to_the_larger_summed_confidence():
    logits_IC = np.array([[0.0, 5.0], [1.0, 0.0]])
    assert judge(logits_IC, logits_IC.max(0))["cmi"].winner == 1
