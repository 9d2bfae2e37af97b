"""Architectures in float32, float16, int8 and int4, one tiny model each: what a variant
stores, what its kernels make of it, how far its predictions are from the float32 model's, edits,
and the static graph. The page's programs compute the same numbers. One export serves all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from architecture_variants import VARIANTS
from conftest import save_random
from page_programs import Writer, check_programs, written_programs
from thorough import further

from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.fidelity.gate import GATE_EFFORT
from oriel.models.architectures import REGISTRY
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.verification.verify import verify

PRECISIONS = ("fp16", "int8", "int4")
STATIC = {"bloom": 16, "gptj": 16}
"""Slots of a static graph's cache, where attention isn't observed as the others' is: with ALiBi,
and with float16 graphs that join values to the past before keys."""


def first_of_each() -> dict[str, str]:
    """{model_type: the name of its first variant}."""
    found: dict[str, str] = {}
    for name, variant in VARIANTS.items():
        found.setdefault(variant.config().model_type, name)
    return found


FIRST = first_of_each()
ALIKE = {
    "bert": ("distilbert", "electra", "roberta"),
    "gpt2": ("gpt_neo",),
    "llama": ("granite", "mistral", "olmo", "olmo2", "qwen2", "qwen3", "smollm3", "stablelm"),
    "mixtral": ("olmoe", "qwen3_moe"),
}
"""Model types whose matrices are stored and multiplied as another's are: the thorough run tries
them too. In float32 test_architectures.py compares each of them."""

TRIED = (
    *(
        further(name) if any(model_type in alike for alike in ALIKE.values()) else name
        for model_type, name in FIRST.items()
    ),
    # Matrices stand before its stream, and between that and its unembedding.
    "opt-norms-after-sums-projected",
    "falcon-grouped-alibi-one-norm",
)


@dataclass(frozen=True)
class Exported:
    name: str
    folder: Path
    graph: Path
    checkpoint: Path


@pytest.fixture(scope="module", params=TRIED)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    name: str = request.param
    folder = tmp_path_factory.mktemp("architecture")
    checkpoint = save_random(VARIANTS[name](), folder / "checkpoint", spread=0.15)
    options = ExportOptions(
        model=str(checkpoint),
        output=folder / "bundle" / "model.onnx",
        precision=("fp32", *PRECISIONS),
        static_cache=STATIC.get(name),
        # Random weights lose the most.
        allow_lossy=True,
    )
    with pytest.MonkeyPatch.context() as patch:
        # Of a tiny model a few hundred tokens tell enough.
        patch.setattr("oriel.fidelity.gate.GATE_EFFORT", replace(GATE_EFFORT, tokens=512))
        made = export(options, Silent())
    return Exported(name, made.folder, made.graph, checkpoint)


@pytest.fixture(scope="module")
def write() -> Iterator[Writer]:
    with written_programs() as writer:
        yield writer


def test_every_architecture_is_tried() -> None:
    assert FIRST.keys() == REGISTRY.keys()
    assert {*ALIKE, *(alike for each in ALIKE.values() for alike in each)} <= FIRST.keys()


def test_each_agrees_with_pytorch(exported: Exported) -> None:
    """verify holds stored weights to the checkpoint's, each product to what its kernels round, and
    every activation to PyTorch's with the same weights."""
    report = verify(exported.graph, exported.checkpoint)
    assert report.passed, report.failures
    assert [variant.name for variant in report.variants] == ["fp32", *PRECISIONS]
    for variant in report.variants:
        verdicts = {check.name: check.verdict for check in variant.checks}
        assert verdicts["edits"] == "passed"
        assert ("static_padded" in verdicts) is (exported.name in STATIC)
    manifest = read_manifest(exported.folder)
    lost = {}
    for name in PRECISIONS:
        fidelity = manifest.variant(name)["fidelity"]
        lost[name] = fidelity["kl_mean"]
        assert 0 < lost[name] < 0.5, name
        assert fidelity["top1"] > 0.6, name
    assert lost["fp16"] < lost["int8"] and lost["fp16"] < lost["int4"]


def test_programs_compute_the_numbers_of_the_screen(
    exported: Exported, write: Writer, tmp_path: Path
) -> None:
    check_programs(exported.folder, exported.checkpoint, write, tmp_path)
