"""A graph run part by part gives what it gives as a whole, and a model that is quantized that way
has the same weights."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from oriel.bundle.read_bundle import read_bundle
from oriel.cli import main
from oriel.contract.activation_names import all_activations
from oriel.fidelity.run_variant import VariantRun
from oriel.graph import graph_in_parts
from oriel.graph.graph_in_parts import GraphInParts, runs_in_parts
from oriel.runtime.weight_folders import WeightFolders

PART = 12000
"""Bytes: less than some of the tiny models' matrices have, and more than others."""


@pytest.fixture
def small_parts() -> Iterator[None]:
    with (
        patch.object(graph_in_parts, "WHOLE_BYTES", 0),
        patch.object(graph_in_parts, "PART_BYTES", PART),
    ):
        yield


def options(_prepack: bool) -> onnxruntime.SessionOptions:
    return onnxruntime.SessionOptions()


@pytest.mark.parametrize("model", ["gpt2", "llama"])
@pytest.mark.usefixtures("small_parts")
def test_every_activation_is_that_of_the_whole_graph(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle = read_bundle(request.getfixturevalue(f"tiny_{model}_bundle") / "model.onnx")
    names = [spec.name for spec in all_activations(bundle.shape)]
    ids = np.random.default_rng(3).integers(0, bundle.shape.vocab, (2, 9))
    folders = WeightFolders(bundle.folder, tmp_path)
    in_parts = VariantRun(bundle.variant, bundle.shape, folders, names)
    assert isinstance(in_parts.graph.session, GraphInParts)
    with patch.object(graph_in_parts, "WHOLE_BYTES", 1 << 30):
        whole = VariantRun(bundle.variant, bundle.shape, folders, names)
    found, wanted = in_parts.run(ids, names), whole.run(ids, names)
    assert found.keys() == wanted.keys() == set(names)
    for name, value in wanted.items():
        assert value.dtype == found[name].dtype and value.shape == found[name].shape, name
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_weights_encoded_by_parts_are_the_same_bytes(
    tiny_llama_bundle: Path, tmp_path: Path
) -> None:
    whole = shutil.copytree(tiny_llama_bundle, tmp_path / "whole")
    parts = shutil.copytree(whole, tmp_path / "parts")
    flags = ["--precision", "int4,int8_static", "--allow-lossy"]
    assert main(["quantize", str(whole / "model.onnx"), *flags]) == 0
    ran: list[tuple[str, ...]] = []
    run_all = GraphInParts.run_all

    def watched(self: GraphInParts, names: list[str], feeds: list[object]) -> object:
        ran.append(tuple(names))
        return run_all(self, names, feeds)  # type: ignore[arg-type]

    with (
        patch.object(graph_in_parts, "WHOLE_BYTES", 0),
        patch.object(graph_in_parts, "PART_BYTES", PART),
        patch.object(GraphInParts, "run_all", watched),
    ):
        assert main(["quantize", str(parts / "model.onnx"), *flags]) == 0
    # Calibration, the reference, the variants and their passes: none holds the whole model.
    assert len(set(ran)) > 3
    for name in ("model_q4.onnx.data", "model_q8.onnx.data", "model_int8_static.onnx"):
        digests = {hashlib.sha256((f / name).read_bytes()).digest() for f in (whole, parts)}
        assert len(digests) == 1, name


def drawn(name: str, *shape: int) -> TensorProto:
    values = np.random.default_rng(len(name)).normal(size=shape).astype(np.float32)
    return numpy_helper.from_array(values, name)


def test_a_part_has_few_weights_and_a_turned_one_is_turned_where_it_is_read(
    tmp_path: Path,
) -> None:
    """Three products, the last with the first's weight, turned; nodes in an order of their own."""
    nodes = [
        helper.make_node("MatMul", ["c", "turned"], ["d"], name="last"),
        helper.make_node("Transpose", ["first"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["x", "first"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["c"]),
    ]
    weights = [drawn("first", 4, 6), drawn("second", 6, 6)]
    float32 = TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "three",
        [helper.make_tensor_value_info("x", float32, ["n", 4])],
        [helper.make_tensor_value_info("d", float32, ["n", 4])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    x = np.random.default_rng(9).normal(size=(3, 4)).astype(np.float32)
    first, second = map(numpy_helper.to_array, weights)
    held: list[list[str]] = []
    opened = GraphInParts._open

    def watched(
        self: GraphInParts, part: onnx.ModelProto, how: onnxruntime.SessionOptions
    ) -> object:
        held.append([tensor.name for tensor in part.graph.initializer])
        return opened(self, part, how)

    with (
        patch.object(graph_in_parts, "PART_BYTES", 100),
        patch.object(GraphInParts, "_open", watched),
    ):
        (d,) = GraphInParts(model, tmp_path, options).run(["d"], {"x": x})
    assert held == [["first"], ["second"], ["first"]]
    np.testing.assert_allclose(d, np.maximum(x @ first, 0) @ second @ first.T, rtol=1e-5)
    with patch.object(graph_in_parts, "WHOLE_BYTES", 239):
        assert runs_in_parts(model.graph)
    with patch.object(graph_in_parts, "WHOLE_BYTES", 240):
        assert not runs_in_parts(model.graph)
