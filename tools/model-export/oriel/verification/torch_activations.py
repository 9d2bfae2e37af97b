"""Computes every activation of a few tokens in PyTorch, including the logit lens, as a reference
pass stores them."""

from __future__ import annotations

from collections.abc import Sequence

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
    for layer in range(shape.layers):
        ids_name, probs_name, stream = (
            kinds()[kind].at(layer) for kind in (*LENS_KINDS, "resid_post")
        )
        parts = [probs for _, probs in reference.lens(found[stream])]
        found[ids_name], found[probs_name] = _likeliest(parts, shape.lens_k)
    return found


def _likeliest(distributions: Sequence[Array], count: int) -> tuple[Array, Array]:
    """Return the most likely tokens (1, seq, count), int64, and their probabilities, float32, from
    chunks of logits (1, positions, vocab)."""
    full = np.concatenate(distributions, axis=1)
    ids = np.argsort(-full, axis=-1, kind="stable")[..., :count]
    return ids.astype(np.int64), np.take_along_axis(full, ids, axis=-1)
