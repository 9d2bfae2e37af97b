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
LARGEST_KL = 1e6
LARGEST_PERPLEXITY = 1e12
"""As in manifest.schema.json: beyond them a figure says no more than that all is lost."""
_NUMBERS_AT_ONCE = 2 * 1024 * 1024
"""Numbers compared at a time: 16 MiB for each array of float64."""


def log_softmax(logits: npt.NDArray[np.floating]) -> Floats:
    """Over the last axis, in float64; finite for finite logits, however large."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    shifted -= np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return shifted


def kl_divergence(log_p: Floats, log_q: Floats) -> Floats:
    """(…): KL(p || q) in nats of (…, vocab) log-probabilities (Kullback and Leibler, 1951).

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
    """(…), bool: whether the variant's likeliest token is the reference's.

    Where the reference has several that are exactly equally likely, each of them is. The variant
    names one, the first: one that finds all tokens alike doesn't agree with everything.
    """
    named = variant.argmax(axis=-1)[..., None]
    given = np.take_along_axis(reference, named, axis=-1)[..., 0]
    agrees: npt.NDArray[np.bool_] = given == reference.max(axis=-1)
    return agrees


def top_shared(reference: Logits, variant: Logits, count: int = TOP) -> Floats:
    """(…): the share of the reference's `count` likeliest tokens among the variant's `count`.

    Tokens that tie with the reference's last of them are as good as it is.
    """
    count = min(count, reference.shape[-1])
    last = np.partition(reference, -count, axis=-1)[..., -count]
    named = np.argpartition(variant, -count, axis=-1)[..., -count:]
    given = np.take_along_axis(reference, named, axis=-1)
    shared: Floats = (given >= last[..., None]).mean(axis=-1, dtype=np.float64)
    return shared


def expected_top1(log_p: Floats, kl_bound: float) -> Floats:
    """(…): the chance that the likeliest token stays so under noise that makes a KL of `kl_bound`.

    Noise of variance v on every logit makes a KL of v/2 at most. With Gumbel noise of that variance
    the chance is the largest probability at the temperature sqrt(6 v) / pi (Luce and Suppes, 1965).
    A flat distribution changes its first place by differences that mean nothing; a decided one
    doesn't.
    """
    temperature = math.sqrt(12.0 * kl_bound) / math.pi
    if temperature == 0:
        return np.ones(log_p.shape[:-1])
    gaps = (log_p - log_p.max(axis=-1, keepdims=True)) / temperature
    chance: Floats = 1.0 / np.exp(gaps).sum(axis=-1)
    return chance


@dataclass
class Predictions:
    """Figures of all positions that were added."""

    vocab: int
    kl_bound: float
    """For `expected_top1`."""
    kl: list[Floats] = field(default_factory=list)
    positions: int = 0
    agreed: float = 0.0
    shared: float = 0.0
    expected: float = 0.0
    entropy: float = 0.0
    targets: int = 0
    loss: float = 0.0
    reference_loss: float = 0.0

    def add(self, ids: Ids, reference: Logits, variant: Logits) -> None:
        """A passage: ids (seq) and both logits (seq, vocab), finite. Every position counts, the
        last one too; the loss has no token after that."""
        for at in _parts(*reference.shape):
            r, v = reference[at], variant[at]
            log_p, log_q = log_softmax(r), log_softmax(v)
            self.kl.append(kl_divergence(log_p, log_q))
            self.positions += len(r)
            self.agreed += float(top1_agrees(r, v).sum())
            self.shared += float(top_shared(r, v).sum())
            self.expected += float(expected_top1(log_p, self.kl_bound).sum())
            self.entropy -= float((np.exp(log_p) * log_p).sum())
            targets = ids[at.start + 1 : at.stop + 1]
            rows = np.arange(len(targets))
            self.targets += len(targets)
            self.reference_loss -= float(log_p[rows, targets].sum())
            self.loss -= float(log_q[rows, targets].sum())

    @property
    def kl_mean(self) -> float:
        return min(float(np.concatenate(self.kl).mean()), LARGEST_KL)

    @property
    def kl_p99(self) -> float:
        """With linear interpolation between the two positions around it."""
        return min(float(np.percentile(np.concatenate(self.kl), 99)), LARGEST_KL)

    @property
    def top1(self) -> float:
        return self.agreed / self.positions

    @property
    def top5(self) -> float:
        return self.shared / self.positions

    @property
    def expected_top1(self) -> float:
        return self.expected / self.positions

    @property
    def undecided(self) -> bool:
        """Whether the reference hardly predicts anything: its mean entropy (Shannon, 1948) is more
        than half of what a uniform distribution has. Trained models stay well below, random weights
        come close to the whole."""
        return self.entropy / self.positions > 0.5 * math.log(self.vocab) > 0

    @property
    def perplexity(self) -> float:
        return perplexity(self.loss / self.targets)

    @property
    def reference_perplexity(self) -> float:
        return perplexity(self.reference_loss / self.targets)


def perplexity(loss: float) -> float:
    """exp of the mean loss in nats (Jelinek et al., 1977)."""
    return min(math.exp(min(max(loss, 0.0), 700.0)), LARGEST_PERPLEXITY)


def _parts(rows: int, width: int) -> Iterator[slice]:
    step = max(1, _NUMBERS_AT_ONCE // width)
    return (slice(start, min(start + step, rows)) for start in range(0, rows, step))
