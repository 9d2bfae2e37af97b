"""Read and run an Oriel bundle, written from contracts/ACTIVATIONS_CONTRACT.md alone: nothing of
oriel is imported, and of the contract's data its closings are read. tests/python/
test_contract_client.py holds it to PyTorch, so that whoever writes a client of their own finds in
that document what it takes."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from tokenizers import Tokenizer

Array = NDArray[Any]
MAJOR = "2"
CONTRACT = Path(__file__).resolve().parents[2] / "contracts" / "activations.json"


class Bundle:
    """A bundle's folder, opened by its manifest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
        version = self.manifest["manifest_version"]
        if version.split(".")[0] != MAJOR:
            raise ValueError(f"manifest {version}, and this reads {MAJOR}.x")
        self.files = {file["path"]: file for file in self.manifest["files"]}

    def read(self, path: str) -> bytes:
        """The bytes of a file, whole or in chunks, once their digests are right."""
        file = self.files[path]
        parts = file.get("chunks", [file])
        data = b"".join(_checked((self.folder / part["path"]).read_bytes(), part) for part in parts)
        return _checked(data, file)

    def tokens(self, text: str) -> list[int]:
        """Token ids of a text, with those that go before every text."""
        record = self.manifest["tokenizer"]
        tokenizer = Tokenizer.from_str(self.read(record["tokenizer"]).decode("utf-8"))
        tokenizer.no_padding()
        tokenizer.no_truncation()
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        return [*record.get("first_tokens", []), *ids]

    def open(
        self,
        name: str,
        kind: str,
        taps: list[str],
        work: Path,
        edits: dict[str, list[str]] | None = None,
    ) -> Run:
        """Open a variant's graph, 'plain', 'decoder' or 'open', with the taps of these activations.

        work: an empty folder, for the graph and the weights that it reads. edits: of the open
        graph's joints, the names of their closings in order; every other joint stays as it is.
        """
        variant = next(v for v in self.manifest["variants"] if v["name"] == name)
        document = variant[kind]["activations"]
        graph = self.read(variant[kind]["path"])
        given = {output["name"] for output in document["outputs"]}
        for tap in variant["taps"]:
            if any(
                output["name"] in taps and output["name"] not in given for output in tap["outputs"]
            ):
                graph += base64.b64decode(tap["bytes"], validate=True)
        graph += closings(document.get("joints", []), edits or {})
        for path in variant["weights"]:
            weights = self.read(path)
            if "expansion" in variant:
                expansion = variant["expansion"]
                path, weights = expansion["path"], expand(weights, expansion)
                _checked(weights, expansion)
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(weights)
        # From a file: how a graph in memory is told where its weights lie depends on the release.
        place = work / f"{name}.{kind}.onnx"
        place.write_bytes(graph)
        session = onnxruntime.InferenceSession(str(place), providers=["CPUExecutionProvider"])
        return Run(session, document)


class Run:
    """A session and what a graph with a cache remembers of the text so far."""

    def __init__(self, session: Any, document: dict[str, Any]) -> None:
        self.session = session
        self.document = document
        self.past: dict[str, Array] = {}

    def feed(self, ids: list[int], **changes: Array) -> dict[str, Array]:
        """Run the next tokens of a text; every output by its name. changes: inputs of closings."""
        before = next(iter(self.past.values())).shape[2] if self.past else 0
        sizes = {
            "batch_size": 1,
            "sequence_length": len(ids),
            "past_sequence_length": 0,
            "total_sequence_length": before + len(ids),
        }
        feeds: dict[str, Array] = {}
        for port in self.document["inputs"]:
            shape = [sizes[size] if isinstance(size, str) else size for size in port["shape"]]
            feeds[port["name"]] = np.full(shape, port["name"] == "attention_mask", port["dtype"])
        feeds |= self.past | changes
        feeds["input_ids"] = np.array([ids], np.int64)
        if "position_ids" in feeds:
            feeds["position_ids"] = np.arange(before, before + len(ids))[None]
        names = [output.name for output in self.session.get_outputs()]
        found = dict(zip(names, self.session.run(names, feeds), strict=True))
        self.past = {
            name.replace("present.", "past_key_values."): value
            for name, value in found.items()
            if name.startswith("present.")
        }
        return found


