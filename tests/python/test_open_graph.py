"""The open graph: closings of joints by hand, in NumPy, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from oriel.contract.activation_names import TensorSpec, input_specs, joint_specs
from oriel.contract.manifest import read_manifest
from oriel.errors import GraphError
from oriel.graph.closings import close_joints, closing_input, closing_rows

Arrays = dict[str, NDArray[Any]]
JOINT = TensorSpec("layer_0_attn_z", "float32", ("batch_size", 3, "sequence_length", 4))
X = np.random.default_rng(0).normal(size=(2, 3, 5, 4)).astype(np.float32)
UNIT = np.array([0.6, 0.0, -0.8, 0.0], np.float32)
OTHER = np.array([0.0, 1.0, 0.0, 0.0], np.float32)


def tiny_open_graph(joint: TensorSpec) -> onnx.ModelProto:
    """y = 2 · joint, where the joint's open end is x."""
    sizes = [None] * len(joint.shape)
    port = helper.make_tensor_value_info
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["x"], [f"{joint.name}/pre"]),
            helper.make_node("Add", [joint.name, joint.name], ["y"]),
        ],
        "tiny",
        [port("x", TensorProto.FLOAT, sizes)],
        [port("y", TensorProto.FLOAT, sizes)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def edited(
    closings: list[str], feeds: Arrays, joint: TensorSpec = JOINT, x: NDArray[Any] = X
) -> NDArray[Any]:
    """Return the joint's value after these closings."""
    graph = tiny_open_graph(joint).SerializeToString()
    session = onnxruntime.InferenceSession(graph + close_joints([joint], {joint.name: closings}))
    (doubled,) = session.run(["y"], {"x": x, **feeds})
    half: NDArray[Any] = doubled / 2
    return half


def fed(index: int, **tensors: NDArray[Any]) -> Arrays:
    return {closing_input(JOINT.name, index, name): value for name, value in tensors.items()}


def wide(vector: NDArray[Any]) -> NDArray[Any]:
    return vector.reshape(1, 1, 1, -1)


def one(value: float) -> NDArray[Any]:
    return np.full((1, 1, 1, 1), value, np.float32)


def at_token(value: float, token: int, elsewhere: float) -> NDArray[Any]:
    row = np.full((1, 1, 5, 1), elsewhere, np.float32)
    row[0, 0, token] = value
    return row


def test_no_edit_leaves_the_joint() -> None:
    assert np.array_equal(edited([], {}), X)


def test_add_and_scale_broadcast() -> None:
    heads = np.array([0, 1, 0.5], np.float32).reshape(1, 3, 1, 1)
    assert np.array_equal(edited(["scale"], fed(0, scale=heads)), X * heads)
    assert np.array_equal(edited(["add"], fed(0, add=wide(OTHER))), X + OTHER)


def test_replace_puts_values_where_the_mask_is_true() -> None:
    mask = at_token(1, 2, 0).astype(bool)
    got = edited(["replace"], fed(0, value=wide(UNIT), mask=mask))
    assert (got[:, :, 2] == UNIT).all()
    kept = [0, 1, 3, 4]
    assert np.array_equal(got[:, :, kept], X[:, :, kept])


def test_project_out_removes_the_component_and_no_other() -> None:
    got = edited(["project-out"], fed(0, direction=wide(UNIT), amount=one(1)))
    np.testing.assert_allclose(got @ UNIT, 0, atol=1e-6)
    across = np.array([0.8, 0, 0.6, 0], np.float32)
    np.testing.assert_allclose(got @ across, X @ across, atol=1e-6)
    np.testing.assert_allclose(got @ OTHER, X @ OTHER, atol=1e-6)
    mirrored = edited(["project-out"], fed(0, direction=wide(UNIT), amount=one(2)))
    np.testing.assert_allclose(mirrored @ UNIT, -(X @ UNIT), atol=1e-6)


def test_cap_lowers_what_is_above_the_limit() -> None:
    got = edited(["cap"], fed(0, direction=wide(UNIT), limit=at_token(0.1, 3, 3e38)))
    want = X @ UNIT
    want[:, :, 3] = np.minimum(want[:, :, 3], 0.1)
    assert (X @ UNIT)[:, :, 3].max() > 0.1
    np.testing.assert_allclose(got @ UNIT, want, atol=1e-6)


def test_swap_exchanges_two_vectors() -> None:
    feeds = fed(0, first=wide(UNIT), second=wide(OTHER), amount=one(1))
    got = edited(["swap"], feeds)
    np.testing.assert_allclose(got @ UNIT, X @ OTHER, atol=1e-6)
    np.testing.assert_allclose(got @ OTHER, X @ UNIT, atol=1e-6)
    # Twice is not at all, and lengths stay.
    again = fed(1, first=wide(UNIT), second=wide(OTHER), amount=one(1))
    np.testing.assert_allclose(edited(["swap", "swap"], feeds | again), X, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(got, axis=-1), np.linalg.norm(X, axis=-1), rtol=1e-5)


def test_clamp_puts_a_value_in_the_place_of_a_feature() -> None:
    numbers = {"bias": one(0.1), "threshold": one(0.4), "value": one(2)}
    feeds = fed(0, encoder=wide(UNIT), direction=wide(OTHER), amount=at_token(1, 3, 0), **numbers)
    got = edited(["clamp"], feeds)
    others = [0, 1, 2, 4]
    assert np.array_equal(got[:, :, others], X[:, :, others])
    for row in range(2):
        # The encoder is the same for all three heads, which count together.
        inner = float((X[row, :, 3] @ UNIT).sum()) + 0.1
        feature = inner if inner > 0.4 else 0.0
        want = X[row, :, 3] + (2 - feature) * OTHER
        np.testing.assert_allclose(got[row, :, 3], want, atol=1e-6)


def test_a_clamped_feature_jumps_at_its_threshold() -> None:
    inner = np.einsum("bhtd,d->bt", X, UNIT)
    threshold = float(np.sort(inner.reshape(-1))[-3]) + 1e-3
    assert threshold > 0
    tensors = {name: one(0) for name in ("bias", "value")}
    tensors |= {"threshold": one(threshold), "amount": one(1)}
    got = edited(["clamp"], fed(0, encoder=wide(UNIT), direction=wide(OTHER), **tensors))
    is_changed = (got != X).any(axis=(1, 3))
    assert np.array_equal(is_changed, inner > threshold)
    assert is_changed.sum() == 2


def test_a_clamp_of_a_joint_without_heads_has_a_feature_of_its_own_at_each_token() -> None:
    stream = TensorSpec("layer_0_resid_post", "float32", ("batch_size", "sequence_length", 4))
    x = X[:, 0]
    tensors = {"bias": -0.1, "threshold": 0.0, "value": 3.0, "amount": 1.0}
    feeds = {name: np.full((1, 1, 1), value, np.float32) for name, value in tensors.items()}
    feeds |= {"encoder": UNIT.reshape(1, 1, 4), "direction": OTHER.reshape(1, 1, 4)}
    got = edited(["clamp"], {f"{stream.name}/0/{name}": v for name, v in feeds.items()}, stream, x)
    feature = np.maximum(x @ UNIT - 0.1, 0)[..., None]
    np.testing.assert_allclose(got, x + (3 - feature) * OTHER, atol=1e-6)


def test_closings_of_one_joint_are_applied_in_order() -> None:
    feeds = fed(0, add=one(1)) | fed(1, scale=one(3))
    np.testing.assert_allclose(edited(["add", "scale"], feeds), (X + 1) * 3, rtol=1e-6)
    feeds = fed(0, scale=one(3)) | fed(1, add=one(1))
    np.testing.assert_allclose(edited(["scale", "add"], feeds), X * 3 + 1, rtol=1e-6)


@pytest.mark.parametrize("closing", closing_rows())
def test_neutral_values_change_nothing(closing: str) -> None:
    feeds = fed(
        0,
        **{
            row["name"]: one(row["neutral"]).astype(bool if row["dtype"] == "bool" else np.float32)
            for row in closing_rows()[closing]["inputs"]
        },
    )
    assert np.array_equal(edited([closing], feeds), X)


def test_what_no_closing_fits_is_refused() -> None:
    scores = TensorSpec("layer_0_attn_scores", "float32", ("batch_size", 3, "s", "t"))
    with pytest.raises(GraphError, match="no such joint"):
        close_joints([JOINT], {"layer_9_q": ["add"]})
    with pytest.raises(GraphError, match="no such closing"):
        close_joints([JOINT], {JOINT.name: ["wish"]})
    with pytest.raises(GraphError, match="has no direction"):
        close_joints([scores], {scores.name: ["cap"]})


def test_a_session_without_edits_has_only_the_decoders_inputs(tiny_llama_bundle: Path) -> None:
    manifest = read_manifest(tiny_llama_bundle)
    for variant in manifest.variants:
        sessions = []
        for kind in ("open", "decoder"):
            graph = (tiny_llama_bundle / variant[kind]["path"]).read_bytes()
            if kind == "open":
                graph += close_joints(joint_specs(manifest.shape), {})
            options = onnxruntime.SessionOptions()
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(tiny_llama_bundle)
            )
            sessions.append(onnxruntime.InferenceSession(graph, options))
        opened, decoder = sessions
        names = [spec.name for spec in input_specs(manifest.shape, "open")]
        assert [port.name for port in opened.get_inputs()] == names
        defaults = [port.name for port in decoder.get_overridable_initializers()]
        assert defaults == ["num_logits_to_keep"]
        required = [name for name in names if name not in defaults]
        assert [port.name for port in decoder.get_inputs()] == required


def test_every_joint_is_on_the_path(tiny_llama_bundle: Path) -> None:
    """In float16 too, where a tensor of the contract is a cast beside the path."""
    manifest = read_manifest(tiny_llama_bundle)
    for variant in manifest.variants:
        path = tiny_llama_bundle / variant["open"]["path"]
        graph = onnx.load(path, load_external_data=False).graph
        given = {name for node in graph.node for name in node.output}
        read = {name for node in graph.node for name in node.input}
        for joint in joint_specs(manifest.shape):
            assert f"{joint.name}/pre" in given and joint.name not in given
            assert joint.name in read, f"{joint.name} of {variant['name']}"
