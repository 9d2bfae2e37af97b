"""Tests the static graph: texts that grow in its fixed cache give what PyTorch gives, longer texts
are refused, and verification fails for a modified graph. Also tests that a runtime folds the table
of rotary angles."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from command_lines import export_main
from onnx import TensorProto, helper, numpy_helper
from transformers import AutoModelForCausalLM

from oriel.contract.activation_names import ModelShape, joint_specs
from oriel.contract.manifest import read_manifest
from oriel.contract.variant_graphs import static_cache_of
from oriel.errors import GraphError
from oriel.graph.closings import close_joints
from oriel.graph.rotary_table import tabulate_angles
from oriel.options import QuantizeOptions
from oriel.progress import Silent
from oriel.quantize_bundle import quantize
from oriel.runtime.static_graph import StaticGraph
from oriel.verification.verify import verify

LENGTH = 16
"""Cache lengths in the tests; the models' contexts are twice as long."""
STATIC = "model.static.onnx"


def export_static(checkpoint: Path, folder: Path, length: str = str(LENGTH)) -> int:
    output = str(folder / "model.onnx")
    return export_main(["--model", str(checkpoint), "--output", output, "--static-cache", length])


@pytest.fixture(scope="module")
def static_gpt2(tiny_gpt2_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "gpt2"
    assert export_static(tiny_gpt2_checkpoint, folder) == 0
    return folder


@pytest.fixture(scope="module")
def static_llama(tiny_llama_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("static") / "llama"
    assert export_static(tiny_llama_checkpoint, folder) == 0
    return folder


def opened(folder: Path) -> StaticGraph:
    shape = read_manifest(folder).shape
    return StaticGraph(folder, (folder / STATIC).read_bytes(), shape, LENGTH)


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_a_padded_batch_generates_what_pytorch_generates(
    model: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(f"static_{model}")
    checkpoint: Path = request.getfixturevalue(f"tiny_{model}_checkpoint")
    reference = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
    texts = torch.tensor([[0, 0, 7, 8, 9], [3, 1, 4, 1, 5]])
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    graph = opened(folder)
    # Values that an earlier text left in the slots must have no effect.
    graph.run(np.full((2, LENGTH), 11), ["logits"])
    graph.restart()
    fed, fed_mask = texts, mask
    while texts.shape[1] < LENGTH:
        positions = (mask.cumsum(1) - 1).clamp(min=0)
        with torch.no_grad():
            want = reference(
                texts, attention_mask=mask, position_ids=positions, use_cache=False
            ).logits[:, -1]
        (got,) = graph.run(fed.numpy(), ["logits"], fed_mask.numpy()).values()
        assert got.shape == (2, 1, want.shape[1])
        np.testing.assert_allclose(got[:, 0], want, atol=1e-4, rtol=1e-4)
        fed, fed_mask = want.argmax(1, keepdim=True), torch.ones(2, 1, dtype=torch.int64)
        texts, mask = torch.cat([texts, fed], 1), torch.cat([mask, fed_mask], 1)


def test_shapes_do_not_change_with_the_text(static_gpt2: Path) -> None:
    session = opened(static_gpt2).session
    inputs, outputs = session.ports()
    sizes = {spec.name: spec.shape for spec in (*inputs, *outputs)}
    assert sizes["past_key_values.0.key"] == ("batch_size", 3, LENGTH, 8)
    assert sizes["present.3.value"] == ("batch_size", 3, LENGTH, 8)
    assert sizes["attention_mask"] == ("batch_size", LENGTH)
    assert sizes["cache_position"] == ("sequence_length",)
    assert sizes["logits"] == ("batch_size", 1, 101)
    assert "num_logits_to_keep" not in sizes


def test_a_text_longer_than_the_cache_is_refused_and_nothing_changes(static_gpt2: Path) -> None:
    graph, other = opened(static_gpt2), opened(static_gpt2)
    ids = np.arange(LENGTH)[None]
    for one in (graph, other):
        one.run(ids[:, :-1], ["logits"])
    with pytest.raises(GraphError, match=f"got {LENGTH + 1} tokens; expected at most {LENGTH}"):
        graph.run(np.array([[1, 2]]), ["logits"])
    refused, alone = (one.run(ids[:, -1:], ["logits"])["logits"] for one in (graph, other))
    assert np.array_equal(refused, alone)


@pytest.mark.parametrize(
    ("length", "said"),
    [
        ("33", "got 33 tokens; expected 1 to 32, the model's context"),
        ("0", "got '0'; expected a number of tokens"),
        ("many", "got 'many'; expected a number of tokens"),
    ],
)
def test_another_length_is_refused_before_anything_is_written(
    length: str,
    said: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert export_static(tiny_gpt2_checkpoint, tmp_path / "bundle", length) == 2
    errors = capsys.readouterr().err.splitlines()
    assert said in errors[-1]
    assert not (tmp_path / "bundle").exists()


def test_variants_get_static_graphs_of_the_same_length(static_gpt2: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(static_gpt2, folder)
    precision = ("f16", "fp16", "int8")
    quantize(QuantizeOptions(graph=folder, precision=precision, allow_lossy=True), Silent())
    variants = read_manifest(folder).variants
    assert [static_cache_of(v) for v in variants] == [LENGTH] * 4
    paths = {v["name"]: v["static"]["path"] for v in variants}
    assert paths == {
        "fp32": STATIC,
        "f16": STATIC,
        "fp16": "model_fp16.static.onnx",
        "int8": "model_int8.static.onnx",
    }


def test_a_bundle_without_one_is_not_up_to_date_where_one_is_asked_for(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", str(tiny_gpt2_checkpoint), "--output", str(tmp_path / "model.onnx")]
    assert export_main(words) == 0
    assert not (tmp_path / STATIC).exists()
    assert export_static(tiny_gpt2_checkpoint, tmp_path) == 0
    assert (tmp_path / STATIC).exists()
    assert export_static(tiny_gpt2_checkpoint, tmp_path) == 0
    assert "is up to date" in capsys.readouterr().out.splitlines()[-1]
    assert export_static(tiny_gpt2_checkpoint, tmp_path, "8") == 0
    assert static_cache_of(read_manifest(tmp_path).variants[0]) == 8


def test_verification_passes_over_every_call(
    static_llama: Path, tiny_llama_checkpoint: Path
) -> None:
    report = verify(static_llama, tiny_llama_checkpoint)
    assert report.passed, report.failures
    verdicts = {c.name: c.verdict for c in report.variants[0].checks}
    for check in ("runs", "vs_pytorch", "vs_open", "padded", "full", "contract", "runtime_ports"):
        assert verdicts[f"static_{check}"] == "passed"


def node(graph: onnx.GraphProto, operator: str) -> onnx.NodeProto:
    """Return the node with this operator that the static cache added."""
    found: onnx.NodeProto = next(
        n for n in graph.node if n.op_type == operator and n.name.startswith("static_cache/")
    )
    return found


def sees_later_slots(graph: onnx.GraphProto) -> None:
    node(graph, "LessOrEqual").op_type = "GreaterOrEqual"


def misses_its_own_slot(graph: onnx.GraphProto) -> None:
    node(graph, "LessOrEqual").op_type = "Less"


def sees_padding(graph: onnx.GraphProto) -> None:
    where = node(graph, "Where")
    where.input[1] = where.input[2]


def forgets_what_was_before(graph: onnx.GraphProto) -> None:
    """Write into zeros instead of the past."""
    scatter = next(n for n in graph.node if n.op_type == "ScatterElements")
    zeros = f"{scatter.input[0]}/zeros"
    at = list(graph.node).index(scatter)
    graph.node.insert(at, helper.make_node("Sub", [scatter.input[0]] * 2, [zeros], zeros))
    scatter.input[0] = zeros


def writes_a_slot_behind(graph: onnx.GraphProto) -> None:
    """Write every token to the slot of the previous one."""
    scatter = next(n for n in graph.node if n.op_type == "ScatterElements")
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.int32), "one"))
    at = list(graph.node).index(scatter)
    graph.node.insert(at, helper.make_node("Sub", [scatter.input[1], "one"], ["behind"], "behind"))
    scatter.input[1] = "behind"


def stretches_an_angle(graph: onnx.GraphProto) -> None:
    """Compute the cosines, but not the sines, of slightly larger angles."""
    table = next(n for n in graph.node if n.op_type == "Cos")
    graph.initializer.append(numpy_helper.from_array(np.array(1.01, np.float32), "stretch"))
    at = list(graph.node).index(table)
    made = helper.make_node("Mul", [table.input[0], "stretch"], ["stretched"], "stretched")
    graph.node.insert(at, made)
    table.input[0] = "stretched"


@pytest.mark.parametrize(
    "change",
    [
        sees_later_slots,
        misses_its_own_slot,
        sees_padding,
        forgets_what_was_before,
        writes_a_slot_behind,
        stretches_an_angle,
    ],
)
def test_verification_fails_for_a_changed_graph(
    change: Callable[[onnx.GraphProto], None],
    static_llama: Path,
    tiny_llama_checkpoint: Path,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(static_llama, folder)
    model = onnx.load(folder / STATIC, load_external_data=False)
    change(model.graph)
    (folder / STATIC).write_bytes(model.SerializeToString())
    manifest = json.loads((folder / "manifest.json").read_text())
    for file in manifest["files"]:
        content = (folder / file["path"]).read_bytes()
        file |= {"bytes": len(content), "digest": f"sha256:{hashlib.sha256(content).hexdigest()}"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    report = verify(folder, tiny_llama_checkpoint)
    failed = {c.name for c in report.variants[0].checks if c.verdict == "failed"}
    assert failed, "the change was not found"
    assert all(name.startswith("static_") for name in failed), failed


@pytest.mark.parametrize("name", ["model.open.onnx", STATIC])
def test_a_runtime_folds_the_angles_of_all_positions(
    name: str, static_llama: Path, tmp_path: Path
) -> None:
    graph = onnx.load(static_llama / name, load_external_data=False).graph
    assert {n.op_type for n in graph.node} >= {"Cos", "Sin"}
    # Joints are closed, as the optimizer sees them in a session.
    shape = read_manifest(static_llama).shape
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(tmp_path / "folded.onnx")
    entry = "session.model_external_initializers_file_folder_path"
    options.add_session_config_entry(entry, str(static_llama))
    data = (static_llama / name).read_bytes() + close_joints(joint_specs(shape), {})
    onnxruntime.InferenceSession(data, options)
    folded = onnx.load(tmp_path / "folded.onnx", load_external_data=False).graph
    assert not {"Cos", "Sin"} & {n.op_type for n in folded.node}
    tables = [
        numpy_helper.to_array(t)
        for t in folded.initializer
        if list(t.dims) == [shape.context_length, shape.head_dim // 2]
        and t.data_location != TensorProto.EXTERNAL
    ]
    frequencies = 1e4 ** (-np.arange(0, shape.head_dim, 2, dtype=np.float64) / shape.head_dim)
    angles = np.arange(shape.context_length)[:, None] * frequencies
    assert len(tables) == 2
    for want in (np.cos(angles), np.sin(angles)):
        assert min(np.abs(table - want).max() for table in tables) < 1e-5


def angles_graph(*, of_the_length: bool) -> onnx.GraphProto:
    """Return a graph of the cosines of position_ids times frequencies, optionally divided by the
    length of the text."""
    port = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Unsqueeze", ["position_ids", "axis"], ["column"]),
        helper.make_node("Cast", ["column"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["numbers", "used"], ["angles"]),
        helper.make_node("Cos", ["angles"], ["cosines"]),
    ]
    constants = [numpy_helper.from_array(np.array([2]), "axis")]
    frequencies = np.array([1, 0.1], np.float32)
    if of_the_length:
        constants.append(numpy_helper.from_array(frequencies, "frequencies"))
        nodes[:0] = [
            helper.make_node("Shape", ["position_ids"], ["length"], start=1),
            helper.make_node("Cast", ["length"], ["divisor"], to=TensorProto.FLOAT),
            helper.make_node("Div", ["frequencies", "divisor"], ["used"]),
        ]
    else:
        constants.append(numpy_helper.from_array(frequencies, "used"))
    ids = port("position_ids", TensorProto.INT64, ["batch", "seq"])
    cosines = port("cosines", TensorProto.FLOAT, ["batch", "seq", 2])
    return helper.make_graph(nodes, "angles", [ids], [cosines], constants)


SHAPE = ModelShape(1, 4, 1, 1, 4, 4, 9, context_length=50)


def test_rows_of_the_table_are_the_cosines_that_were_computed() -> None:
    ids = {"position_ids": np.array([[0, 49, 7], [3, 3, 21]])}
    graph = angles_graph(of_the_length=False)
    results = []
    for tabulated in (False, True):
        if tabulated:
            assert tabulate_angles(graph, SHAPE)
            assert "Cast" not in {n.op_type for n in graph.node}
        opset = [helper.make_opsetid("", 20)]
        model = helper.make_model(graph, opset_imports=opset, ir_version=9)
        onnx.checker.check_model(model)
        session = onnxruntime.InferenceSession(model.SerializeToString())
        results.append(session.run(["cosines"], ids)[0])
    np.testing.assert_allclose(results[1], results[0], atol=1e-6)
    want = np.cos(ids["position_ids"][..., None] * np.array([1, 0.1]))
    np.testing.assert_allclose(results[1], want, atol=1e-5)


def test_angles_that_depend_on_the_length_stay_computed() -> None:
    graph = angles_graph(of_the_length=True)
    before = graph.SerializeToString(deterministic=True)
    assert not tabulate_angles(graph, SHAPE)
    assert graph.SerializeToString(deterministic=True) == before
