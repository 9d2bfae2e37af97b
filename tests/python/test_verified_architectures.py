"""Whole verifications of architectures whose attention isn't observed as the others' is: edits at
every joint, the cache, padding, the static graph, and a quantized variant."""

from __future__ import annotations

from pathlib import Path

import pytest
from architecture_variants import VARIANTS
from conftest import save_random

from oriel.export_bundle import export
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.verification.verify import verify


@pytest.mark.parametrize(
    ("name", "precisions", "slots"),
    [
        ("opt-norms-after-sums-projected", ("fp32",), None),
        # Its logits are a product and a bias; int8 rounds the former's factor to two digits.
        ("bloom", ("fp32",), 16),
        ("falcon-grouped-alibi-one-norm", ("fp32",), None),
        ("gpt_neo", ("fp32",), None),
        ("gptj-tied-wholly-rotary", ("fp32", "fp16", "int8"), 16),
    ],
)
def test_a_bundle_agrees_with_pytorch(
    name: str, precisions: tuple[str, ...], slots: int | None, tmp_path: Path
) -> None:
    checkpoint = save_random(VARIANTS[name](), tmp_path / "checkpoint")
    options = ExportOptions(
        model=str(checkpoint),
        output=tmp_path / "bundle" / "model.onnx",
        all_layers=True,
        precision=precisions,
        static_cache=slots,
        allow_lossy=True,
    )
    report = verify(export(options, Silent()).graph, checkpoint)
    assert report.passed, report.failures
    assert [variant.name for variant in report.variants] == list(precisions)
    for variant in report.variants:
        verdicts = {check.name: check.verdict for check in variant.checks}
        assert verdicts["edits"] == "passed"
        assert ("static_padded" in verdicts) is (slots is not None)
