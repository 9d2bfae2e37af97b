"""Bundles of contract 1.x, which an earlier exporter wrote: they are verified, chosen from and
published as before; only new variants need a new export."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import OrielError
from oriel.fidelity.run_variant import VariantRun
from oriel.options import QuantizeOptions
from oriel.progress import Silent
from oriel.quantize_bundle import quantize
from oriel.runtime.weight_folders import WeightFolders
from oriel.verification.verify import verify

BUNDLES = Path(__file__).resolve().parents[1] / "fixtures" / "bundles_1"
NAMES = ("tiny-gpt2", "tiny-llama")


@pytest.fixture(params=NAMES)
def bundle(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return Path(shutil.copytree(BUNDLES / request.param, tmp_path / request.param))


def test_they_agree_with_pytorch(bundle: Path) -> None:
    report = verify(bundle, BUNDLES / "checkpoints" / bundle.name)
    assert report.passed, report.failures
    checks = {check.name for check in report.variants[0].checks}
    assert {"cached_vs_uncached", "edits", "some_logits", "plain_vs_cached"} <= checks


def test_a_wrong_head_scale_is_named(bundle: Path) -> None:
    path = bundle / "model.interactive.onnx"
    model = onnx.load(path, load_external_data=False)
    ports = {port.name for port in model.graph.input}
    scale = next(name for name in ports if name.endswith("0_head_scale"))
    reader = next(node for node in model.graph.node if scale in node.input)
    # The scale is read, and not multiplied with.
    reader.input[list(reader.input).index(scale)] = scale.replace("_0_", "_1_")
    onnx.save(model, path)
    report = verify(bundle, BUNDLES / "checkpoints" / bundle.name)
    assert "edits" in {c.name for c in report.variants[0].checks if c.verdict == "failed"}


def test_other_outputs_are_chosen(bundle: Path) -> None:
    chosen = ["--layers", "1", "--activations", "attn_probs,mlp_act"]
    assert main(["select", str(bundle / "model.onnx"), *chosen]) == 0
    session = onnxruntime.InferenceSession(bundle / "model.onnx")
    names = [output.name for output in session.get_outputs()]
    assert names == ["logits", "layer_1_attn_probs", "layer_1_mlp_act"]
    (logits,) = session.run(["logits"], {"input_ids": np.array([[1, 2, 3]])})
    assert logits.shape[1] == 3
    report = verify(bundle, BUNDLES / "checkpoints" / bundle.name)
    assert report.passed, report.failures


def test_they_are_published(bundle: Path, tmp_path: Path) -> None:
    assert main(["publish", str(bundle), "--to", str(tmp_path / "www")]) == 0
    published = read_manifest(next((tmp_path / "www").glob("**/manifest.json")).parent)
    assert published.data["contract_version"].startswith("1.")
    assert set(graphs_of(published.variants[0])) == {"plain", "interactive"}


def test_they_run_where_fidelity_is_measured(bundle: Path, tmp_path: Path) -> None:
    manifest = read_manifest(bundle)
    run = VariantRun(manifest.variants[0], manifest.shape, WeightFolders(bundle, tmp_path), ())
    found = run.run(np.array([[1, 2, 3]]), ["logits"])
    assert found["logits"].shape == (1, 3, manifest.shape.vocab)


def test_new_variants_need_a_new_export(bundle: Path) -> None:
    before = {file.name: file.read_bytes() for file in bundle.iterdir()}
    options = QuantizeOptions(graph=bundle, precision=("q8",))
    with pytest.raises(OrielError, match=r"keeps an earlier contract.*Export it again"):
        quantize(options, Silent())
    assert {file.name: file.read_bytes() for file in bundle.iterdir()} == before
