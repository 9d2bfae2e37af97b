"""Computes every activation of a few tokens in PyTorch, including the logit lens, as a reference
pass stores them."""

from __future__ import annotations

from functools import partial

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, kinds
from oriel.verification.cases import inner_activations
from oriel.verification.run_reference import Arrays, Reference


def torch_activations(reference: Reference, ids: Array) -> Arrays:
    """Return every activation of ids (1, seq) by contract name. Scores are unmasked, and logits
    have all positions."""
    shape = reference.shape
    found = reference.run(ids, [spec.name for spec in inner_activations(shape)])
    ids_kind, probs_kind = (kinds()[kind] for kind in LENS_KINDS)
    # All layers at once, since what reads them is a model's largest matrix, and each time anew.
    streams = [found[kinds()["resid_post"].at(layer)] for layer in range(shape.layers)]
    reads = reference.lens(np.concatenate(streams, axis=1))
    # Not a loop, whose variable would keep a part's probabilities while the next ones are computed.
    parts = list(map(partial(_likeliest, shape.lens_k), reads))
    ids_of, probs_of = (np.concatenate(rows, axis=1) for rows in zip(*parts, strict=True))
    for layer in range(shape.layers):
        own = slice(layer * ids.shape[1], (layer + 1) * ids.shape[1])
        found[ids_kind.at(layer)], found[probs_kind.at(layer)] = ids_of[:, own], probs_of[:, own]
    return found


def _likeliest(count: int, read: tuple[slice, Array]) -> tuple[Array, Array]:
    """Return the likeliest tokens of a lens read, (1, positions, vocab), and their probabilities:
    (1, positions, count), int64 and float32."""
    _, full = read
    ids = np.argsort(-full, axis=-1, kind="stable")[..., :count]
    return ids.astype(np.int64), np.take_along_axis(full, ids, axis=-1)
