import references
import torch
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.mil.assigners import ground_truth_labels, positive_negative_labels

ASSIGNERS = {"pnl": positive_negative_labels, "gt": ground_truth_labels}


def test_known_labels():
    logits_BIC = torch.tensor([[[2.0, 1.0, 0.0], [0.0, 1.0, -5.0], [-3.0, -2.0, -1.0]]])
    expected = torch.tensor([[[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]])
    assert torch.equal(positive_negative_labels(logits_BIC, torch.tensor([1])), expected)
    assert torch.equal(ground_truth_labels(logits_BIC, torch.tensor([1])), torch.tensor([[[0.0, 1, 0]] * 3]))


@given(st.integers(0, 2**31), st.sampled_from(sorted(ASSIGNERS)))
def test_against_slow_reference(seed, kind):
    torch.manual_seed(seed)
    logits_BIC, label_B = torch.randn(3, 4, 5), torch.randint(5, (3,))
    found = ASSIGNERS[kind](logits_BIC, label_B).tolist()
    for b in range(3):
        for i in range(4):
            assert found[b][i] == references.instance_label(logits_BIC[b, i].tolist(), label_B[b].item(), kind)


def test_no_gradient_flows_through_the_labels():
    for assign in ASSIGNERS.values():
        logits_BIC = torch.randn(2, 3, 4, requires_grad=True)
        assert not assign(logits_BIC, torch.tensor([0, 1])).requires_grad
