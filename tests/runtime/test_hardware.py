"""Too little memory is one line; other errors stay what they are."""

import numpy as np
import pytest
import torch

from mil_asc.errors import UserError
from mil_asc.runtime.hardware import memory_errors


@pytest.mark.parametrize("allocate", [lambda: torch.empty(2**50), lambda: np.empty(2**50)])
def test_too_little_memory_is_one_line(allocate):
    with pytest.raises(UserError, match="^out of memory .*: lower it$") as caught, memory_errors("lower it"):
        allocate()
    assert "\n" not in str(caught.value)


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="size"), memory_errors("lower it"):
        torch.ones(2) + torch.ones(3)
