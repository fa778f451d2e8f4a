"""The compiled code of the chain's kernels: where it is kept, and whether the kernels are used at all."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("numba", reason="the kernels need numba")

from mil_asc.errors import UserError
from mil_asc.model.chain import conditions
from mil_asc.model.chain.conditions import SWITCH, fits, kernels_of_cpu
from mil_asc.model.extractors.fuse import FuseConvMod


@pytest.fixture(autouse=True)
def small_tensors_too(monkeypatch):
    monkeypatch.setattr(conditions, "LEAST_NUMBERS", 1)
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def fitting():
    """A module, and an input that the kernels can compute."""
    return FuseConvMod(2, 8).to(memory_format=torch.channels_last), torch.randn(2, 2, 8, 8)


def test_code_is_kept_for_one_state_of_the_sources(tmp_path, monkeypatch):
    from mil_asc.model.chain import compiled

    (tmp_path / "a.py").write_text("LINES = 4")
    first = compiled.digest_of_sources(tmp_path)
    assert compiled.digest_of_sources(tmp_path) == first
    (tmp_path / "a.py").write_text("LINES = 8")
    second = compiled.digest_of_sources(tmp_path)
    (tmp_path / "b.py").write_text("")
    assert len({first, second, compiled.digest_of_sources(tmp_path)}) == 3
    assert compiled.digest_of_sources() in compiled.code_folder()
    assert any(path.suffix == ".nbi" for path in Path(compiled.code_folder()).rglob("*"))


def test_code_that_cannot_be_kept_is_warned_of(tmp_path, monkeypatch, caplog):
    from mil_asc.model.chain import compiled

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "file/compiled.py"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert compiled.code_folder.__wrapped__() is None
    assert "set NUMBA_CACHE_DIR" in caplog.text
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert compiled.code_folder.__wrapped__().startswith(str(tmp_path / "home/mil_asc/kernels-"))


DAMAGE = """
import torch
from mil_asc.model.chain.max_pool import max_pool
torch.manual_seed(0)
x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
max_pool(x).square().sum().backward()
print(x.grad.sum().item())
"""


def run_with_code_in(folder):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(folder), "PYTHONPATH": str(Path(conditions.__file__).parents[3])}
    done = subprocess.run([sys.executable, "-c", DAMAGE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


@pytest.mark.slow
def test_damaged_code_is_compiled_again_with_a_warning(tmp_path):
    """Index files and code files that were cut off; then code of one kind under the name of another."""
    wanted, said = run_with_code_in(tmp_path)
    assert said == ""
    for ending, content in ((".nbi", b""), (".nbc", b"cut off")):
        for path in tmp_path.rglob(f"*{ending}"):
            path.write_bytes(content)
        found, said = run_with_code_in(tmp_path)
        assert found == wanted
        assert said.count("WARNING: compiled kernels in ") == 1 and "remove that folder" in said
        shutil.rmtree(tmp_path)
        tmp_path.mkdir()
        run_with_code_in(tmp_path)


def test_the_switch(fitting, monkeypatch):
    network, x = fitting
    assert kernels_of_cpu() == "numba"
    monkeypatch.setenv(SWITCH, "pytorch")
    assert kernels_of_cpu() == "pytorch" and not fits(x, network)
    monkeypatch.setenv(SWITCH, "no")
    with pytest.raises(UserError, match="MIL_ASC_KERNELS must be numba or pytorch; got 'no'"):
        kernels_of_cpu()


def test_numba_that_may_not_compile_is_not_used(fitting, monkeypatch):
    network, x = fitting
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")
    assert kernels_of_cpu() == "pytorch" and not fits(x, network)


def test_without_numba(fitting, monkeypatch):
    monkeypatch.setattr(conditions.importlib.util, "find_spec", lambda name: None)
    network, x = fitting
    assert kernels_of_cpu() == "pytorch" and not fits(x, network)
    monkeypatch.setenv(SWITCH, "numba")
    with pytest.raises(UserError, match="numba is not installed"):
        kernels_of_cpu()