def closings(joints: list[dict[str, Any]], edits: dict[str, list[str]]) -> bytes:
    """The bytes that close every joint of an open graph."""
    rows = {row["closing"]: row for row in json.loads(CONTRACT.read_text("utf-8"))["closings"]}
    added = onnx.ModelProto()
    for joint in joints:
        name = joint["name"]
        chain = edits.get(name, ["identity"])
        for index, closing in enumerate(chain):
            at = f"{name}/{index}"
            filled = {
                "{in}": f"{name}/pre" if index == 0 else f"{name}/{index - 1}",
                "{out}": name if index == len(chain) - 1 else at,
            }
            for row in rows[closing]["nodes"]:
                node = added.graph.node.add(op_type=row["op"])
                node.input.extend(filled.get(n, n.replace("{at}", at)) for n in row["inputs"])
                node.output.extend(filled.get(n, n.replace("{at}", at)) for n in row["outputs"])
                for key, dtype in (("int64s", np.int64), ("floats", np.float32)):
                    if key in row:
                        value = onnx.numpy_helper.from_array(np.array(row[key], dtype))
                        node.attribute.append(onnx.helper.make_attribute("value", value))
            for row in rows[closing]["inputs"]:
                element = (
                    onnx.TensorProto.BOOL if row["dtype"] == "bool" else onnx.TensorProto.FLOAT
                )
                sizes = [None] * len(joint["shape"])
                port = f"{at}/{row['name']}"
                added.graph.input.append(onnx.helper.make_tensor_value_info(port, element, sizes))
    return added.SerializeToString() if joints else b""


def _checked(data: bytes, record: dict[str, Any]) -> bytes:
    if len(data) != record["bytes"]:
        raise ValueError(f"{record['path']}: {len(data)} bytes, not {record['bytes']}")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    if digest != record["digest"]:
        raise ValueError(f"{record['path']} has {digest}, not {record['digest']}")
    return data


def expand(file: bytes, expansion: dict[str, Any]) -> bytes:
    """Make the file of floats that the graphs read of the one that travels."""
    made = bytearray(expansion["bytes"])
    for weight in expansion["weights"]:
        values = expand_weight(file, weight).astype(np.float32)
        # The products are float32; numpy rounds to float16, where that is asked, half to even.
        data = values.astype("<f2" if expansion["dtype"] == "float16" else "<f4").tobytes()
        made[weight["at"] : weight["at"] + len(data)] = data
    return bytes(made)


def expand_weight(file: bytes, weight: dict[str, Any]) -> Array:
    """One weight's values, float32, in its shape."""

    def part(key: str, dtype: str, *shape: int) -> Array:
        found = np.frombuffer(file, dtype, math.prod(shape), weight[key])
        return found.reshape(shape)

    shape = weight["shape"]
    if weight["layout"] in ("float32", "float16"):
        return part("values", "<f4" if weight["layout"] == "float32" else "<f2", *shape)
    axis = weight["axis"]
    summed, channels = shape[axis], shape[1 - axis]
    if weight["layout"] == "channels":
        scales = part("scales", "<f2", channels).astype(np.float32)
        zeros: Array = np.full(channels, 0 if weight["signed"] else 128)
        if "zero_points" in weight:
            zeros = part("zero_points", "u1", channels)
        values = part("values", "i1" if weight["signed"] else "u1", *shape).astype(np.float32)
        along = (slice(None), None) if axis == 1 else (None, slice(None))
        return (values - zeros.astype(np.float32)[along]) * scales[along]
    bits, block = weight["bits"], weight["block"]
    blocks = -(-summed // block)
    scales = part("scales", "<f2", channels, blocks).astype(np.float32)
    values = _unpack(part("values", "u1", channels, blocks, block * bits // 8), bits)
    zeros = np.full((channels, blocks), 2 ** (bits - 1))
    if "zero_points" in weight:
        packed = part("zero_points", "u1", channels, -(-blocks * bits // 8))
        zeros = _unpack(packed, bits)[:, :blocks]
    floats = (values.astype(np.float32) - zeros.astype(np.float32)[..., None]) * scales[..., None]
    rows = floats.reshape(channels, blocks * block)[:, :summed]
    return rows if axis == 1 else rows.T


def _unpack(packed: Array, bits: int) -> Array:
    """Split bytes into values of 4 bits, the low half first; values of 8 bits are bytes."""
    if bits == 8:
        return packed
    return np.stack([packed & 15, packed >> 4], axis=-1).reshape(*packed.shape[:-1], -1)
