"""The graphs themselves: what tracing fewer layers must refuse, what files hold once and once
only, what fp16 keeps in float32. That their numbers are right: test_architectures.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from onnx import TensorProto
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel

from oriel.contract.activation_names import all_activations
from oriel.contract.manifest import read_manifest
from oriel.contract.variant_graphs import graphs_of
from oriel.export_bundle import export
from oriel.graph.attach_weights import attach_weights, place_weights
from oriel.graph.build_graphs import build_graphs
from oriel.graph.export_onnx import TracedGraph, trace
from oriel.graph.taps import Tap, open_taps
from oriel.models.architectures import find_architecture
from oriel.models.model_spec import make_spec
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.tracing.layers import TRACED_LAYERS


def trace_gpt2(**changes: Any) -> TracedGraph:
    config = GPT2Config(
        vocab_size=31, n_positions=16, n_embd=12, n_head=2, **{"n_layer": 5, **changes}
    )
    architecture = find_architecture("gpt2")
    # As if the architecture's file had forgotten that some configs make layers differ.
    careless = replace(architecture, repeatable=lambda config: True)
    return trace(make_spec(config, careless, careless.shape(config)), 20)


def test_layers_that_are_alike_are_traced_once() -> None:
    assert trace_gpt2().layers_traced == TRACED_LAYERS


def test_layers_that_differ_in_a_constant_are_all_traced() -> None:
    assert trace_gpt2(scale_attn_by_inverse_layer_idx=True).layers_traced == 5


def test_repeated_layers_read_their_own_weights() -> None:
    traced = trace_gpt2()
    readers: dict[str, int] = {}
    for node in traced.decoder.graph:
        for value in node.inputs:
            if value is not None and (value.name or "").startswith("transformer.h."):
                readers[value.name or ""] = readers.get(value.name or "", 0) + 1
    assert len(readers) == 5 * 12
    assert set(readers.values()) == {1}


def test_unset_weights_are_never_merged() -> None:
    # All biases of an unset model are equal bytes: an optimizer that saw them would keep one.
    traced = trace_gpt2()
    config = GPT2Config(vocab_size=31, n_positions=16, n_embd=12, n_head=2, n_layer=5)
    architecture = find_architecture("gpt2")
    spec = make_spec(config, architecture, architecture.shape(config))
    expected = {name: tuple(p.shape) for name, p in GPT2LMHeadModel(config).named_parameters()}
    assert spec.parameters == expected
    assert set(traced.parameters) == set(expected)
    layout = place_weights(spec.parameters, spec.linear)
    graphs = build_graphs(traced, spec.shape, layout, ["layer_4_attn_probs"], "weights")
    for model in (graphs.plain.model, graphs.decoder.model):
        external = [
            tensor.name
            for tensor in model.graph.initializer
            if tensor.data_location == TensorProto.EXTERNAL
        ]
        assert sorted(external) == sorted(expected)


def test_a_matrix_is_not_attached_the_other_way_round() -> None:
    text = """<ir_version: 10, opset_import: ["" : 20]>
        g (float[2, 3] x, float[3, 4] w) => (float[2, 4] y) { y = MatMul(x, w) }"""
    model = ir.serde.deserialize_model(onnx.parser.parse_model(text))
    with pytest.raises(AssertionError, match="the graph turns w"):
        attach_weights(model, place_weights({"w": (3, 4)}, transposed={"w"}), "weights")


def test_weights_are_written_once(tiny_gpt2_checkpoint: Path, tiny_gpt2_bundle: Path) -> None:
    manifest = read_manifest(tiny_gpt2_bundle)
    variant = manifest.variant("fp32")
    assert len(variant["weights"]) == 1
    tensors = load_file(tiny_gpt2_checkpoint / "model.safetensors")
    least = sum(4 * tensor.numel() for tensor in tensors.values())
    size = (tiny_gpt2_bundle / variant["weights"][0]).stat().st_size
    assert least <= size < least + 64 * len(tensors)
    for record in graphs_of(variant).values():
        model = onnx.load(tiny_gpt2_bundle / record["path"], load_external_data=False)
        inside = sum(len(t.raw_data) for t in model.graph.initializer)
        assert inside < 2_000
        assert not any(node.metadata_props or node.doc_string for node in model.graph.node)


def test_matrices_are_stored_as_in_out(
    tiny_llama_checkpoint: Path, tiny_llama_bundle: Path
) -> None:
    manifest = read_manifest(tiny_llama_bundle)
    path = manifest.variant("fp32")["plain"]["path"]
    model = onnx.load(tiny_llama_bundle / path)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    truth = load_file(tiny_llama_checkpoint / "model.safetensors")
    name = "model.layers.3.mlp.up_proj.weight"
    np.testing.assert_array_equal(stored[name], truth[name].numpy().T)
    name = "model.embed_tokens.weight"
    np.testing.assert_array_equal(stored[name], truth[name].numpy())
    assert {node.op_type for node in model.graph.node}.isdisjoint({"Gemm"})


def test_every_activation_has_a_tap_that_opens(tiny_llama_bundle: Path) -> None:
    manifest = read_manifest(tiny_llama_bundle)
    for variant in manifest.variants:
        taps = [Tap.from_json(tap) for tap in variant["taps"]]
        names = [spec.name for tap in taps for spec in tap.outputs]
        expected = [spec.name for spec in all_activations(manifest.shape) if spec.name != "logits"]
        assert sorted(names) == sorted(expected)
        graph = (tiny_llama_bundle / variant["open"]["path"]).read_bytes()
        for tap in taps:
            opened = onnx.load_model_from_string(open_taps(graph, [tap]))
            given = [output.name for output in opened.graph.output]
            assert given[-len(tap.outputs) :] == [spec.name for spec in tap.outputs]
            assert len(tap.payload) < 4_000


@pytest.mark.parametrize("opset", [18, 22])
def test_opset_is_what_was_asked_for(
    opset: int, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    options = ExportOptions(
        model=str(tiny_gpt2_checkpoint), output=tmp_path / "bundle", opset=opset
    )
    folder = export(options, Silent()).folder
    variant = read_manifest(folder).variant("fp32")
    for record in graphs_of(variant).values():
        model = onnx.load(folder / record["path"], load_external_data=False)
        assert {e.domain: e.version for e in model.opset_import}[""] == opset
    assert variant["opset"] == opset
    session = onnxruntime.InferenceSession(folder / "model.plain.onnx")
    ids = np.arange(6, dtype=np.int64).reshape(2, 3)
    (logits,) = session.run(["logits"], {"input_ids": ids})
    assert np.isfinite(logits).all()


class Fp16:
    """The fp16 plain graph, with the types of its tensors."""

    def __init__(self, folder: Path, path: str) -> None:
        self.model = onnx.load(folder / path)
        inferred = onnx.shape_inference.infer_shapes(self.model, strict_mode=True).graph
        values = [*inferred.value_info, *inferred.input, *inferred.output]
        self.types = {v.name: v.type.tensor_type.elem_type for v in values}
        self.types |= {t.name: t.data_type for t in inferred.initializer}


@pytest.fixture(scope="module")
def fp16(tiny_llama_bundle: Path) -> Fp16:
    variant = read_manifest(tiny_llama_bundle).variant("fp16")
    return Fp16(tiny_llama_bundle, variant["plain"]["path"])


def test_fp16_is_valid_and_half_the_size(fp16: Fp16, tiny_llama_bundle: Path) -> None:
    onnx.checker.check_model(fp16.model, full_check=True)
    manifest = read_manifest(tiny_llama_bundle)
    wide, narrow = (manifest.variant(name)["weights"][0] for name in ("fp32", "fp16"))
    ratio = manifest.file(narrow)["bytes"] / manifest.file(wide)["bytes"]
    assert 0.49 < ratio <= 0.51


def test_fp16_multiplies_in_float16(fp16: Fp16) -> None:
    products = [node for node in fp16.model.graph.node if node.op_type == "MatMul"]
    assert len(products) == 4 * 9 + 1
    for node in products:
        assert {fp16.types[name] for name in node.input} == {TensorProto.FLOAT16}


def test_fp16_keeps_norms_softmax_angles_and_stream_in_float32(fp16: Fp16) -> None:
    wide = {"Softmax", "Where", "Pow", "ReduceMean", "Sqrt", "Reciprocal", "Rsqrt", "Cos", "Sin"}
    checked = set()
    for node in fp16.model.graph.node:
        if node.op_type in wide:
            checked.add(node.op_type)
            floats = {fp16.types[n] for n in [*node.input, *node.output]} - {TensorProto.BOOL}
            assert floats <= {TensorProto.FLOAT, TensorProto.INT64}, node.name
    assert {"Softmax", "Where", "Cos", "Sin", "ReduceMean"} <= checked
    producers = {name: node for node in fp16.model.graph.node for name in node.output}
    for layer in range(4):
        for kind in ("resid_mid", "resid_post"):
            # Not a cast of something narrow: the sum itself.
            assert producers[f"layer_{layer}_{kind}"].op_type == "Add"


def test_fp16_gives_the_contract_float32(fp16: Fp16, tiny_llama_bundle: Path) -> None:
    for value in [*fp16.model.graph.input, *fp16.model.graph.output]:
        kind = value.type.tensor_type.elem_type
        assert kind in (TensorProto.FLOAT, TensorProto.INT64)
    lowest = np.finfo(np.float32).min
    producers = {name: node for node in fp16.model.graph.node for name in node.output}
    mask = producers["layer_0_attn_scores"]
    constants = {t.name: onnx.numpy_helper.to_array(t) for t in fp16.model.graph.initializer}
    assert float(constants[mask.input[2]]) == lowest
    variant = json.loads((tiny_llama_bundle / "manifest.json").read_text())["variants"][1]
    assert variant["plain"]["activations"]["outputs"][0]["dtype"] == "float32"
