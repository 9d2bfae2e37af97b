"""No command hands on a graph that ONNX Runtime refuses: each command is tried with graphs that are
broken in several ways."""

from __future__ import annotations

import base64
import functools
import json
import shutil
import threading
from collections.abc import Callable
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from command_lines import export_main
from onnx import TensorProto, helper
from publish_bundles import digest
from transformers import GPT2LMHeadModel

from oriel.bundle import write_bundle
from oriel.cli import main
from oriel.contract.activation_names import joint_specs
from oriel.contract.documents import GraphRecord
from oriel.contract.manifest import read_manifest
from oriel.errors import reason_of
from oriel.graph import build_graphs
from oriel.graph.built_graph import BuiltGraph
from oriel.graph.closings import close_joints
from oriel.progress import Silent
from oriel.publishing import publish
from oriel.publishing.check_url import check_url
from oriel.publishing.to_folder import FolderPlace

Break = Callable[[onnx.ModelProto], object]


def without_producer(model: onnx.ModelProto) -> None:
    """An output that nothing computes: how the logit lens was once written."""
    value = helper.make_tensor_value_info("nobody_makes_it", TensorProto.FLOAT, [1])
    model.graph.output.append(value)


def with_unknown_operator(model: onnx.ModelProto) -> None:
    next(n for n in model.graph.node if n.op_type == "Softmax").op_type = "Sofftmax"


def with_other_type(model: onnx.ModelProto) -> None:
    """Whole numbers where a matrix product of float32 reads."""
    product = next(n for n in model.graph.node if n.op_type == "MatMul")
    model.graph.node.insert(
        0, helper.make_node("Cast", ["input_ids"], ["whole"], to=TensorProto.INT64)
    )
    product.input[0] = "whole"


def with_old_operators(model: onnx.ModelProto) -> None:
    del model.opset_import[:]
    model.opset_import.add(domain="", version=99)


BROKEN = [without_producer, with_unknown_operator, with_other_type, with_old_operators]


def damage(bundle: Path, breaking: Break, name: str = "model.onnx") -> Path:
    """Break a graph of the bundle, and let the manifest describe the broken file."""
    file = bundle / name
    model = onnx.load(file, load_external_data=False)
    breaking(model)
    file.write_bytes(model.SerializeToString())
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    for entry in manifest["files"]:
        if entry["path"] == name:
            entry |= {"bytes": file.stat().st_size, "digest": digest(file.read_bytes())}
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return bundle


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def refused(capsys: pytest.CaptureFixture[str], command: Callable[[], int]) -> str:
    """The one line of a command that refuses a graph."""
    capsys.readouterr()
    assert command() == 2
    out, err = capsys.readouterr()
    assert out == ""
    line = checked_line(err.strip().splitlines()[-1])
    assert line.startswith("error: ONNX Runtime can't load ")
    return line


