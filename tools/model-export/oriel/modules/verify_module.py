"""Verification of a file: its outputs, computed in a fresh process, against the module's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oriel.errors import ModuleError
from oriel.fidelity.distributions import top1_agrees
from oriel.modules.compare_outputs import OutputError, compare_outputs
from oriel.modules.run_file import run_file

LOGITS = "logits"
"""The output whose largest value names a token or a class."""


@dataclass(frozen=True)
class Case:
    """Inputs and what the module itself made of them."""

    name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    read: Tensor | None = None
    """(batch, sequence), True where the likeliest token counts, and False at padding; None to count
    none."""


@dataclass(frozen=True)
class CaseResult:
    """The distance of a file's outputs from a case's."""

    name: str
    sizes: list[list[int]]
    """Shapes of the inputs."""
    outputs: list[OutputError]
    top1: float | None = None
    """Share of the positions whose likeliest token or class is the module's; None where none is
    counted."""

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)


def verify_file(
    format_name: str,
    file: Path,
    output_names: Sequence[str],
    cases: Sequence[Case],
    bound: float | None = None,
) -> list[CaseResult]:
    """Run a file on every case in a process of its own and return the errors. Raises ModuleError
    where the file can't be opened or run.

    bound: of the relative error of floats, in place of that of their dtype.
    """
    outputs = run_file(format_name, file, [case.inputs for case in cases])
    with torch.no_grad():
        return [
            CaseResult(
                case.name,
                [list(tensor.shape) for tensor in case.inputs],
                compare_outputs(output_names, got, case.outputs, bound),
                _top1(output_names, got, case),
            )
            for case, got in zip(cases, outputs, strict=True)
        ]


def _top1(names: Sequence[str], got: Sequence[Tensor], case: Case) -> float | None:
    if case.read is None or LOGITS not in names:
        return None
    at = names.index(LOGITS)
    want, found = case.outputs[at], got[at]
    if want.shape != found.shape:
        return None
    if want.shape[:-1] == case.read.shape:
        want, found = want[case.read], found[case.read]
    return float(top1_agrees(want.numpy(), found.numpy()).mean())


def check_results(results: Sequence[CaseResult]) -> None:
    """Raise ModuleError naming the worst output of the first case that failed."""
    for case in results:
        failed = [output for output in case.outputs if not output.passed]
        if not failed:
            continue
        worst = max(failed, key=lambda output: output.relative or 0.0)
        got = worst.problem or (
            f"relative error {worst.relative or float('inf'):.1e}, absolute {worst.absolute:.1e}"
        )
        raise ModuleError(
            f"the file's {worst.name} is not the module's, on {case.name}",
            got=got,
            expected=None if worst.problem else f"at most {worst.bound:.2g} relative",
        )
