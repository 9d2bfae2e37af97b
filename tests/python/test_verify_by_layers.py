"""Verification by layers, held to that of the whole: it measures the same activations, and finds a
damaged weight in its own layer and in no other."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest

from oriel.bundle.read_bundle import read_bundle
from oriel.cli import main
from oriel.graph.graph_in_parts import GraphInParts
from oriel.verification.layer_checks import fits_in_memory
from oriel.verification.report import Report
from oriel.verification.verify import verify


def rows(report: Report, variant: str) -> dict[tuple[str, str], str]:
    """{(graph, activation): verdict}."""
    (found,) = (each for each in report.variants if each.name == variant)
    return {(row.graph, row.name): row.verdict for row in found.activations}


def test_it_measures_what_the_whole_verification_measures(
    tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path
) -> None:
    whole = verify(tiny_gpt2_bundle, tiny_gpt2_checkpoint)
    layers = verify(tiny_gpt2_bundle, tiny_gpt2_checkpoint, by_layers=True)
    assert whole.passed and layers.passed
    assert rows(layers, "fp32") == rows(whole, "fp32")
    assert whole.conclusion().startswith("verified: ")
    assert layers.conclusion().startswith("verified by layers: ")
    checks = {check.name: check for check in layers.variants[0].checks}
    assert "each layer ran by itself" in (checks["by_layers"].detail or "")
    assert {c.name for c in whole.checks} == {c.name for c in layers.checks}


def test_variants_are_held_to_the_weights_that_they_stand_for(
    quantized_llama_bundle: Path, tiny_llama_checkpoint: Path
) -> None:
    report = verify(quantized_llama_bundle, tiny_llama_checkpoint, by_layers=True)
    assert report.passed, report.failures
    assert [each.name for each in report.variants if each.rounded] == [
        *("q8", "q4", "int8", "int8_static", "int4")
    ]


def test_no_graph_is_held_as_a_whole(tiny_llama_bundle: Path, tiny_llama_checkpoint: Path) -> None:
    ran: list[set[str]] = []
    session = GraphInParts._session

    def watched(self: GraphInParts, part: object, values: object) -> object:
        names: frozenset[str] = part.weights  # type: ignore[attr-defined]
        # The rest are constants of the graph.
        ran.append({name for name in names if name.startswith(("model.", "lm_head."))})
        return session(self, part, values)  # type: ignore[arg-type]

    with (
        patch("oriel.graph.graph_in_parts.PART_BYTES", 1000),
        patch.object(GraphInParts, "_session", watched),
    ):
        assert verify(tiny_llama_bundle, tiny_llama_checkpoint, by_layers=True).passed
    assert max(map(len, ran)) < 6


def test_a_damaged_weight_is_found_in_its_layer(
    tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    bundle = shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle")
    layout = read_bundle(bundle / "model.onnx").graphs.layout
    name = "transformer.h.2.mlp.c_proj.weight"
    place = next(weight for weight in layout.weights if weight.name == name)
    data = np.memmap(bundle / "model.onnx.data", "<f4", "r+", place.offset, place.shape)
    data[3, 4] += 1
    data.flush()
    flags = ["--checkpoint", str(tiny_gpt2_checkpoint), "--by-layers"]
    assert main(["verify", "--model", str(bundle), *flags]) == 1
    assert name in capsys.readouterr().out
    report = verify(bundle, tiny_gpt2_checkpoint, by_layers=True)
    failed = {n for (graph, n), said in rows(report, "fp32").items() if said == "failed"
              if graph == "decoder"}  # fmt: skip
    # Layer 3 was given PyTorch's stream, so that nothing behind layer 2 is wrong.
    assert failed & {"layer_2_mlp_output", "layer_2_resid_post"}
    assert not {n for n in failed if n.startswith(("layer_0", "layer_1", "layer_3", "final"))}


def test_what_does_not_fit_this_machine_is_verified_by_layers() -> None:
    pages = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 250_000}
    with patch.object(os, "sysconf", pages.__getitem__):
        # 1.024 GB, and 8 bytes for each parameter.
        assert fits_in_memory(127_000_000)
        assert not fits_in_memory(129_000_000)
