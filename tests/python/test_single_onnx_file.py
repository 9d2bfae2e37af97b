"""ONNX files put together tensor by tensor, held to onnx' own reader and writer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from google.protobuf.internal.encoder import _VarintBytes  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from oriel.formats.single_onnx_file import _varint, put_weights_inside, without_graph


def model() -> onnx.ModelProto:
    rng = np.random.default_rng(1)
    weights: dict[str, np.ndarray[Any, Any]] = {
        "first": rng.normal(size=(30, 40)).astype(np.float32),
        "half": rng.normal(size=(40, 5)).astype(np.float16),
        "small": np.array([2], np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Cast", ["half"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["a", "wide"], ["b"]),
        helper.make_node("Mul", ["b", "small"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 30])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    made.metadata_props.add(key="oriel.structure", value="x" * 300)
    return made


def outside(folder: Path, size_threshold: int = 1024) -> tuple[Path, Path]:
    file, data = folder / "m.onnx", folder / "m.onnx_data"
    onnx.save(
        model(),
        file,
        save_as_external_data=True,
        location=data.name,
        size_threshold=size_threshold,
    )
    return file, data


@pytest.mark.parametrize("threshold", [0, 100, 1024])
def test_the_file_is_the_one_that_onnx_would_write(tmp_path: Path, threshold: int) -> None:
    file, data = outside(tmp_path, threshold)
    put_weights_inside(file, data)
    assert list(tmp_path.iterdir()) == [file]
    found, want = onnx.load(file), model()
    onnx.checker.check_model(found, full_check=True)
    kept = {t.name: t for t in found.graph.initializer}
    assert kept.keys() == {t.name for t in want.graph.initializer}
    for tensor in want.graph.initializer:
        assert kept[tensor.name] == tensor
    del found.graph.initializer[:], want.graph.initializer[:]
    assert found == want
    x = np.random.default_rng(2).normal(size=(3, 30)).astype(np.float32)
    whole = onnxruntime.InferenceSession(model().SerializeToString())
    same = onnxruntime.InferenceSession(file).run(None, {"x": x})[0]
    np.testing.assert_array_equal(same, whole.run(None, {"x": x})[0])


def test_a_data_file_that_is_too_short_is_no_model(tmp_path: Path) -> None:
    file, data = outside(tmp_path)
    data.write_bytes(data.read_bytes()[:-8])
    with pytest.raises(EOFError):
        put_weights_inside(file, data)


def test_all_but_the_graph_is_read_without_it(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "m.onnx")
    want = model()
    want.ClearField("graph")
    assert without_graph(tmp_path / "m.onnx") == want


@given(st.integers(0, 2**40))
def test_lengths_are_written_as_protobuf_does(number: int) -> None:
    assert _varint(number) == _VarintBytes(number)
