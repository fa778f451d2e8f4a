"""ONNX files that somebody sent: plain graphs are read, everything else is refused before a runtime sees it."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from mil_asc.errors import UserError
from mil_asc.packaging.graph_file import (
    CONTENT_KEY,
    MOST_COMPUTED,
    check_content,
    check_plain,
    read_graph,
    with_checksum,
)

X = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])
Y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])
ONE = numpy_helper.from_array(np.ones(1, np.float32), "one")


def model(nodes, weights=(ONE,), **more):
    return helper.make_model(helper.make_graph(nodes, "g", [X], [Y], list(weights)), **more)


def plain():
    return model([helper.make_node("Add", ["x", "one"], ["y"])])


def looping():
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), helper.make_tensor_value_info("c", 9, [])],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    return model([helper.make_node("Loop", ["", "c"], [], body=body), helper.make_node("Add", ["x", "one"], ["y"])])


def outside():
    weight = TensorProto(name="one", dims=[1], data_type=TensorProto.FLOAT, data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../../secret")
    return model([helper.make_node("Add", ["x", "one"], ["y"])], [weight])


def constant_outside():
    node = helper.make_node("Constant", [], ["y"], value=outside().graph.initializer[0])
    return model([node])


def functions():
    made = plain()
    made.functions.add(name="f", domain="own")
    return made


def sparse():
    made = plain()
    made.graph.sparse_initializer.add()
    return made


def training():
    made = plain()
    made.training_info.add()
    return made


def test_plain_graph_is_read(tmp_path):
    path = tmp_path / "a.onnx"
    onnx.save(plain(), path)
    assert read_graph(path).data == path.read_bytes() and read_graph(path).path == path


def test_a_changed_byte_is_noticed(tmp_path):
    path, content = tmp_path / "a.onnx", plain().SerializeToString()
    sealed = with_checksum(content)
    assert onnx.load_from_string(sealed).metadata_props[-1].key == CONTENT_KEY.decode()
    check_content(content)  # earlier versions stated no checksum
    path.write_bytes(sealed)
    assert read_graph(path).data == sealed
    for place in range(len(content)):
        changed = bytearray(sealed)
        changed[place] ^= 1
        with pytest.raises(ValueError, match="changed or damaged"):
            check_content(bytes(changed))
    path.write_bytes(bytes(changed))
    with pytest.raises(UserError, match="a.onnx is not an ONNX file that mil_asc exports: its content"):
        read_graph(path)


@pytest.mark.parametrize(
    "made, words",
    [
        (looping, "loops, branches"),
        (outside, "weights in other files"),
        (constant_outside, "weights in other files"),
        (functions, "functions or training steps"),
        (training, "functions or training steps"),
        (sparse, "sparse weights"),
        (lambda: model([helper.make_node("Evil", ["x"], ["y"], domain="com.evil")]), "operators of 'com.evil'"),
        (lambda: model([]), "0 operators"),
    ],
)
def test_other_graphs_are_refused_in_one_line(tmp_path, made, words):
    (tmp_path / "a.onnx").write_bytes(made().SerializeToString())
    with pytest.raises(UserError, match=words) as caught:
        read_graph(tmp_path / "a.onnx")
    assert "\n" not in str(caught.value) and str(tmp_path / "a.onnx") in str(caught.value)


def test_damaged_files_end_in_a_refusal_and_never_in_another_error():
    data = plain().SerializeToString()
    rng = np.random.default_rng(0)
    end = len(data) - len(plain().opset_import[0].SerializeToString()) - 2  # the graph is complete, the version is not
    for length in range(end):
        with pytest.raises(ValueError):
            check_plain(data[:length])
    for _ in range(500):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] = rng.integers(256)
        try:
            check_plain(bytes(damaged))
        except ValueError as error:
            assert "\n" not in str(error)
    for bad in (b"", b"\xff" * 100, b"\x80" * 100, b"PK\x03\x04" * 30, b"\x3a\xff\xff\xff\xff\x0f"):
        with pytest.raises(ValueError):
            check_plain(bad)


def test_missing_and_huge_files_are_refused(tmp_path):
    with pytest.raises(UserError, match="none.onnx is missing"):
        read_graph(tmp_path / "none.onnx")
    with pytest.raises(UserError, match="is no model folder: name one that mil-asc pack wrote"):
        read_graph(tmp_path)
    with open(tmp_path / "huge.onnx", "wb") as file:
        file.truncate(300 << 20)
    with pytest.raises(UserError, match="at most 268.4 MB are legal"):
        read_graph(tmp_path / "huge.onnx")


def test_many_constants_that_a_runtime_would_compute_are_refused():
    def computing(count):
        nodes = [helper.make_node("Add", ["one", "one"], [f"c{i}"]) for i in range(count)]
        return model([*nodes, helper.make_node("Add", ["x", "one"], ["y"])]).SerializeToString()

    check_plain(computing(MOST_COMPUTED))
    with pytest.raises(ValueError, match=f"it computes {MOST_COMPUTED + 1} constants, at most {MOST_COMPUTED}"):
        check_plain(computing(MOST_COMPUTED + 1))


def test_conversions_of_one_weight_each_may_be_many():
    def converting(sources):
        weights = [numpy_helper.from_array(np.ones(1, np.float16), f"w{i}") for i in range(600)]
        nodes = [helper.make_node("Cast", [name], [f"c{i}"], to=1) for i, name in enumerate(sources)]
        return model([*nodes, helper.make_node("Add", ["x", "one"], ["y"])], [ONE, *weights]).SerializeToString()

    check_plain(converting([f"w{i}" for i in range(600)]))
    with pytest.raises(ValueError, match="it computes 599 constants"):
        check_plain(converting(["w0"] * 600))
