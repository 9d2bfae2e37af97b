"""Small bundles whose weights are random bytes, and readers of what was published."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import onnx
from contract_examples import EXAMPLES
from onnx import TensorProto, helper

from oriel.contract.manifest import check_manifest

Read = Callable[[str], bytes]
"""A published object by its path."""

TENSORS = {"wte": 700_000, "ln_1": 512, "c_attn": 300_000, "bias": 1_200, "c_fc": 400_000}
"""Bytes of each, in the order of the file."""


def weights_of(seed: int = 0, sizes: Mapping[str, int] = TENSORS) -> dict[str, bytes]:
    """Random tensors, each of its own seed."""
    return {name: random.Random(f"{seed} {name}").randbytes(n) for name, n in sizes.items()}


def make_bundle(folder: Path, tensors: Mapping[str, bytes]) -> Path:
    """A bundle with one variant, its tensors one after another in model.onnx.data."""
    folder.mkdir(parents=True, exist_ok=True)
    manifest = json.loads((EXAMPLES / "valid" / "manifest__open.json").read_text("utf-8"))
    files = {"model.onnx.data": b"".join(tensors.values())}
    variant = manifest["variants"][0]
    # A lens has nodes of its own, which read what a graph without a model doesn't compute.
    variant["taps"] = [tap for tap in variant["taps"] if len(tap["outputs"]) == 1]
    for record in (variant["plain"], variant["decoder"], variant["open"]):
        graph = _graph(record, tensors, variant["taps"])
        files[record["path"]] = graph.SerializeToString(deterministic=True)
    files["tokenizer.json"] = json.dumps({"model": {"vocab": list(range(2000))}}).encode()
    files["tokenizer_config.json"] = b"{}"
    manifest["tokenizer"] = {"tokenizer": "tokenizer.json", "config": "tokenizer_config.json"}
    types = {".onnx": "application/x-onnx", ".data": "application/octet-stream"}
    manifest["files"] = [
        {
            "path": path,
            "media_type": types.get(Path(path).suffix, "application/json"),
            "bytes": len(data),
            "digest": digest(data),
        }
        for path, data in files.items()
    ]
    check_manifest(manifest)
    for path, data in files.items():
        (folder / path).write_bytes(data)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def _graph(
    record: Mapping[str, Any], tensors: Mapping[str, bytes], taps: Iterable[Mapping[str, Any]]
) -> onnx.ModelProto:
    """A graph that ONNX Runtime loads: it computes nothing, holds what the taps open, and is open
    at the joints of its document."""
    model = onnx.ModelProto(ir_version=10)
    model.graph.name = record["path"]
    model.opset_import.add(domain="", version=20)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "seq"])
    model.graph.input.append(ids)
    tapped = [output for tap in taps for output in tap["outputs"]]
    joints = record["activations"].get("joints", [])
    inner = {o["name"]: o["dtype"] for o in [{"name": "logits", "dtype": "float32"}, *tapped]}
    ends = {name: dtype for name, dtype in inner.items() if name not in {j["name"] for j in joints}}
    ends |= {f"{joint['name']}/pre": joint["dtype"] for joint in joints}
    for name, dtype in ends.items():
        to = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}[dtype]
        model.graph.node.append(helper.make_node("Cast", ["input_ids"], [name], to=to))
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    model.graph.output.append(logits)
    offset = 0
    for tensor, data in tensors.items():
        made = model.graph.initializer.add(name=tensor, data_type=TensorProto.UINT8)
        made.dims.append(len(data))
        made.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "model.onnx.data"), ("offset", offset)):
            made.external_data.add(key=key, value=str(value))
        offset += len(data)
    # Something that gzip makes smaller.
    model.doc_string = "an inner tensor " * 200
    return model


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def read_model(read: Read, name: str = "manifest.json") -> dict[str, bytes]:
    """Every file of a published model as a visitor gets it, each byte checked."""
    manifest = check_manifest(json.loads(read(name)), name).data
    return {file["path"]: read_file(read, file) for file in manifest["files"]}


def read_file(read: Read, file: Mapping[str, Any]) -> bytes:
    parts = []
    for chunk in file["chunks"]:
        part = read(chunk["path"])
        assert len(part) == chunk["bytes"]
        assert digest(part) == chunk["digest"]
        parts.append(part)
    whole = b"".join(parts)
    assert digest(whole) == file["digest"]
    return whole


def files_of(bundle: Path) -> dict[str, bytes]:
    """What read_model must give."""
    return {f.name: f.read_bytes() for f in bundle.iterdir() if f.name != "manifest.json"}
