"""Measures the difference between two tensors, and keeps the worst of many such measurements. The
bounds are data, in bounds.json."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds, parse_name


@dataclass(frozen=True)
class Difference:
    """absolute: max |a - b|; relative: that over max |b|, b the reference. The maximum is over the
    whole tensor, so a value near 0 isn't held to more digits than its neighbours have."""

    absolute: float
    relative: float
    scale: float
    """max |b|"""
    norm: float = field(default=math.inf, compare=False)
    """‖a - b‖ over ‖b‖: the measure where rounding makes every value a little wrong."""
    norm_ratio: float | None = field(default=None, compare=False)
    """‖a‖ over ‖b‖: 1 for the same tensor. It shows a wrong scale, which a cosine hides. None where
    b is zero everywhere, or a number isn't finite."""


def difference(got: Array, want: Array, where: Array | None = None) -> Difference:
    """Compare tensors of one shape; `where` broadcasts to it and picks the values that count.

    Infinite if the shapes differ or a number isn't finite.
    """
    if got.shape != want.shape:
        return Difference(math.inf, math.inf, math.nan)
    if got.size == 0:
        return Difference(0.0, 0.0, 0.0, 0.0)
    if where is not None:
        got, want = np.where(where, got, 0), np.where(where, want, 0)
    # Logits of a long text are hundreds of MB: one copy of them, and no more.
    gap = np.subtract(got, want)
    absolute = float(np.abs(gap, out=gap).max())
    scale = float(max(want.max(), -want.min()))
    if not (math.isfinite(absolute) and math.isfinite(scale)):
        return Difference(math.inf, math.inf, scale)
    size = _length(want)
    norm, ratio = _ratio(_length(gap), size), _norm_ratio(_length(got), size)
    return Difference(absolute, _ratio(absolute, scale), scale, norm, ratio)


def _length(values: Array) -> float:
    flat = values.reshape(-1)
    return math.sqrt(float(np.dot(flat, flat)))


def _norm_ratio(ours: float, theirs: float) -> float | None:
    ratio = ours / theirs if theirs > 0 else math.inf
    return ratio if math.isfinite(ratio) else None


def _ratio(absolute: float, scale: float) -> float:
    if absolute == 0:
        return 0.0
    return absolute / scale if scale > 0 else math.inf


def causal(seq: int, total: int, window: int = 0) -> Array:
    """Return (seq, total), True where a token may look, the first after total - seq others. window:
    the last tokens that it sees, itself among them; 0 for all."""
    seen = np.tri(seq, total, total - seq, dtype=bool)
    return seen & ~np.tri(seq, total, total - seq - window, dtype=bool) if window else seen


def visible(seq: int, total: int, shape: ModelShape) -> Array:
    """Return what `causal` does for a layer's sizes, and in a bidirectional model (seq, seq), True
    for all tokens, or for those within the window on either side."""
    if not shape.bidirectional:
        return causal(seq, total, shape.window)
    seen = causal(seq, seq, shape.window)
    return seen | seen.T


def allowed_scores(name: str, shape: ModelShape, sizes: tuple[int, ...]) -> Array | None:
    """Return where scores of this name mean anything, (seq, total) from the last two sizes; None
    for other activations, which do everywhere."""
    found = parse_name(name)
    if found is None or found[0].kind != "attn_scores":
        return None
    seq, total = sizes[-2:]
    return visible(seq, total, shape.at(found[1]))


def lens_difference(
    ids: Array, probs: Array, reference: Iterable[tuple[slice, Array]]
) -> tuple[Difference, Difference]:
    """Compare the k best tokens with whole distributions: (error of ids, error of probs).

    Two tokens may change places only where the reference finds them equally likely: an id's error
    is how much less likely, by the reference, the named token is than the one that belongs there,
    over the latter's probability. A token named twice at a position is an infinite error.
    """
    worst_ids = worst = scale = 0.0
    squares = np.zeros(4)
    count = ids.shape[-1]
    ordered = np.sort(ids, axis=-1)
    if bool((ordered[..., 1:] == ordered[..., :-1]).any()):
        worst_ids = math.inf
    for part, full in reference:
        if bool((ids[:, part] < 0).any() or (ids[:, part] >= full.shape[-1]).any()):
            worst_ids = math.inf
            continue
        best = -np.sort(-np.partition(full, -count, axis=-1)[..., -count:], axis=-1)
        named = np.take_along_axis(full, ids[:, part], axis=-1)
        worst_ids = _largest(worst_ids, np.abs(named - best) / best)
        worst = _largest(worst, np.abs(probs[:, part] - best))
        scale = _largest(scale, best)
        ours = probs[:, part]
        squares += [_square(a) for a in (named - best, ours - best, best, ours)]
    norms = [_ratio(math.sqrt(s), math.sqrt(squares[2])) for s in squares[:2]]
    ratio = _norm_ratio(math.sqrt(squares[3]), math.sqrt(squares[2]))
    if not math.isfinite(worst_ids):
        norms[0] = math.inf
    return (
        Difference(worst_ids, worst_ids, 1.0, norms[0]),
        Difference(worst, _ratio(worst, scale), scale, norms[1], ratio),
    )


def activation_difference(
    name: str, got: Array, want: Mapping[str, Array], shape: ModelShape
) -> Difference:
    """Compare an activation with the reference's of that name. Masked scores don't count, and a
    router's choice is held to the reference's probabilities, where these are there: two experts may
    change places only where they are equally likely."""
    probs = _router_probs(name, want)
    if probs is not None and got.shape == want[name].shape:
        best = np.take_along_axis(probs, want[name], axis=-1)
        return lens_difference(got, best, [(slice(None), probs)])[0]
    where = allowed_scores(name, shape, got.shape)
    return difference(got, want[name], where)


def with_router_probs(names: Sequence[str]) -> list[str]:
    """Return the names, and those of the probabilities that choices among them are held to."""
    parsed = [found for found in map(parse_name, names) if found is not None]
    layers = [layer for kind, layer in parsed if kind.kind == "expert_ids"]
    return list(dict.fromkeys([*names, *(kinds()["router_probs"].at(at) for at in layers)]))


def _router_probs(name: str, want: Mapping[str, Array]) -> Array | None:
    """Return the probabilities that a choice of experts of this name was made by."""
    found = parse_name(name)
    if found is None or found[0].kind != "expert_ids":
        return None
    return want.get(kinds()["router_probs"].at(found[1]))


def _square(values: Array) -> float:
    return float(np.sum(values.astype(np.float64) ** 2))


def _largest(so_far: float, values: Array) -> float:
    largest = float(values.max())
    return max(so_far, largest) if math.isfinite(largest) else math.inf


@dataclass
class Worst:
    """The largest of many measurements, and the place of its occurrence."""

    difference: Difference = field(default_factory=lambda: Difference(0.0, 0.0, 0.0, 0.0))
    where: str = ""
    excess: float = -1.0
    """Error over bound: the measurement with the larger ratio is the worse one."""
    bound: float = 0.0
    error: float = 0.0
    count: int = 0

    def add(self, found: Difference, error: float, bound: float, where: str) -> None:
        self.count += 1
        excess = _ratio(error, bound)
        if excess > self.excess or math.isnan(excess):
            self.difference, self.where = found, where
            self.excess, self.bound, self.error = excess, bound, error

    @property
    def within(self) -> bool:
        return self.count > 0 and self.excess <= 1.0
