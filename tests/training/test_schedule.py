import pytest
from hypothesis import given
from hypothesis import strategies as st

from mil_asc.training.schedule import WarmupCosine


def test_warmup_cosine_known_values():
    factor = WarmupCosine(number_of_epochs=100, warmup_epochs=5)
    assert [factor(e) for e in (0, 1, 2.5, 5)] == [0, 0.2, 0.5, 1]
    assert factor(52.5) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)


def test_warm_up_is_limited_to_the_training():
    factor = WarmupCosine(number_of_epochs=2, warmup_epochs=5)
    assert factor(1) == 0.5 and factor(2) == pytest.approx(1.0)


@given(st.floats(0, 100), st.floats(0, 100))
def test_factor_rises_then_falls(a, b):
    factor, (low, high) = WarmupCosine(100, 5), sorted((a, b))
    if high <= 5:
        assert factor(low) <= factor(high)
    if low >= 5:
        assert factor(low) >= factor(high)
    assert 0 <= factor(a) <= 1
