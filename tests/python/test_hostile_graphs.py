"""Graphs from anyone: whatever their bytes and their metadata hold, a command ends in a line and
leaves the bundle as it was."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from checkpoint_files import checked_line
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from thorough import examples

from oriel.cli import main
from oriel.errors import ContractError, GraphError
from oriel.graph.graph_document import METADATA_KEY
from oriel.graph.select_outputs import open_graph
from oriel.verification.checks import read_graph_file
from oriel.verification.report import Findings

NEVER_STOPPED = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
Change = Callable[[onnx.ModelProto], None]


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))


def place(key: str, value: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                entries = {entry.key: entry for entry in tensor.external_data}
                (entries.get(key) or tensor.external_data.add(key=key)).value = value
                return
        raise AssertionError("no external weight")

    return change


def place_twice(model: onnx.ModelProto) -> None:
    tensor = next(t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../other")


def hidden_constant(model: onnx.ModelProto) -> None:
    """Weights of a branch that nobody looks at."""
    secret = TensorProto(name="secret", data_type=1, dims=[4], data_location=TensorProto.EXTERNAL)
    secret.external_data.add(key="location", value="/etc/passwd")
    inner = helper.make_graph([], "inner", [], [], [secret])
    model.graph.node.append(helper.make_node("If", ["a"], ["b"], then_branch=inner))


def document(text: str) -> Change:
    def change(model: onnx.ModelProto) -> None:
        for entry in model.metadata_props:
            if entry.key == METADATA_KEY:
                entry.value = text

    return change


def document_twice(model: onnx.ModelProto) -> None:
    model.metadata_props.add(key=METADATA_KEY, value="{}")


def document_with(text: str) -> Change:
    """The document, with one member more."""

    def change(model: onnx.ModelProto) -> None:
        (entry,) = [e for e in model.metadata_props if e.key == METADATA_KEY]
        entry.value = f"{entry.value[:-1]},{text}}}"

    return change


HOSTILE: dict[str, Change] = {
    "weights above the folder": place("location", "../../etc/passwd"),
    "weights at an absolute path": place("location", "/etc/passwd"),
    "weights behind backslashes": place("location", "..\\x"),
    "weights in a device": place("location", "NUL"),
    "weights nowhere": place("location", ""),
    "a negative offset": place("offset", "-8"),
    "an offset beyond 2^53": place("offset", "9007199254740992"),
    "an offset that is no number": place("offset", "１２"),
    "a length of a million digits": place("length", "1" * 1_000_000),
    "a place given twice": place_twice,
    "weights of a branch elsewhere": hidden_constant,
    "no JSON": document("{"),
    "an empty document": document(""),
    "a list": document("[]"),
    "a deep document": document("[" * 100_000 + "]" * 100_000),
    "a deep object": document('{"a":' * 100_000),
    "a huge number": document_with('"a":1e999'),
    "NaN": document_with('"a":NaN'),
    "a number of many digits": document_with('"a":' + "9" * 5000),
    "a key twice": document_with('"graph":"plain"'),
    "two documents": document_twice,
    "another version": document('{"contract_version":"' + "9" * 70_000 + '.0"}'),
}


def refusal(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error, after those that say how far a command came."""
    out, err = capsys.readouterr()
    *stages, line = err.strip().splitlines()
    assert out == "" and line.startswith("error: ")
    assert all(stage.startswith("[") for stage in stages)
    assert len(line) < 2100
    return checked_line(line)


@pytest.mark.parametrize("change", HOSTILE.values(), ids=HOSTILE.keys())
def test_commands_refuse_it_in_a_line_and_leave_all_as_it_was(
    change: Change, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in ("model.plain.onnx", "model.onnx", "model.open.onnx"):
        model = onnx.load_model(bundle / name, load_external_data=False)
        change(model)
        data = model.SerializeToString()
        (bundle / name).write_bytes(data)
        for file in manifest["files"]:
            if file["path"] == name:
                file["bytes"] = len(data)
                file["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    before = {f.name: f.read_bytes() for f in bundle.iterdir()}
    graph = str(bundle / "model.onnx")
    for argv in (["select", graph], ["quantize", graph, "--precision", "q8"]):
        assert main(argv) == 2
        assert refusal(capsys)
    assert {f.name: f.read_bytes() for f in bundle.iterdir()} == before


@pytest.mark.parametrize("name", ["weights above the folder", "an offset that is no number"])
def test_publishing_and_verifying_refuse_weights_elsewhere(
    name: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load_model(bundle / "model.onnx", load_external_data=False)
    HOSTILE[name](model)
    data = model.SerializeToString()
    (bundle / "model.onnx").write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    for file in manifest["files"]:
        if file["path"] == "model.onnx":
            file["bytes"] = len(data)
            file["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    there = bundle.parent / "there"
    assert main(["publish", str(bundle), "--to", str(there)]) == 2
    assert "can't be read safely" in refusal(capsys)
    assert not list(there.glob("**/manifest*.json"))
    findings = Findings()
    assert read_graph_file(manifest["variants"][0], "decoder", bundle, findings) is None
    assert [check.verdict for check in findings.checks.values()] == ["failed"]


def test_weights_past_the_end_of_their_file_are_not_quantized(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text())
    for name in ("model.plain.onnx", "model.onnx", "model.open.onnx"):
        model = onnx.load_model(bundle / name, load_external_data=False)
        place("offset", str(2**40))(model)
        data = model.SerializeToString()
        (bundle / name).write_bytes(data)
        for file in manifest["files"]:
            if file["path"] == name:
                file["bytes"] = len(data)
                file["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert main(["quantize", str(bundle), "--precision", "q8"]) == 2
    assert "past the end of model.onnx.data" in refusal(capsys)


@pytest.fixture(scope="module")
def graph(tiny_gpt2_bundle: Path) -> bytes:
    return (tiny_gpt2_bundle / "model.onnx").read_bytes()


edits = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 40), st.binary(max_size=12)),
    min_size=1,
    max_size=4,
)


@settings(NEVER_STOPPED, max_examples=examples(1500))
@given(edits=edits, keep=st.floats(0.01, 1) | st.just(1.0))
def test_changed_bytes_are_a_graph_of_ours_or_refused_in_a_line(
    graph: bytes, edits: list[tuple[float, int, bytes]], keep: float
) -> None:
    data = bytearray(graph[: int(len(graph) * keep)])
    for where, length, put in edits:
        at = int(where * len(data))
        data[at : at + length] = put
    try:
        opened = open_graph(bytes(data), "model.onnx")
    except (GraphError, ContractError) as error:
        assert str(error).isprintable() and len(str(error)) < 2100
        return
    assert opened.document["graph"] in ("plain", "decoder", "open")
