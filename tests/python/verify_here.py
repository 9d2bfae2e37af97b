"""Verification of a module's file in the tests' own process, for tests of other things: to start a
fresh one takes seconds for each file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oriel.formats import formats_by_name
from oriel.modules.compare_outputs import compare_outputs
from oriel.modules.verify_module import Case, CaseResult


def verify_here(
    form: str, file: Path, names: Sequence[str], cases: Sequence[Case]
) -> list[CaseResult]:
    """Stand in for verify_file: the same openers and the same comparison."""
    run = formats_by_name()[form].open(file)
    outputs = [compare_outputs(names, list(run(case.inputs)), case.outputs) for case in cases]
    shapes = [[list(tensor.shape) for tensor in case.inputs] for case in cases]
    rows = zip(cases, shapes, outputs, strict=True)
    return [CaseResult(case.name, sizes, found) for case, sizes, found in rows]
