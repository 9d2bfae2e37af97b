"""Every architecture in float16, int8 and int4, one tiny model each: what a variant stores, what
its kernels make of it, and how far its predictions are from the float32 model's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from architecture_variants import VARIANTS
from conftest import save_random

from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.fidelity.gate import GATE_EFFORT
from oriel.models.architectures import REGISTRY
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.verification.verify import verify

pytestmark = pytest.mark.usefixtures("short_text")
PRECISIONS = ("fp16", "int8", "int4")


@pytest.fixture(scope="module")
def short_text() -> Iterator[None]:
    """Of a tiny model a few hundred tokens tell enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oriel.fidelity.gate.GATE_EFFORT", replace(GATE_EFFORT, tokens=512))
        yield


def first_of_each() -> dict[str, str]:
    """{model_type: the name of its first variant}."""
    found: dict[str, str] = {}
    for name, variant in VARIANTS.items():
        found.setdefault(variant.config().model_type, name)
    return found


FIRST = first_of_each()


def test_every_architecture_is_tried() -> None:
    assert FIRST.keys() == REGISTRY.keys()


@pytest.mark.parametrize("model_type", FIRST)
def test_each_agrees_with_pytorch(model_type: str, tmp_path: Path) -> None:
    """verify holds stored weights to the checkpoint's, each product to what its kernels round, and
    every activation to PyTorch's with the same weights."""
    made = VARIANTS[FIRST[model_type]]()
    checkpoint = save_random(made, tmp_path / "checkpoint", spread=0.15)
    options = ExportOptions(
        model=str(checkpoint),
        output=tmp_path / "bundle" / "model.onnx",
        precision=PRECISIONS,
        # Random weights lose the most.
        allow_lossy=True,
    )
    exported = export(options, Silent())
    report = verify(exported.graph, checkpoint)
    assert report.passed, report.failures
    manifest = read_manifest(exported.folder)
    lost = {}
    for name in PRECISIONS:
        fidelity = manifest.variant(name)["fidelity"]
        lost[name] = fidelity["kl_mean"]
        assert 0 < lost[name] < 0.5, name
        assert fidelity["top1"] > 0.6, name
    assert lost["fp16"] < lost["int8"] and lost["fp16"] < lost["int4"]
