"""The examples in the docstrings run."""

import doctest
import importlib
import pkgutil

import pytest

import mil_asc

MODULES = sorted(module.name for module in pkgutil.walk_packages(mil_asc.__path__, "mil_asc."))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0
