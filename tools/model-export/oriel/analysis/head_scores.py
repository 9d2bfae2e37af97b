"""Scores that say where the heads of a layer look, from 0 to 1 (entropy: in nats)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oriel.arrays import Array
from oriel.errors import OptionError
from oriel.runtime.bundle import Bundle

Scores = NDArray[np.float64]


def entropy(probs: Array) -> Scores:
    """Return the mean entropy of each head's rows, in nats. probs: (batch, heads, seq, seq)."""
    safe = np.where(probs > 0, probs, 1).astype(np.float64)
    return np.asarray(-(probs * np.log(safe)).sum(axis=-1).mean(axis=(0, 2)))


def previous_token(probs: Array) -> Scores:
    """Return each head's mean attention to the token before, from the second token on."""
    _check_square(probs, 2)
    return _mean(np.diagonal(probs, offset=-1, axis1=2, axis2=3))


def first_token(probs: Array) -> Scores:
    """Return each head's mean attention to the first token, from the second token on."""
    _check_square(probs, 2)
    return _mean(probs[:, :, 1:, 0])


def duplicate_token(probs: Array, ids: ArrayLike) -> Scores:
    """Return each head's mean attention to earlier places of the same token, over the tokens that
    have one; NaN where no token comes twice. ids: (batch, seq)."""
    same, _ = _earlier(ids)
    return _mean_where(probs, same)


def induction(probs: Array, ids: ArrayLike) -> Scores:
    """Return each head's mean attention to the tokens that stood behind earlier places of the same
    token, over the tokens that have one (Olsson et al., 2022, "In-context Learning and Induction
    Heads"); NaN where there is none. ids: (batch, seq)."""
    _, behind = _earlier(ids)
    return _mean_where(probs, behind)


def scores_on_repeats(
    bundle: Bundle, *, length: int = 0, texts: int = 4, seed: int = 0
) -> dict[str, Scores]:
    """Return {score: (layers, heads)} on random tokens that come twice in a row, where induction
    can't be told by what the model knows of language.

    length: tokens before they repeat; 0 for half of what the model reads, at most 32.
    Raises OptionError for a length that the model can't read twice.
    """
    most = bundle.shape.context_length // 2
    length = length or min(32, most)
    if not 1 < length <= most:
        raise OptionError(
            "the model can't read so many tokens twice",
            got=f"length {length}",
            expected=f"2 to {most}",
        )
    once = np.random.default_rng(seed).integers(0, bundle.shape.vocab, (texts, length))
    ids = np.concatenate([once, once], axis=1)
    run = bundle.run(ids, activations=["attn_probs"], logits=0)
    layers = [run.of("attn_probs", layer) for layer in range(bundle.shape.layers)]
    return scores_of(layers, ids)


def scores_of(layers: Sequence[Array], ids: ArrayLike) -> dict[str, Scores]:
    """Return {score: (layers, heads)} for probabilities of each layer on one batch of texts."""
    found: dict[str, list[Scores]] = {}
    for probs in layers:
        of_layer = {
            "entropy": entropy(probs),
            "previous_token": previous_token(probs),
            "first_token": first_token(probs),
            "duplicate_token": duplicate_token(probs, ids),
            "induction": induction(probs, ids),
        }
        for name, scores in of_layer.items():
            found.setdefault(name, []).append(scores)
    return {name: np.stack(rows) for name, rows in found.items()}


def value_weighted(probs: Array, values: Array) -> Array:
    """Return attention times the length of what it fetches: probs (batch, heads, seq, total) by the
    norms of values (batch, kv_heads, total, width), scaled so that each row sums to 1 (Kobayashi et
    al., 2020, "Attention is Not Only a Weight", without the output matrix)."""
    groups = probs.shape[1] // values.shape[1]
    norms = np.linalg.norm(values, axis=-1).repeat(groups, axis=1)
    weighted = probs * norms[:, :, None, :]
    total = weighted.sum(axis=-1, keepdims=True)
    found: Array = np.divide(weighted, total, out=np.zeros_like(weighted), where=total > 0)
    return found


def _check_square(probs: Array, least: int) -> None:
    if probs.ndim != 4 or probs.shape[2] != probs.shape[3] or probs.shape[2] < least:
        raise OptionError(
            "these are no probabilities of whole texts",
            got=" × ".join(map(str, probs.shape)),
            expected=f"batch × heads × seq × seq, of {least} tokens at least",
        )


def _earlier(ids: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, (batch, seq, seq), which keys are the query's token at an earlier place, and which
    stand right behind one."""
    listed = np.atleast_2d(np.asarray(ids))
    before = np.tri(listed.shape[1], k=-1, dtype=bool)
    same = (listed[:, :, None] == listed[:, None, :]) & before
    behind = np.zeros_like(same)
    behind[:, :, 1:] = same[:, :, :-1]
    return same, behind


def _mean_where(probs: Array, chosen: NDArray[np.bool_]) -> Scores:
    _check_square(probs, 1)
    if chosen.shape != (len(probs), *probs.shape[2:]):
        raise OptionError(
            "the ids are of other texts",
            got=" × ".join(map(str, chosen.shape[:2])),
            expected=f"{len(probs)} × {probs.shape[2]}",
        )
    queries = chosen.any(axis=-1)
    total = np.where(chosen[:, None], probs, 0).sum(axis=(0, 2, 3), dtype=np.float64)
    count = int(queries.sum())
    return total / count if count else np.full(probs.shape[1], np.nan)


def _mean(per_query: Array) -> Scores:
    return np.asarray(per_query.mean(axis=(0, 2), dtype=np.float64))
