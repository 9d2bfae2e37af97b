"""Next-token distributions of a variant beside the reference's, position by position: divergence,
agreement of the likeliest tokens, perplexity. From logits, in float64. What the figures mean is in
contracts/ACTIVATIONS_CONTRACT.md, "Fidelity"."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Logits = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

TOP = 5
MAX_KL = 1e6
MAX_PERPLEXITY = 1e12
"""Largest figures, as in manifest.schema.json: larger ones would tell nothing more."""
_NUMBERS_AT_ONCE = 2 * 1024 * 1024
"""Numbers compared at a time: 16 MiB for each array of float64."""


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Compute log-softmax over the last axis, in float64; finite for any finite logits."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def kl_divergence(log_p: Floats, log_q: Floats) -> Floats:
    """Compute (…), KL(p || q) in nats, of (…, vocab) log-probabilities (Kullback, Leibler, 1951).

    Summed as p log(p/q) - p + q, which adds 0 to the sum and makes every term at least 0 (Csiszár,
    1991; `scipy.special.kl_div`): so nothing cancels, and distributions that are nearly the same
    keep their digits. Near 0 the term is p (exp(-d) - 1 + d), d = log(p/q).
    """
    d = log_p - log_q
    p, q = np.exp(log_p), np.exp(log_q)
    # Far apart, exp(-d) may overflow; q - p + p d can't.
    near = np.clip(d, -1.0, 1.0)
    terms = np.where(np.abs(d) < 1.0, p * (np.expm1(-near) + near), q - p + p * d)
    total: Floats = np.maximum(terms, 0.0).sum(axis=-1)
    return total


def top1_agrees(reference: Logits, variant: Logits) -> npt.NDArray[np.bool_]:
    """Return (…), True where the variant's likeliest token is the reference's.

    Where the reference has several that are exactly equally likely, each of them is. The variant
    names one, the first: one that finds all tokens alike doesn't agree with everything.
    """
    named = variant.argmax(axis=-1)[..., None]
    given = np.take_along_axis(reference, named, axis=-1)[..., 0]
    agrees: npt.NDArray[np.bool_] = given == reference.max(axis=-1)
    return agrees


def top_shared(reference: Logits, variant: Logits, count: int = TOP) -> Floats:
    """Return (…), the share of the reference's `count` likeliest tokens in the variant's `count`.

    Tokens that tie with the reference's last of them are as good as it is.
    """
    count = min(count, reference.shape[-1])
    last = np.partition(reference, -count, axis=-1)[..., -count]
    named = np.argpartition(variant, -count, axis=-1)[..., -count:]
    given = np.take_along_axis(reference, named, axis=-1)
    shared: Floats = (given >= last[..., None]).mean(axis=-1, dtype=np.float64)
    return shared


@dataclass
class Predictions:
    """Figures of all positions that were added."""

    kl: list[Floats] = field(default_factory=list)
    positions: int = 0
    agreed: float = 0.0
    shared: float = 0.0
    targets: int = 0
    loss: float = 0.0
    reference_loss: float = 0.0

    def add(self, ids: Ids | None, reference: Logits, variant: Logits) -> None:
        """Add a passage: ids (seq) and both logits (seq, vocab), finite. Every position counts, the
        last one too; the loss has no token after that. Without ids, logits are over labels, and
        there is no loss."""
        for at in _parts(*reference.shape):
            r, v = reference[at], variant[at]
            log_p, log_q = log_softmax(r), log_softmax(v)
            self.kl.append(kl_divergence(log_p, log_q))
            self.positions += len(r)
            self.agreed += float(top1_agrees(r, v).sum())
            self.shared += float(top_shared(r, v).sum())
            if ids is None:
                continue
            targets = ids[at.start + 1 : at.stop + 1]
            rows = np.arange(len(targets))
            self.targets += len(targets)
            self.reference_loss -= float(log_p[rows, targets].sum())
            self.loss -= float(log_q[rows, targets].sum())

    @property
    def kl_mean(self) -> float:
        return min(float(np.concatenate(self.kl).mean()), MAX_KL)

    @property
    def kl_p99(self) -> float:
        """The 99th percentile of KL, interpolated linearly between the two nearest positions."""
        return min(float(np.percentile(np.concatenate(self.kl), 99)), MAX_KL)

    @property
    def top1(self) -> float:
        return self.agreed / self.positions

    @property
    def top5(self) -> float:
        return self.shared / self.positions

    @property
    def perplexity(self) -> float | None:
        return perplexity(self.loss / self.targets) if self.targets else None

    @property
    def reference_perplexity(self) -> float | None:
        return perplexity(self.reference_loss / self.targets) if self.targets else None


def perplexity(loss: float) -> float:
    """Return exp of the mean loss in nats (Jelinek et al., 1977)."""
    return min(math.exp(min(max(loss, 0.0), 700.0)), MAX_PERPLEXITY)


def _parts(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _NUMBERS_AT_ONCE // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
