"""Metrics of a run, for sweeps: one number for each text, from logits at one position."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from oriel.arrays import Array
from oriel.errors import OptionError
from oriel.runtime.fed_text import check_tokens


class Metric(Protocol):
    """A number for each text of a batch."""

    @property
    def position(self) -> int:
        """The token whose logits are read, from the end: -1 for the last."""
        ...

    def __call__(self, logits: Array) -> Array:
        """Return (batch) for logits (batch, vocab)."""
        ...


@dataclass(frozen=True)
class LogitDifference:
    """The logit of one token less that of another."""

    answer: int
    other: int
    position: int = -1

    def __post_init__(self) -> None:
        _check_position(self.position)

    def __call__(self, logits: Array) -> Array:
        check_tokens((self.answer, self.other), logits.shape[-1])
        found: Array = logits[:, self.answer] - logits[:, self.other]
        return found


@dataclass(frozen=True, eq=False)
class Divergence:
    """The Kullback-Leibler divergence of a text's next token from a reference's, in nats."""

    reference: Array
    """(vocab): logits that the others are compared with."""
    position: int = -1

    def __post_init__(self) -> None:
        _check_position(self.position)

    def __call__(self, logits: Array) -> Array:
        return divergence(self.reference, logits)


def _check_position(position: int) -> None:
    if position >= 0:
        raise OptionError(
            "a metric's position counts from the text's end",
            got=str(position),
            expected="-1 for the last token, -2 for the one before",
        )


def divergence(reference: Array, logits: Array) -> Array:
    """Return (…): the Kullback-Leibler divergence of logits (…, vocab) from a reference's, in nats:
    Σ p (log p - log q) with p the reference's probabilities."""
    logs = log_softmax(reference)
    found: Array = (np.exp(logs) * (logs - log_softmax(logits))).sum(axis=-1)
    return found


def log_softmax(logits: Array) -> Array:
    """Return the logarithm of the softmax along the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    found: Array = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return found