@pytest.mark.parametrize("part", ["layers", "neurons"])
def test_a_tap_of_attribution_that_loads_nowhere_is_not_published(
    bundle: Path, part: str, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    taps = manifest["variants"][0]["attribution"][part]
    tap = onnx.ModelProto.FromString(base64.b64decode(taps[-1]))
    tap.graph.node[0].op_type = "Sofftmax"
    taps[-1] = base64.b64encode(tap.SerializeToString()).decode()
    (bundle / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    place = bundle.parent / "site"
    line = refused(capsys, lambda: main(["publish", str(bundle), "--to", str(place)]))
    assert "can't load model.open.onnx" in line and "Sofftmax" in line
    assert not place.exists()


def test_a_manifest_is_written_without_indentation(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text("utf-8")
    assert text.count("\n") == 1 and text.endswith("}\n")
    assert len(text) < 0.8 * len(json.dumps(json.loads(text), indent=1))


@pytest.mark.parametrize("kinds", ["lens_ids", "resid_post,lens_ids,lens_probs"])
def test_the_plain_graph_gives_the_logit_lens(
    kinds: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    output = tmp_path / "lens" / "model.onnx"
    arguments = ["--model", str(tiny_gpt2_checkpoint), "--output", str(output)]
    assert export_main([*arguments, "--layers", "1,3", "--activations", kinds]) == 0
    plain = output.with_name("model.plain.onnx")
    session = onnxruntime.InferenceSession(plain, providers=["CPUExecutionProvider"])
    ids = np.array([[5, 17, 100, 2]])
    names = [value.name for value in session.get_outputs()]
    found = dict(zip(names, session.run(names, {"input_ids": ids}), strict=True))
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    with torch.no_grad():
        states = model(torch.from_numpy(ids), output_hidden_states=True).hidden_states
        # After the last layer transformers gives the normed state.
        logits = {1: model.lm_head(model.transformer.ln_f(states[2])), 3: model.lm_head(states[4])}
    for layer, of_layer in logits.items():
        top = of_layer.softmax(-1).topk(found[names[-1]].shape[-1])
        if "lens_ids" in kinds:
            assert np.array_equal(found[f"layer_{layer}_lens_ids"], top.indices.numpy())
        if "lens_probs" in kinds:
            got = found[f"layer_{layer}_lens_probs"]
            np.testing.assert_allclose(got, top.values.numpy(), rtol=1e-4)


def test_export_writes_nothing_that_does_not_load(
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(build_graphs, "add_lens_nodes", lambda *_: None)
    output = tmp_path / "out" / "model.onnx"
    arguments = ["--model", str(tiny_gpt2_checkpoint), "--output", str(output)]
    line = refused(capsys, lambda: export_main([*arguments, "--activations", "lens_ids"]))
    assert "model.plain.onnx; got This is an invalid model" in line
    assert "layer_3_lens_ids" in line
    assert not list(tmp_path.iterdir())


def test_quantize_writes_nothing_that_does_not_load(
    bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = write_bundle.write_graph

    def broken(built: BuiltGraph, file: Path) -> GraphRecord:
        if file.name == "model_fp16.plain.onnx":
            with_unknown_operator(built.model)
        return write(built, file)

    monkeypatch.setattr(write_bundle, "write_graph", broken)
    before = contents(bundle)
    command = ["quantize", str(bundle), "--precision", "fp16", "--allow-lossy"]
    assert "model_fp16.plain.onnx; got" in refused(capsys, lambda: main(command))
    assert contents(bundle) == before


@pytest.mark.parametrize("breaking", BROKEN)
def test_select_writes_nothing_that_does_not_load(
    breaking: Break, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(bundle, breaking)
    before = contents(bundle)
    command = ["select", str(bundle / "model.onnx"), "--layers", "1"]
    if breaking is without_producer:
        # Outputs are chosen anew, which mends it.
        assert main(command) == 0
        return
    assert "nothing was changed" in refused(capsys, lambda: main(command)).lower()
    assert contents(bundle) == before


@pytest.mark.parametrize("breaking", BROKEN)
@pytest.mark.parametrize("graph", ["model.plain.onnx", "model.onnx", "model.open.onnx"])
def test_publish_sends_nothing_that_does_not_load(
    breaking: Break, graph: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(bundle, breaking, graph)
    place = bundle.parent / "published"
    command = ["publish", str(bundle), "--to", str(place), "--no-first-pass"]
    line = refused(capsys, lambda: main(command))
    assert f"can't load {graph}; got" in line
    # What the runtime says is told to its end.
    assert "This is. " not in line
    assert "This is ." not in line
    assert not place.exists()


def test_publish_opens_every_tap(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With its joints closed the graph loads, and the page, which opens taps, would find it
    broken."""

    def rename(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            for names in (node.input, node.output):
                for index, name in enumerate(names):
                    names[index] = "renamed" if name == "layer_1_mlp_pre" else name

    damaged = damage(bundle, rename, "model.open.onnx")
    graph = (damaged / "model.open.onnx").read_bytes()
    closed = damaged / "closed.onnx"
    closed.write_bytes(graph + close_joints(joint_specs(read_manifest(bundle).shape), {}))
    onnxruntime.InferenceSession(closed, providers=["CPUExecutionProvider"])
    closed.unlink()
    command = ["publish", str(bundle), "--to", str(bundle.parent / "there"), "--no-first-pass"]
    assert "layer_1_mlp_pre" in refused(capsys, lambda: main(command))


@pytest.mark.parametrize("breaking", BROKEN)
def test_check_url_tells_a_graph_that_does_not_load(
    breaking: Break, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    damage(bundle, breaking)
    monkeypatch.setattr(publish, "check_bundle_loads", lambda *_: None)
    folder = tmp_path / "www"
    publish.publish(bundle, FolderPlace(str(folder)), "1", Silent())
    found = check_served(folder)
    assert not found.passed
    (finding,) = (f for f in found.findings if f.level == "error" and "CORS" not in f.what)
    assert finding.what == "a graph can't be loaded"
    assert finding.got.startswith("ONNX Runtime can't load model.onnx: ")


def test_check_url_loads_what_is_whole(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "www"
    publish.publish(bundle, FolderPlace(str(folder)), "1", Silent())
    assert not [f for f in check_served(folder).findings if f.level == "error"]


def check_served(folder: Path) -> Any:
    """What check-url says of the folder, served on loopback to a page of the same host."""
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        try:
            return check_url(f"{address}/manifest.json", address, Silent())
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_an_old_bundle_that_does_not_load_is_exported_anew(
    bundle: Path, tiny_gpt2_checkpoint: Path
) -> None:
    """The manifest describes the broken file, so that its digests say that all is well."""
    damage(bundle, with_unknown_operator)
    graph = bundle / "model.onnx"
    arguments = ["--model", str(tiny_gpt2_checkpoint), "--layers", "0,2", "--output", str(graph)]
    assert export_main(arguments) == 0
    onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("breaking", BROKEN)
def test_a_reason_is_told_whole_and_without_the_runtime_s_own_places(
    breaking: Break, bundle: Path
) -> None:
    graph = damage(bundle, breaking) / "model.onnx"
    with pytest.raises(Exception) as caught:  # noqa: PT011 - ONNX Runtime's errors have no common class
        onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    said = reason_of(caught.value)
    assert "ONNXRuntimeError" not in said
    assert "onnxruntime_src" not in said
    assert str(bundle) not in said
    assert len(said.split()) > 4
    assert said in " ".join(str(caught.value).split()) or said.endswith(" …")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "ValueError"),
        ("one\ntwo\r\n\tthree.", "one two three"),
        ("word " * 200, "word " * 59 + "word …"),
        ("x" * 400, "x" * 300 + " …"),
    ],
)
def test_reasons_are_one_line_cut_between_words(text: str, said: str) -> None:
    assert reason_of(ValueError(text)) == said
