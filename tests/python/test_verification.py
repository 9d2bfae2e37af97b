"""Verification passes sound bundles and names what is wrong with others: each test damages a bundle
in one way and asks for the checks that must notice, and for some that must not."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_lines import export_main, verify_main
from onnx import helper, numpy_helper

from oriel.graph import closings
from oriel.graph.closings import closing_rows
from oriel.graph.taps import Tap
from oriel.proof.verification_record import verification_record
from oriel.runtime.joint_edit import JointEdit
from oriel.runtime.place_edits import place_edits
from oriel.verification import said_edit_checks
from oriel.verification import verify as verify_module
from oriel.verification.report import Report
from oriel.verification.verify import verify

PLAIN, DECODER, OPEN = "model.plain.onnx", "model.onnx", "model.open.onnx"
DATA = "model.onnx.data"


class Bundle:
    """A copy of a bundle, to be damaged."""

    def __init__(self, folder: Path, checkpoint: Path) -> None:
        self.folder, self.checkpoint = folder, checkpoint

    def verify(self) -> Report:
        return verify(self.folder / PLAIN, self.checkpoint)

    def manifest(self) -> dict[str, Any]:
        data: dict[str, Any] = json.loads((self.folder / "manifest.json").read_text())
        return data

    def write_manifest(self, data: dict[str, Any]) -> None:
        (self.folder / "manifest.json").write_text(json.dumps(data))

    def sign(self) -> Bundle:
        """Bring sizes and digests up to date, so that only deeper checks can notice a change."""
        data = self.manifest()
        for descriptor in data["files"]:
            content = (self.folder / descriptor["path"]).read_bytes()
            descriptor["bytes"] = len(content)
            descriptor["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.write_manifest(data)
        return self

    def change(self, file: str, edit: Callable[[onnx.GraphProto], None]) -> Bundle:
        """Edit a graph; sign for it."""
        model = onnx.load(self.folder / file, load_external_data=False)
        edit(model.graph)
        (self.folder / file).write_bytes(model.SerializeToString())
        return self.sign()

    def weights(self, name: str) -> np.memmap[Any, Any]:
        """A weight in the data file, to be written to."""
        model = onnx.load(self.folder / PLAIN, load_external_data=False)
        tensor = next(t for t in model.graph.initializer if t.name == name)
        offset = next(int(e.value) for e in tensor.external_data if e.key == "offset")
        file = self.folder / DATA
        values: np.memmap[Any, Any] = np.memmap(
            file, dtype=np.dtype("<f4"), mode="r+", offset=offset, shape=tuple(tensor.dims)
        )
        return values


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path) -> Bundle:
    shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle")
    return Bundle(tmp_path / "bundle", tiny_gpt2_checkpoint)


def check_verdicts(report: Report) -> dict[str, str]:
    """{check: verdict}, of the bundle and of its first variant."""
    checks = [*report.checks, *(report.variants[0].checks if report.variants else ())]
    return {check.name: check.verdict for check in checks}


def detail_of(report: Report, name: str) -> str:
    checks = [*report.checks, *report.variants[0].checks]
    return next(c.detail or "" for c in checks if c.name == name)


def rows(report: Report, graph: str) -> dict[str, str]:
    """{activation: verdict} of the first variant."""
    return {r.name: r.verdict for r in report.variants[0].activations if r.graph == graph}


def failed_checks(report: Report) -> set[str]:
    return {name for name, verdict in check_verdicts(report).items() if verdict != "passed"}


def failed_rows(report: Report, graph: str) -> set[str]:
    return {name for name, verdict in rows(report, graph).items() if verdict != "passed"}


def read_before(graph: onnx.GraphProto, joint: str, readers: Sequence[str] | None) -> None:
    """Let nodes (of these operators; None: all) read a joint as it is before any edit."""
    found = [
        (node, at)
        for node in graph.node
        for at, name in enumerate(node.input)
        if name == joint and (readers is None or node.op_type in readers)
    ]
    assert found
    for node, at in found:
        node.input[at] = f"{joint}/pre"


def node_giving(graph: onnx.GraphProto, output: str) -> onnx.NodeProto:
    found: onnx.NodeProto = next(node for node in graph.node if output in node.output)
    return found


def insert_after(graph: onnx.GraphProto, output: str, node: onnx.NodeProto) -> None:
    """Let `node`, which reads '{output}/before', make `output` in place of its maker."""
    maker = node_giving(graph, output)
    maker.output[list(maker.output).index(output)] = f"{output}/before"
    graph.node.insert(list(graph.node).index(maker) + 1, node)


def constant(graph: onnx.GraphProto, name: str, value: np.ndarray[Any, Any]) -> str:
    graph.initializer.append(numpy_helper.from_array(value, name))
    return name


# Sound bundles.


def test_a_sound_bundle_passes(bundle: Bundle) -> None:
    report = bundle.verify()
    assert report.passed, report.failures
    assert failed_checks(report) == set()
    assert report.conclusion().startswith("verified: 63 activations of fp32 agree with PyTorch")
    # 4 layers of 15 kinds, and three that belong to none; the plain graph gives 8.
    assert len(rows(report, "decoder")) == 63
    assert len(rows(report, "plain")) == 8
    expected = {
        *("manifest", "file_digests", "weights_digest", "model_shape", "plain_contract"),
        *("plain_ports", "plain_runtime_ports", "plain_opset", "plain_weights", "taps_complete"),
        *("decoder_contract", "decoder_ports", "shapes", "finite", "attention_rows"),
        *("causal_mask", "masked_scores", "resid_mid_sum", "resid_post_sum", "embedding_sum"),
        *(
            "cached_vs_uncached",
            "plain_vs_cached",
            "padded_vs_alone",
            "some_logits",
            "open_vs_decoder",
            "edits",
        ),
        *("longest_sequence", "plain_select", "taps_open", "reference"),
    }
    assert expected <= set(check_verdicts(report))


def test_sizes_include_one_and_the_longest(bundle: Bundle) -> None:
    report = bundle.verify()
    for name in ("plain_runs", "decoder_runs"):
        assert "1×1" in detail_of(report, name)
        assert "2×12" in detail_of(report, name)
        assert "1×32" in detail_of(report, name)
    assert detail_of(report, "longest_sequence").startswith("32 tokens; 55 of 55")


def test_llama_passes_in_both_precisions(
    tiny_llama_bundle: Path, tiny_llama_checkpoint: Path
) -> None:
    report = verify(tiny_llama_bundle, tiny_llama_checkpoint)
    assert report.passed, report.failures
    assert [v.name for v in report.variants] == ["fp32", "fp16"]
    exact, rounded = ({r.name: r.error or 0 for r in v.activations} for v in report.variants)
    assert exact["layer_3_resid_post"] < 1e-5 < rounded["layer_3_resid_post"]


def test_a_small_budget_shortens_the_longest_text(bundle: Bundle) -> None:
    report = verify(bundle.folder, bundle.checkpoint, budget=2500)
    assert report.passed, report.failures
    assert detail_of(report, "longest_sequence").startswith("24 of 32 tokens; ")
    assert not detail_of(report, "longest_sequence").endswith("55 of 55 activations")


# Damaged files.


def test_one_tampered_weight_is_named(bundle: Bundle) -> None:
    name = "transformer.h.2.mlp.c_fc.weight"
    bundle.weights(name)[5, 7] += 0.05
    report = bundle.verify()
    assert "model.onnx.data" in detail_of(report, "file_digests")
    assert detail_of(report, "plain_weights") == f"{name} differs in 1 of 1248 values"
    assert {"file_digests", "plain_weights", "decoder_weights"} <= failed_checks(report)
    broken = failed_rows(report, "decoder")
    assert {"layer_2_mlp_pre", "layer_2_mlp_act", "layer_2_resid_post", "logits"} <= broken
    # Activations before the broken weight are unaffected.
    assert not any(name.startswith(("layer_0_", "layer_1_", "embedding")) for name in broken)
    assert "layer_2_resid_mid" not in broken
    assert report.conclusion().startswith("FAILED: file_digests")


def test_a_tampered_weight_with_a_forged_digest_is_caught_by_its_effects(bundle: Bundle) -> None:
    bundle.weights("transformer.h.1.attn.c_proj.bias")[3] += 0.01
    report = bundle.sign().verify()
    verdicts = check_verdicts(report)
    assert verdicts["file_digests"] == "passed"
    assert verdicts["plain_weights"] == "failed"
    assert {"layer_1_attn_output", "logits"} <= failed_rows(report, "decoder")
    assert {"layer_2_resid_post", "logits"} <= failed_rows(report, "plain")
    # Rules of the file's own arithmetic still hold: only PyTorch can tell.
    assert verdicts["resid_mid_sum"] == "passed"


def test_a_weight_off_by_one_bit_is_named(bundle: Bundle) -> None:
    """Too little to show in any activation."""
    name = "transformer.h.0.mlp.c_proj.weight"
    values = bundle.weights(name)
    values[0, 0] = np.nextafter(values[0, 0], np.float32(np.inf))
    values.flush()
    report = bundle.sign().verify()
    assert failed_checks(report) == {"plain_weights", "decoder_weights", "open_weights"}
    assert name in detail_of(report, "plain_weights")
    assert failed_rows(report, "decoder") == set()


def test_a_nan_is_named(bundle: Bundle) -> None:
    bundle.weights("transformer.ln_f.bias")[0] = np.nan
    report = bundle.sign().verify()
    assert {"finite", "plain_weights"} <= failed_checks(report)
    assert "final_norm" in failed_rows(report, "decoder")
    record = json.loads(json.dumps(verification_record(report, bundle.folder), allow_nan=False))
    assert record["verdict"] == "failed"
    decoder = next(p for p in record["variants"][0]["proofs"] if p["candidate"]["graph"] != "plain")
    assert decoder["first_apart"]["output"] == "final_norm"
    (found,) = [o for o in decoder["cases"][0]["outputs"] if o["name"] == "final_norm"]
    assert (found["relative"], found["passed"]) == (None, False)


def test_a_truncated_data_file_is_named_without_a_traceback(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    data = bundle.folder / DATA
    data.write_bytes(data.read_bytes()[: data.stat().st_size // 2])
    command = ["--model", str(bundle.folder), "--checkpoint", str(bundle.checkpoint)]
    assert verify_main(command) == 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert "model.onnx.data has" in out
    assert re.search(r"transformer\.\S+ lies past the end of model\.onnx\.data", out)
    last = out.rstrip().splitlines()[-1]
    assert last.startswith("FAILED: file_digests, fp32: plain_weights, fp32: plain_runs")
    # Checks that were never run aren't reported as failed.
    assert "logits" not in last


def test_a_truncated_data_file_with_a_forged_size_is_named(bundle: Bundle) -> None:
    data = bundle.folder / DATA
    data.write_bytes(data.read_bytes()[:-64])
    report = bundle.sign().verify()
    assert check_verdicts(report)["file_digests"] == "passed"
    assert {"plain_weights", "decoder_weights", "plain_runs"} <= failed_checks(report)


def test_missing_and_unreadable_files_are_named(bundle: Bundle) -> None:
    (bundle.folder / PLAIN).unlink()
    (bundle.folder / DECODER).write_bytes(b"not a graph")
    report = bundle.verify()
    assert {"file_digests", "plain_readable", "decoder_readable"} <= failed_checks(report)
    assert "model.plain.onnx is missing" in detail_of(report, "file_digests")


def test_missing_weights_are_named(bundle: Bundle) -> None:
    (bundle.folder / DATA).unlink()
    report = bundle.verify()
    assert {"file_digests", "plain_weights", "decoder_weights"} <= failed_checks(report)


# Changed graphs.


def swap_heads(graph: onnx.GraphProto, name: str) -> None:
    order = constant(graph, f"{name}/order", np.array([1, 0, 2]))
    gather = helper.make_node("Gather", [f"{name}/before", order], [name], axis=1)
    insert_after(graph, name, gather)


def test_two_heads_outputs_swapped_are_named(bundle: Bundle) -> None:
    report = bundle.change(DECODER, lambda g: swap_heads(g, "layer_1_attn_z")).verify()
    broken = failed_rows(report, "decoder")
    assert {"layer_1_attn_z", "layer_1_attn_output", "logits"} <= broken
    assert "layer_1_attn_probs" not in broken and "layer_0_attn_z" not in broken
    assert failed_rows(report, "plain") == set()
    assert {"plain_vs_cached", "open_vs_decoder"} <= failed_checks(report)
    assert check_verdicts(report)["decoder_weights"] == "passed"


def test_two_heads_swapped_in_an_output_alone_are_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        swap_heads(graph, "layer_2_attn_probs")
        for node in graph.node:
            if node.op_type == "MatMul" and "layer_2_attn_probs" in node.input:
                node.input[0] = "layer_2_attn_probs/before"

    report = bundle.change(PLAIN, edit).verify()
    assert failed_rows(report, "plain") == {"layer_2_attn_probs"}
    assert failed_rows(report, "decoder") == set()


def test_a_renamed_output_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        for names in [node.output for node in graph.node] + [node.input for node in graph.node]:
            for i, name in enumerate(names):
                if name == "layer_0_mlp_output":
                    names[i] = "layer_0_mlp_out"
        next(o for o in graph.output if o.name == "layer_0_mlp_output").name = "layer_0_mlp_out"

    report = bundle.change(PLAIN, edit).verify()
    assert {"plain_ports", "plain_runtime_ports"} <= failed_checks(report)
    assert "no output layer_0_mlp_output" in detail_of(report, "plain_ports")
    assert "unknown output layer_0_mlp_out" in detail_of(report, "plain_ports")
    assert failed_rows(report, "plain") == {"layer_0_mlp_output"}
    # Those that kept their names are still held against PyTorch.
    assert rows(report, "plain")["logits"] == "passed"


def drop_mask(graph: onnx.GraphProto, layer: int) -> None:
    where = node_giving(graph, f"layer_{layer}_attn_scores")
    assert where.op_type == "Where"
    plain = helper.make_node("Identity", [where.input[1]], list(where.output))
    where.CopyFrom(plain)


@pytest.mark.parametrize("file", [PLAIN, DECODER])
def test_a_dropped_causal_mask_is_named(bundle: Bundle, file: str) -> None:
    report = bundle.change(file, lambda g: drop_mask(g, 2)).verify()
    assert "causal_mask" in failed_checks(report)
    assert "layer 2" in detail_of(report, "causal_mask")
    graph = "plain" if file == PLAIN else "decoder"
    assert {"layer_2_attn_probs", "logits"} <= failed_rows(report, graph)
    # Rows still sum to 1: that rule alone would not have noticed.
    assert check_verdicts(report)["attention_rows"] == "passed"
    if file == DECODER:
        assert {"masked_scores", "cached_vs_uncached"} <= failed_checks(report)


def test_another_mask_value_is_named(bundle: Bundle) -> None:
    """-10,000 gives the same probabilities; the contract says which value it is."""

    def edit(graph: onnx.GraphProto) -> None:
        where = node_giving(graph, "layer_1_attn_scores")
        where.input[2] = constant(graph, "milder", np.array(-1e4, dtype=np.float32))

    report = bundle.change(DECODER, edit).verify()
    assert failed_checks(report) == {"masked_scores"}
    assert failed_rows(report, "decoder") == set()


def test_padding_that_is_seen_is_named(bundle: Bundle) -> None:
    """No text without padding can tell."""

    def edit(graph: onnx.GraphProto) -> None:
        joined = next(node for node in graph.node if node.op_type == "And")
        joined.CopyFrom(helper.make_node("Identity", joined.input[:1], list(joined.output)))

    report = bundle.change(DECODER, edit).verify()
    assert failed_checks(report) == {"padded_vs_alone"}


def test_other_rows_of_logits_than_asked_for_are_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        start = node_giving(graph, "num_logits_to_keep/start")
        start.CopyFrom(helper.make_node("Identity", list(start.input), list(start.output)))

    report = bundle.change(DECODER, edit).verify()
    assert "some_logits" in failed_checks(report)
    assert check_verdicts(report)["cached_vs_uncached"] == "passed"


def test_an_open_graph_that_computes_something_else_is_named(bundle: Bundle) -> None:
    report = bundle.change(OPEN, lambda g: swap_heads(g, "layer_1_attn_z/pre")).verify()
    assert {"open_vs_decoder", "edits"} <= failed_checks(report)
    assert failed_rows(report, "decoder") == set()


def test_a_joint_beside_the_path_is_named(bundle: Bundle) -> None:
    """Its edits change the joint, and nothing behind it."""

    def edit(graph: onnx.GraphProto) -> None:
        for node in graph.node:
            for i, name in enumerate(node.input):
                if name == "layer_2_mlp_act":
                    node.input[i] = f"{name}/pre"

    report = bundle.change(OPEN, edit).verify()
    assert failed_checks(report) == {"edits"}
    assert "layer_2_mlp_act" in detail_of(report, "edits")


@pytest.mark.parametrize(
    ("closing", "operator", "wrong"),
    [
        ("add", "Add", "Sub"),
        ("cap", "Relu", "Identity"),
        ("swap", "Div", "Mul"),
        ("clamp", "Greater", "Less"),
        ("clamp", "Add", "Sub"),
    ],
)
def test_a_closing_that_computes_something_else_is_named(
    bundle: Bundle, closing: str, operator: str, wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = copy.deepcopy(closing_rows())
    node = next(node for node in rows[closing]["nodes"] if node["op"] == operator)
    node["op"] = wrong
    monkeypatch.setattr(closings, "closing_rows", lambda: rows)
    report = bundle.verify()
    assert failed_checks(report) == {"edits"}
    # By the closing's name, or by that of the edit which becomes it.
    assert f"{closing} at layer_" in detail_of(report, "edits").lower()


@pytest.mark.parametrize("tampered", ["another layer", "a closing left out", "scale for add"])
def test_an_edit_that_is_placed_wrongly_is_named(
    bundle: Bundle, tampered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def place(*arguments: Any) -> list[JointEdit]:
        placed = place_edits(*arguments)
        if tampered == "a closing left out":
            return placed[1:]
        if tampered == "another layer":
            return [replace(placed[0], layer=(placed[0].layer + 1) % 4), *placed[1:]]
        return [
            replace(edit, closing="scale", tensors={"scale": edit.tensors["add"]})
            if edit.closing == "add"
            else edit
            for edit in placed
        ]

    monkeypatch.setattr(said_edit_checks, "place_edits", place)
    report = bundle.verify()
    assert failed_checks(report) == {"edits"}
    assert "KnockOut at layer_" in detail_of(report, "edits")


def test_another_norm_epsilon_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        norms = [node for node in graph.node if node.op_type == "LayerNormalization"]
        epsilon = next(a for a in norms[-1].attribute if a.name == "epsilon")
        epsilon.f = 1e-3

    report = bundle.change(PLAIN, edit).verify()
    assert failed_rows(report, "plain") == {"logits"}


def test_a_dead_intervention_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        read_before(graph, "layer_1_mlp_act", readers=None)

    report = bundle.change(OPEN, edit).verify()
    assert failed_checks(report) == {"edits"}
    assert "layer_1_mlp_act" in detail_of(report, "edits")
    assert failed_rows(report, "open") == set()


@pytest.mark.parametrize("layer", range(4))
def test_an_intervention_that_reaches_one_reader_of_two_is_named(
    bundle: Bundle, layer: int
) -> None:
    """The MLP reads the edited stream, and the sum behind it reads the stream before the edit."""

    def edit(graph: onnx.GraphProto) -> None:
        read_before(graph, f"layer_{layer}_resid_mid", readers=("Add",))

    report = bundle.change(OPEN, edit).verify()
    assert failed_checks(report) == {"edits"}
    assert failed_rows(report, "open") == set()


def test_a_cache_that_mixes_layers_up_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        swapped = {"present.0.key": "present.1.key", "present.1.key": "present.0.key"}
        for node in graph.node:
            for names in (node.input, node.output):
                for i, name in enumerate(names):
                    names[i] = swapped.get(name, name)

    report = bundle.change(DECODER, edit).verify()
    assert {"present", "cached_vs_uncached"} <= failed_checks(report)


def test_a_frozen_axis_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        dim = graph.input[0].type.tensor_type.shape.dim[0]
        dim.Clear()
        dim.dim_value = 2

    report = bundle.change(PLAIN, edit).verify()
    assert {"plain_ports", "plain_runtime_ports", "plain_runs"} <= failed_checks(report)
    assert "input input_ids is int64 [2, sequence_length]" in detail_of(report, "plain_ports")


def test_another_dtype_is_named(bundle: Bundle) -> None:
    def edit(graph: onnx.GraphProto) -> None:
        name = "layer_0_resid_post"
        maker = node_giving(graph, name)
        cast = helper.make_node("Cast", [name], ["wide"], to=onnx.TensorProto.DOUBLE)
        graph.node.insert(list(graph.node).index(maker) + 1, cast)
        output = next(o for o in graph.output if o.name == name)
        output.name = "wide"
        output.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE

    report = bundle.change(PLAIN, edit).verify()
    assert "unknown output wide" in detail_of(report, "plain_ports")


def test_another_opset_than_stated_is_named(bundle: Bundle) -> None:
    model = onnx.load(bundle.folder / PLAIN, load_external_data=False)
    model.opset_import[0].version += 1
    (bundle.folder / PLAIN).write_bytes(model.SerializeToString())
    report = bundle.sign().verify()
    assert "plain_opset" in failed_checks(report)
    assert check_verdicts(report)["decoder_opset"] == "passed"


def test_a_document_that_differs_from_the_manifest_is_named(bundle: Bundle) -> None:
    model = onnx.load(bundle.folder / PLAIN, load_external_data=False)
    entry = next(e for e in model.metadata_props if e.key == "oriel.activations")
    document = json.loads(entry.value)
    document["outputs"].pop()
    entry.value = json.dumps(document)
    (bundle.folder / PLAIN).write_bytes(model.SerializeToString())
    report = bundle.sign().verify()
    assert failed_checks(report) == {"plain_contract"}


def test_another_model_than_the_manifests_is_named(bundle: Bundle) -> None:
    model = onnx.load(bundle.folder / PLAIN, load_external_data=False)
    entry = next(e for e in model.metadata_props if e.key == "oriel.model")
    assert json.loads(entry.value) == bundle.manifest()["model"]
    entry.value = json.dumps({**json.loads(entry.value), "name": "another"})
    (bundle.folder / PLAIN).write_bytes(model.SerializeToString())
    report = bundle.sign().verify()
    assert failed_checks(report) == {"plain_contract"}
    assert "record of the model" in detail_of(report, "plain_contract")


# Damaged manifests.


def test_a_manifest_that_breaks_its_schema_is_named(bundle: Bundle) -> None:
    data = bundle.manifest()
    data["variants"][0]["opset"] = "twenty"
    bundle.write_manifest(data)
    report = bundle.verify()
    assert not report.passed
    assert failed_checks(report) == {"manifest"}
    assert "variants/0/opset" in str(report.checks[0].detail)


def test_a_lacking_tap_and_a_broken_tap_are_named(bundle: Bundle) -> None:
    data = bundle.manifest()
    taps = data["variants"][0]["taps"]
    index = next(i for i, t in enumerate(taps) if t["outputs"][0]["name"] == "layer_1_q")
    del taps[index]
    bundle.write_manifest(data)
    report = bundle.verify()
    assert {"taps_complete", "taps_open"} <= failed_checks(report)
    assert "layer_1_q" in detail_of(report, "taps_complete")
    assert failed_rows(report, "decoder") == {"layer_1_q"}


def test_a_lens_on_the_wrong_layer_is_named(bundle: Bundle) -> None:
    data = bundle.manifest()
    tap = next(
        t for t in data["variants"][0]["taps"] if t["outputs"][0]["name"] == "layer_1_lens_ids"
    )
    addition = onnx.ModelProto()
    addition.ParseFromString(Tap.from_json(tap).payload)
    for node in addition.graph.node:
        for i, name in enumerate(node.input):
            node.input[i] = "layer_0_resid_post" if name == "layer_1_resid_post" else name
    tap["bytes"] = base64.b64encode(addition.SerializeToString()).decode()
    bundle.write_manifest(data)
    report = bundle.verify()
    assert failed_rows(report, "decoder") == {"layer_1_lens_ids", "layer_1_lens_probs"}
    # The stored pass is PyTorch's, from which the lens departs too.
    assert failed_checks(report) == {"reference_pass"}


@pytest.mark.parametrize(
    ("part", "old", "new"),
    [
        ("model", "layer_0_resid_pre", "layer_1_resid_pre"),
        ("model", "layer_3_resid_post", "layer_2_resid_post"),
        ("layers", "layer_1_attn_z", "layer_0_attn_z"),
        ("layers", "layer_1_mlp_output", "layer_1_attn_output"),
        ("layers", "attribution/model/scale", "attribution/layer_1/scale"),
        ("neurons", "layer_1_mlp_act", "layer_2_mlp_act"),
    ],
)
def test_a_wrong_tap_of_attribution_is_caught(
    bundle: Bundle, part: str, old: str, new: str
) -> None:
    """Change a tap so that it reads another part or omits the norm's divisor."""
    data = bundle.manifest()
    stored = data["variants"][0]["attribution"]
    addition = onnx.ModelProto()
    taps = [stored["model"]] if part == "model" else stored[part]
    at = min(1, len(taps) - 1)
    addition.ParseFromString(base64.b64decode(taps[at]))
    if new.startswith("attribution"):
        one = onnx.helper.make_tensor("one", onnx.TensorProto.FLOAT, [1, 1, 1], [1.0])
        addition.graph.node.append(onnx.helper.make_node("Constant", [], [new], value=one))
    inputs = [(node, i) for node in addition.graph.node for i in range(len(node.input))]
    found = [(node, i) for node, i in inputs if node.input[i] == old]
    assert found
    for node, i in found:
        node.input[i] = new
    changed = base64.b64encode(addition.SerializeToString()).decode()
    if part == "model":
        stored["model"] = changed
    else:
        stored[part][at] = changed
    bundle.write_manifest(data)
    report = bundle.verify()
    assert "attribution" in failed_checks(report)
    assert failed_checks(report) <= {"attribution", "attribution_sum"}


