"""Estimates from the reference alone how often the likeliest token stays the same at a divergence
of a given size: it shows which bound of top-1 agreement is possible, and whether a variant's errors
are more than noise."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oriel.fidelity.fidelity_bounds import FidelityBounds

KL_GRID = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.02, 0.05, 0.1, 0.3, 1.0)
"""Divergences in nats; all bounds of fidelity/bounds.json are among them."""
UNDECIDED = 0.5
_NUMBERS_AT_ONCE = 4 * 1024 * 1024


@dataclass(frozen=True)
class AgreementCurve:
    """Expected top-1 agreement by mean KL, on one text.

    Noise of variance v on every logit makes a KL of v/2 at most. With Gumbel noise of that variance
    the chance that the first token stays first is its probability at the temperature sqrt(6 v) / pi
    (Luce and Suppes, 1965; Yellott, 1977). Where a model finds two tokens about equally likely, a
    difference far too small to matter decides which comes first; so how many first places change
    says more about the model and the text than about the variant.
    """

    kl: tuple[float, ...]
    top1: tuple[float, ...]
    uncertainty: float = 0.0
    """The reference's mean entropy (Shannon, 1948) over that of a uniform distribution: a fifth to
    a third for trained models, nearly 1 for random weights."""

    def at(self, kl: float) -> float:
        """Interpolate between two known points, along the logarithm of KL; 1 for a KL of 0."""
        if kl <= self.kl[0]:
            return 1.0 - (1.0 - self.top1[0]) * math.sqrt(max(kl, 0.0) / self.kl[0])
        return float(np.interp(math.log(kl), np.log(self.kl), self.top1))

    def fair(self, bounds: FidelityBounds, top1: float) -> FidelityBounds:
        """Return the bounds for this agreement: the precision's own, except for a reference that
        hardly predicts anything. There the two bounds would contradict each other, so agreement
        must reach only what is expected of a variant whose KL is exactly at its bound."""
        if top1 >= bounds.top1 or self.uncertainty <= UNDECIDED:
            return bounds
        return FidelityBounds(bounds.kl_mean, min(bounds.top1, self.at(bounds.kl_mean)))

    def to_json(self) -> list[dict[str, float]]:
        pairs = zip(self.kl, self.top1, strict=True)
        return [{"kl": kl, "top1": top1} for kl, top1 in pairs]


def agreement_curve(
    logits: Iterable[npt.NDArray[np.float32]], grid: Sequence[float] = KL_GRID
) -> AgreementCurve:
    """Compute the curve of the reference's logits, (seq, vocab) for each passage."""
    sums, entropy, positions, vocab = np.zeros(len(grid)), 0.0, 0, 1
    for passage in logits:
        for part in _parts(passage):
            gaps = part - part.max(axis=-1, keepdims=True)
            positions, vocab = positions + len(part), part.shape[-1]
            entropy += _entropies(gaps).sum()
            for i, kl in enumerate(grid):
                sums[i] += expected_top1(gaps, kl).sum()
    uncertainty = float(entropy / positions / math.log(vocab)) if vocab > 1 else 0.0
    top1 = tuple(float(total / positions) for total in sums)
    return AgreementCurve(tuple(grid), top1, uncertainty)


def _entropies(gaps: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the entropies (…), in nats, of logits (…, vocab) less their largest."""
    weights = np.exp(gaps)
    total = weights.sum(axis=-1, dtype=np.float64)
    weights *= gaps
    entropies: npt.NDArray[np.float64] = np.log(total) - weights.sum(-1, dtype=np.float64) / total
    return entropies


def expected_top1(gaps: npt.NDArray[np.floating], kl: float) -> npt.NDArray[np.float64]:
    """Return (…), the chance that the likeliest token stays so under noise that makes a KL of `kl`,
    for logits (…, vocab) less their largest."""
    temperature = math.sqrt(12.0 * kl) / math.pi
    weights = np.exp(gaps * np.asarray(1.0 / temperature, dtype=gaps.dtype))
    chance: npt.NDArray[np.float64] = 1.0 / weights.sum(axis=-1, dtype=np.float64)
    return chance


def _parts(passage: npt.NDArray[np.float32]) -> Iterator[npt.NDArray[np.float32]]:
    step = max(1, _NUMBERS_AT_ONCE // passage.shape[-1])
    return (passage[start : start + step] for start in range(0, len(passage), step))
