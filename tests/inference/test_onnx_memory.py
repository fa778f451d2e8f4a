"""Graphs of a stranger that ask for huge tensors: refused in one line, in little memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mil_asc.inference import onnx_session
from mil_asc.inference.onnx_session import memory_bytes
from mil_asc.model.interface import NetworkInterface

ROOT = Path(__file__).parents[2]
LIMIT, SIDE = 300 << 20, 14_000
"""Memory that the process may take beyond its start; a square of this side has 784 MB."""
PROGRAM = """
import resource, sys
import numpy as np
from mil_asc.errors import UserError
from mil_asc.inference import onnx_session
from mil_asc.inference.onnx import OnnxSceneClassifier

onnx_session.memory_bytes = lambda: int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    classifier = OnnxSceneClassifier.from_hparams(sys.argv[1], threads=1)
    scene = classifier.explain_waveform(np.random.default_rng(0).normal(size=8000).astype(np.float32))
    words = f"DECIDED {scene.label}"
except UserError as error:
    words = str(error)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, words)
"""


def constant(name, values):
    return numpy_helper.from_array(np.asarray(values), name)


SQUARE = constant("square", np.array([SIDE, SIDE]))
TALL, WIDE = constant("tall", np.ones((SIDE, 1), np.float32)), constant("wide", np.ones((1, SIDE), np.float32))


def save(path, nodes, weights):
    """A file that ``OnnxSceneClassifier`` takes, whose logits depend on ``huge``."""
    first = [
        helper.make_node("Unsqueeze", ["waveform", "axis"], ["wave"]),
        helper.make_node("ReduceMax", ["wave"], ["level"], keepdims=0),
    ]
    last = [
        helper.make_node("ReduceMax", ["huge"], ["most"], keepdims=0),
        helper.make_node("Add", ["most", "level"], ["sum"]),
        helper.make_node("Mul", ["sum", "classes"], ["logits"]),
    ]
    weights = [constant("axis", np.array([1])), constant("classes", np.ones((1, 1, 2), np.float32)), *weights]
    taken = [helper.make_tensor_value_info("waveform", TensorProto.FLOAT, ["batch", "samples"])]
    given = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "instances", 2])]
    graph = helper.make_graph([*first, *nodes, *last], "g", taken, given, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    for key, value in NetworkInterface(["bus", "tram"], 16000, 4000, 4000, 500, None).to_metadata().items():
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString())


def outcome(path):
    """(bytes of memory taken, words) of classifying with a file in a process of its own."""
    command = [sys.executable, "-c", PROGRAM, path, str(2 * LIMIT)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    taken, _, words = done.stdout.strip().partition(" ")
    return 1024 * int(taken), words


def squares(count):
    """Constants of 784 MB each, which a runtime would compute when it loads the graph."""
    nodes = [helper.make_node("Mul", ["tall", "wide"], ["square0"])]
    for i in range(count):
        nodes.append(helper.make_node("Exp", [f"square{i}"], [f"square{i + 1}"]))
    return [*nodes, helper.make_node("Identity", [f"square{count}"], ["huge"])]


HUGE = {
    "expand": ([helper.make_node("Expand", ["level", "square"], ["huge"])], [SQUARE]),
    "outer product": (
        [helper.make_node("Mul", ["level", "tall"], ["now"]), helper.make_node("Mul", ["now", "wide"], ["huge"])],
        [TALL, WIDE],
    ),
    "padding": (
        [helper.make_node("Pad", ["wave", "much"], ["huge"])],
        [constant("much", np.array([0, 0, 0, 0, 0, SIDE * SIDE]))],
    ),
    "padding of a convolution": (
        [helper.make_node("Conv", ["wave", "kernel"], ["huge"], pads=[0, SIDE * SIDE])],
        [constant("kernel", np.ones((1, 1, 1), np.float32))],
    ),
    "constants": (squares(3), [TALL, WIDE]),
}


@pytest.mark.parametrize("name", HUGE)
def test_huge_tensor_is_refused_in_one_line_before_its_memory_is_taken(tmp_path, name):
    save(tmp_path / "a.onnx", *HUGE[name])
    taken, words = outcome(tmp_path / "a.onnx")
    assert words.startswith("ONNX Runtime failed: the graph needs more than 50% of the memory"), words
    assert taken < LIMIT + (100 << 20)


def test_graph_within_its_memory_is_computed(tmp_path):
    save(
        tmp_path / "a.onnx", [helper.make_node("Expand", ["level", "few"], ["huge"])], [constant("few", np.array([9]))]
    )
    assert outcome(tmp_path / "a.onnx")[1].startswith("DECIDED")


@pytest.mark.parametrize("operator", ["ConstantOfShape", "Range", "Tile", "Resize", "OneHot", "NonZero", "If", "Evil"])
def test_operators_that_are_never_exported_are_not_loaded(tmp_path, operator):
    save(tmp_path / "a.onnx", [helper.make_node(operator, ["square"], ["huge"])], [SQUARE])
    taken, words = outcome(tmp_path / "a.onnx")
    assert words.endswith(f"is not an ONNX file that mil_asc exports: the operator '{operator}' is not allowed")


@pytest.mark.parametrize("text, expected", [("1000\n", 1000), ("max\n", None), (None, None)])
def test_memory_is_that_of_the_container(tmp_path, monkeypatch, text, expected):
    monkeypatch.setattr(onnx_session, "CGROUP_LIMIT", tmp_path / "memory.max")
    whole = memory_bytes()
    assert whole > 1 << 28
    if text is not None:
        (tmp_path / "memory.max").write_text(text)
    assert memory_bytes() == (expected or whole)