def test_a_precision_without_bounds_fails(bundle: Bundle) -> None:
    data = bundle.manifest()
    data["variants"][0]["precision"] = "int3"
    bundle.write_manifest(data)
    report = bundle.verify()
    assert failed_checks(report) == {"bounds"}


# The checkpoint.


def test_another_checkpoint_is_named(
    bundle: Bundle, tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(bundle.checkpoint, tmp_path / "other")
    file = tmp_path / "other" / "model.safetensors"
    tensors = load_file(file)
    tensors["transformer.h.3.mlp.c_fc.bias"][2] += 0.1
    save_file(tensors, file, metadata={"format": "pt"})
    report = verify(bundle.folder, tmp_path / "other")
    assert "weights_digest" in failed_checks(report)
    assert "transformer.h.3.mlp.c_fc.bias" in detail_of(report, "plain_weights")
    assert "layer_3_mlp_pre" in failed_rows(report, "decoder")

    report = verify(bundle.folder, tiny_llama_checkpoint)
    assert {"weights_digest", "model_shape"} <= {
        c.name for c in report.checks if c.verdict == "failed"
    }


# The command lines.


def test_verify_prints_a_table_and_writes_its_record(
    bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["--model", str(bundle.folder / PLAIN), "--checkpoint", str(bundle.checkpoint)]
    assert verify_main(command) == 0
    lines = capsys.readouterr().out.rstrip().splitlines()
    assert lines[-1].startswith(
        "verified: 63 activations of fp32 agree with PyTorch, logits within"
    )
    table = [line.split() for line in lines]
    assert ["name", "shape", "dtype", "error", "bound", "verdict"] in table
    row = next(words for words in table if words and words[0] == "layer_0_attn_probs")
    assert (
        row[1:6] == ["[batch_size,", "3,", "sequence_length,", "total_sequence_length]", "float32"]
        and row[-1] == "passed"
    )
    record = json.loads((bundle.folder / "verification.json").read_text())
    assert record["verdict"] == "passed" and record["failures"] == []
    assert record["weights_digest"] == bundle.manifest()["model"]["weights_digest"]
    proofs = {proof["candidate"]["graph"]: proof for proof in record["variants"][0]["proofs"]}
    assert proofs.keys() == {"plain", "decoder", "open"}
    outputs = [o for case in proofs["decoder"]["cases"] for o in case["outputs"]]
    assert {"layer_3_lens_probs", "logits"} <= {o["name"] for o in outputs}
    assert all(0.999 < o["norm_ratio"] < 1.001 for o in outputs if "_ids" not in o["name"])
    assert {proof["verdict"] for proof in proofs.values()} == {"same"}
    assert {"torch", "onnxruntime"} <= set(record["versions"])
    assert (bundle.folder / "verification.json").stat().st_mode & 0o777 == 0o644
    assert [f.name for f in bundle.folder.iterdir() if f.name.startswith(".")] == []


def test_verify_as_json(bundle: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    bundle.weights("transformer.wpe.weight")[0, 0] += 1
    command = ["--model", str(bundle.folder), "--checkpoint", str(bundle.checkpoint), "--json"]
    assert verify_main(command) == 1
    out, err = capsys.readouterr()
    assert err == ""
    data = json.loads(out)
    assert data["verdict"] == "failed"
    assert "fp32: embedding_sum" in data["failures"]
    assert data == json.loads((bundle.folder / "verification.json").read_text())


def test_export_verify_is_the_same_function(
    bundle: Bundle, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle stands there already, so that only its verification is left to do."""
    command = [
        *("--model", str(bundle.checkpoint), "--layers", "0,2", "--verify"),
        *("--output", str(bundle.folder / DECODER)),
    ]
    assert export_main(command) == 0
    out = capsys.readouterr().out
    assert "is up to date" in out
    assert out.rstrip().splitlines()[-1].startswith("verified: 63 activations")
    monkeypatch.setattr(verify_module, "checkpoint_digest", lambda _: f"sha256:{0:064x}")
    assert export_main([*command, "--json"]) == 1
    out = capsys.readouterr().out
    assert json.loads(out)["verification"]["failures"] == ["weights_digest"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--model", "{folder}/nowhere.onnx"], "names nothing"),
        (["--model", "{folder}"], "--checkpoint"),
        (["--model", "{folder}/other.onnx"], "not a graph of the bundle"),
        (["--model", "{empty}"], "no bundle in"),
        (["--model", "{folder}", "--checkpoint", "{empty}"], "an empty folder"),
        ([], "--model"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    bundle: Bundle,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    said: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (bundle.folder / "other.onnx").write_bytes(b"")
    places = {"folder": str(bundle.folder), "empty": str(tmp_path / "empty")}
    assert verify_main([word.format(**places) for word in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("error: ") and said in err
