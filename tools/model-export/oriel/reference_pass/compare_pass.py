"""Compares a run with a reference pass: computes the error of each activation, and finds the
largest and the first that exceeds its bound. The same on the page:
apps/web/src/inference/compare_pass.ts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import kind_of
from oriel.contract.documents import ReferencePassRecord
from oriel.reference_pass.pass_file import ReferencePass


@dataclass(frozen=True)
class Distance:
    """Error of one activation relative to the reference, and its bound."""

    name: str
    error: float
    """Infinite if the shape differs, a number isn't finite, or a token is named twice."""
    bound: float

    @property
    def departs(self) -> bool:
        return not self.error <= self.bound

    def to_json(self) -> dict[str, object]:
        error = self.error if math.isfinite(self.error) else None
        return {"name": self.name, "error": error, "bound": self.bound}


@dataclass(frozen=True)
class PassComparison:
    """Result of comparing a run with a reference pass."""

    worst: Distance
    """The activation with the largest error; if any exceed their bounds, the largest of those."""
    first: Distance | None
    """The first activation in computation order that exceeds its bound; None if none does."""
    compared: int

    @property
    def passed(self) -> bool:
        return self.first is None


def compare_pass(
    got: Mapping[str, Array], want: ReferencePass, record: ReferencePassRecord
) -> PassComparison:
    """Compare every activation of the reference with the run's, in computation order.

    got: the run's activations by contract name, with logits of at least the last position.
    """
    by_norm = record["measure"] == "norm"
    found: list[Distance] = []
    for name, value in want.values.items():
        kind = kind_of(name)
        mine = got.get(name)
        if mine is not None and name == "logits" and value.ndim == 3:
            mine = mine[:, -1:]
        if mine is None or mine.shape != value.shape:
            error = math.inf
        elif kind == "lens_ids":
            probs = want.values[name.removesuffix("ids") + "probs"]
            error = _ids_error(mine, value, probs, by_norm)
        elif kind == "expert_ids":
            probs = want.values[name.removesuffix("expert_ids") + "router_probs"]
            error = _choice_error(mine, value, probs, by_norm)
        elif value.dtype.kind == "i":
            error = 0.0 if np.array_equal(mine, value) else math.inf
        else:
            error = _error(mine, value, kind == "attn_scores", by_norm)
        found.append(Distance(name, error, record["bounds"][kind]))
    departing = [each for each in found if each.departs]
    worst = max(departing or found, key=lambda each: each.error)
    return PassComparison(worst, next(iter(departing), None), len(found))


def _error(mine: Array, value: Array, causal: bool, by_norm: bool) -> float:
    """Return the relative error of floats. For attention scores, (…, seq, seq), only the keys
    count that a query sees: those up to it, without those that the reference masks."""
    a, b = mine.astype(np.float64), value.astype(np.float64)
    if causal:
        seen = (np.tri(*value.shape[-2:]) > 0) & (value > np.finfo(np.float32).min)
        a, b = a[seen], b[seen]
    if not np.isfinite(a).all():
        return math.inf
    return _ratio(a - b, b, by_norm)


def _ids_error(mine: Array, ids: Array, probs: Array, by_norm: bool) -> float:
    """Return by how much the named tokens are less likely, in the reference, than the tokens at the
    same ranks there. So two tokens may swap ranks only if they are equally likely. A token that the
    reference doesn't list counts as the last one that it lists."""
    if _named_twice(mine):
        return math.inf
    match = mine[..., :, None] == ids[..., None, :]
    listed = np.where(match.any(axis=-1), match.argmax(axis=-1), ids.shape[-1] - 1)
    wide = probs.astype(np.float64)
    named = np.take_along_axis(wide, listed, axis=-1)
    return _likelihood_error(named, wide, by_norm)


def _choice_error(mine: Array, ids: Array, probs: Array, by_norm: bool) -> float:
    """Return by how much the chosen experts are less likely, by the reference's router, than those
    that the reference chose. probs: (…, experts)."""
    if _named_twice(mine) or bool((mine < 0).any() or (mine >= probs.shape[-1]).any()):
        return math.inf
    named, wanted = (np.take_along_axis(probs.astype(np.float64), i, axis=-1) for i in (mine, ids))
    return _likelihood_error(named, wanted, by_norm)


def _named_twice(ids: Array) -> bool:
    ordered = np.sort(ids, axis=-1)
    return bool((ordered[..., 1:] == ordered[..., :-1]).any())


def _likelihood_error(named: Array, wanted: Array, by_norm: bool) -> float:
    if by_norm:
        return _ratio(named - wanted, wanted, by_norm)
    gap = np.abs(named - wanted)
    return float(np.divide(gap, wanted, out=np.zeros_like(gap), where=gap > 0).max())


def _ratio(gap: Array, want: Array, by_norm: bool) -> float:
    """Return the norm of the difference over the reference's norm if `by_norm`, otherwise the
    largest absolute difference over the largest absolute value. `gap` and `want` are float64."""
    if by_norm:
        error, size = float(np.sqrt((gap**2).sum())), float(np.sqrt((want**2).sum()))
    else:
        error, size = float(np.abs(gap).max()), float(np.abs(want).max())
    if error == 0:
        return 0.0
    return error / size if size > 0 else math.inf
