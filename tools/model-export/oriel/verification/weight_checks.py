"""Checks that a variant's weights are the checkpoint's: exactly, rounded to float16 at most, or,
where they are encoded, as near as their bits allow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from oriel.arrays import Array
from oriel.checkpoints.tensors import StoredTensors
from oriel.verification.error_bounds import weight_bounds
from oriel.verification.report import Findings
from oriel.verification.stored_weights import StoredWeight

_LEAST_GROUP = 0.01
"""Share of a matrix's root mean square: groups with a smaller one are measured against it."""


@dataclass
class WeightComparison:
    """The weights of one graph or expanded file beside the checkpoint's, one at a time."""

    name: str
    """Name of the check."""
    checkpoint: StoredTensors
    findings: Findings
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)
    decoded: dict[str, Array] = field(default_factory=dict)
    """Weights stored in fewer than 32 bits, as float32, in the checkpoint's orientation."""

    def add(self, weight: StoredWeight, keep: bool) -> None:
        """Compare a weight. keep: True to keep its decoded values."""
        self.seen.add(weight.name)
        if weight.name not in self.checkpoint.tensors:
            self.problems.append(f"{weight.name} is not in the checkpoint")
            return
        want = self.checkpoint.read(weight.name).to(torch.float32).numpy()
        turned = oriented_like(weight.values, want)
        if turned is None:
            shape = list(weight.values.shape)
            self.problems.append(f"{weight.name} is {shape}, the checkpoint has {list(want.shape)}")
            return
        if weight.bits >= 16:
            exact = want.astype(np.float16) if weight.bits == 16 else want
            wrong = int(np.count_nonzero(turned != exact.astype(turned.dtype)))
            if wrong:
                self.problems.append(f"{weight.name} differs in {wrong} of {want.size} values")
        else:
            self._measure(weight, turned, want)
        if keep and weight.bits < 32:
            self.decoded[weight.name] = np.ascontiguousarray(turned, dtype=np.float32)

    def _measure(self, weight: StoredWeight, turned: Array, want: Array) -> None:
        bounds = weight_bounds(weight.bits)
        error = _relative(np.subtract(turned, want), want)
        check = f"{self.name}_{weight.bits}_bits"
        self.findings.measure(check, error, bounds["matrix"], weight.name)
        if weight.groups is None:
            return
        # The checkpoint's values are grouped as the stored ones are.
        groups = _grouped_like(weight, want)
        gap = np.sqrt(((weight.groups - groups) ** 2).mean(axis=1))
        # A group of values far smaller than its matrix's need not be as exact as the others.
        least = _LEAST_GROUP * float(np.sqrt((want.astype(np.float64) ** 2).mean()))
        size = np.maximum(np.sqrt((groups**2).mean(axis=1)), least)
        ratio = np.divide(gap, size, out=np.where(gap > 0, np.inf, 0.0), where=size > 0)
        self.findings.measure(
            f"{check}_group", float(ratio.max(initial=0)), bounds["group"], weight.name
        )

    def finish(self, whole: int) -> None:
        """Record the result. whole: number of weights compared."""
        for missing in sorted(set(self.checkpoint.tensors) - self.seen):
            self.problems.append(f"{missing} is not in the graph")
        self.findings.differences(self.name, self.problems, f"{whole} tensors are the checkpoint's")


def compare_weights(
    name: str,
    weights: Iterator[StoredWeight],
    checkpoint: StoredTensors,
    findings: Findings,
    keep: bool,
) -> Mapping[str, Array]:
    """Compare all weights. With `keep`, return those of fewer than 32 bits, decoded."""
    comparison = WeightComparison(name, checkpoint, findings)
    count = 0
    for weight in weights:
        comparison.add(weight, keep)
        count += 1
    comparison.finish(count)
    return comparison.decoded


def oriented_like(held: Array, want: Array) -> Array | None:
    """Return `held` in the orientation of `want`, transposed if need be; None if neither fits."""
    turns = [turn for turn in (held, held.T) if turn.shape == want.shape]
    if len(turns) < 2 or held.ndim < 2:
        return turns[0] if turns else None
    return min(turns, key=lambda turn: float(np.abs(np.subtract(turn, want)).sum()))


def _grouped_like(weight: StoredWeight, want: Array) -> Array:
    """Return the checkpoint's values in the groups of the stored ones: (groups, values)."""
    assert weight.groups is not None
    size = weight.groups.shape[1]
    candidates = []
    for rows in (want, want.T):
        missing = -rows.shape[1] % size
        groups = np.pad(rows, ((0, 0), (0, missing))).reshape(-1, size)
        if groups.shape == weight.groups.shape:
            candidates.append(groups)
    return min(candidates, key=lambda groups: float(np.abs(weight.groups - groups).sum()))


def _relative(gap: Array, want: Array) -> float:
    size = float(np.linalg.norm(want))
    error = float(np.linalg.norm(gap))
    return error / size if size else (0.0 if error == 0 else float("inf"))
