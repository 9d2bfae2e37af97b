"""Weights in several data files, none larger than a browser takes: a small limit is set here, and
what comes of it is held to the same model's bundle with one file for each encoding."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
import onnxruntime
import pytest
from checkpoint_files import checked_line

from oriel.bundle.read_bundle import read_bundle
from oriel.cli import main
from oriel.contract.browser_memory import browser_memory
from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.graph import data_files
from oriel.graph.data_files import located, name_of_file, starts_of_files, starts_of_sizes
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.runtime.bundle import Bundle

LIMIT = 12_000
"""Bytes: the embedding of tiny Llama has 11,392, and its layers 22,912 each."""
VARIANTS = ("fp32", "fp16", "int8", "int4")


@contextmanager
def small_files() -> Iterator[None]:
    with patch.object(
        data_files, "browser_memory", lambda: browser_memory() | {"file_bytes": LIMIT}
    ):
        yield


@pytest.fixture(scope="module")
def split(tiny_llama_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("split") / "model.onnx"
    options = ExportOptions(
        model=str(tiny_llama_checkpoint), output=output, precision=VARIANTS, allow_lossy=True
    )
    with small_files():
        return export(options, Silent()).folder


def test_no_file_is_larger_than_the_limit_and_together_they_are_the_one(
    split: Path, quantized_llama_bundle: Path
) -> None:
    manifest, whole = read_manifest(split), read_manifest(quantized_llama_bundle)
    for variant in manifest.variants:
        (one,) = whole.variant(variant["name"])["weights"]
        joined = b""
        for path in variant["weights"]:
            data = (split / path).read_bytes()
            assert len(data) == manifest.file(path)["bytes"] <= LIMIT
            joined += bytes(-len(joined) % 64) + data
        assert joined == (quantized_llama_bundle / one).read_bytes()
    counts = {v["name"]: len(v["weights"]) for v in manifest.variants}
    assert counts["fp32"] > 8 and counts["fp16"] > 4 and counts["int8"] > 2 and counts["int4"] > 1
    names = manifest.variant("fp32")["weights"][:3]
    assert names == ["model.onnx.data", "model.1.onnx.data", "model.2.onnx.data"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_computes_the_same(
    variant: str, split: Path, quantized_llama_bundle: Path
) -> None:
    ids = [[5, 17, 33, 80]]
    names = ["logits", "layer_1_attn_probs", "layer_2_lens_ids"]
    with Bundle(split, variant) as ours, Bundle(quantized_llama_bundle, variant) as theirs:
        found, wanted = ours.run(ids, names), theirs.run(ids, names)
        for name in names:
            np.testing.assert_array_equal(found[name], wanted[name])


def test_more_variants_are_made_of_it_and_all_are_verified(
    split: Path, tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(split, tmp_path / "bundle")
    graph = str(bundle / "model.onnx")
    before = read_bundle(bundle / "model.onnx").graphs.layout
    assert before == read_bundle(split).graphs.layout and len(before.starts) > 8
    with small_files():
        assert main(["quantize", graph, "--precision", "int8_static", "--allow-lossy"]) == 0
    added = read_manifest(bundle).variant("int8_static")["weights"]
    assert added == read_manifest(bundle).variant("int8")["weights"] and len(added) > 2
    assert main(["verify", "--model", graph, "--checkpoint", str(tiny_llama_checkpoint)]) == 0


def test_it_is_published_and_laid_out_for_other_libraries(split: Path, tmp_path: Path) -> None:
    assert main(["publish", str(split), "--to", str(tmp_path / "www")]) == 0
    published = json.loads(next((tmp_path / "www").rglob("manifest.json")).read_text())
    assert len(published["variants"][0]["weights"]) > 8
    layout = ["--layout", "transformers.js", "--to", str(tmp_path / "laid")]
    assert main(["publish", str(split), *layout]) == 0
    told = json.loads((tmp_path / "laid" / "config.json").read_text())["transformers.js_config"]
    for variant, name in {"fp32": "model.onnx", "int4": "model_q4.onnx"}.items():
        record = read_manifest(split).variant(variant)
        count = len(record["weights"])
        assert told["use_external_data_format"][name] == count
        ends = ["", *(f"_{number}" for number in range(1, count))]
        beside = tmp_path / "laid" / "onnx"
        assert all((beside / f"{name}_data{end}").is_file() for end in ends)
        logits = [run(folder) for folder in (beside / name, split / record["decoder"]["path"])]
        np.testing.assert_array_equal(*logits)


def run(graph: Path) -> Any:
    session = onnxruntime.InferenceSession(str(graph))
    ids = np.array([[5, 17, 33]])
    feeds: dict[str, Any] = {
        "input_ids": ids,
        "attention_mask": np.ones_like(ids),
        "position_ids": np.arange(3)[None],
    }
    for port in session.get_inputs():
        if port.name.startswith("past_key_values."):
            feeds[port.name] = np.zeros((1, port.shape[1], 0, port.shape[3]), np.float32)
    return session.run(["logits"], feeds)[0]


def test_what_would_be_expanded_into_more_than_a_file_is_refused(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = shutil.copytree(split, tmp_path / "bundle")
    before = (bundle / "manifest.json").read_bytes()
    with small_files():
        assert main(["quantize", str(bundle / "model.onnx"), "--precision", "q4,int4"]) == 2
    line = checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert "q4 would be expanded into more than a file holds" in line and "int4" in line
    assert (bundle / "manifest.json").read_bytes() == before


def test_a_weight_past_the_end_of_its_own_file_is_refused(
    split: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The files behind it are long enough for the offset as it counts through all of them."""
    bundle = shutil.copytree(split, tmp_path / "bundle")
    model = onnx.load(bundle / "model.onnx", load_external_data=False)
    first = next(t for t in model.graph.initializer if t.external_data)
    next(entry for entry in first.external_data if entry.key == "offset").value = str(LIMIT)
    data = model.SerializeToString()
    (bundle / "model.onnx").write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    described = next(file for file in manifest["files"] if file["path"] == "model.onnx")
    described |= {"bytes": len(data), "digest": f"sha256:{hashlib.sha256(data).hexdigest()}"}
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    assert main(["quantize", str(bundle / "model.onnx"), "--precision", "int8_static"]) == 2
    line = checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert "past the end of model" in line


def test_files_begin_where_weights_do() -> None:
    """By hand: 10 bytes at most, weights of 6, 3, 4, 25 and 2 bytes at multiples of 4."""
    places = [(0, 6), (8, 11), (12, 16), (16, 41), (44, 46)]
    with patch.object(data_files, "largest_file", lambda: 10):
        starts = starts_of_files(places)
    assert starts == (0, 8, 16, 44)
    assert located("m.onnx.data", starts, 12) == ("m.1.onnx.data", 4)
    assert located("m.onnx.data", starts, 40) == ("m.2.onnx.data", 24)
    assert located("m.onnx.data", (0,), 40) == ("m.onnx.data", 40)
    assert name_of_file("a/m_q4.onnx.data", 2) == "a/m_q4.2.onnx.data"
    assert starts_of_sizes([100, 64, 3]) == (0, 128, 192)
