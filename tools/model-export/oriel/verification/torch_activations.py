"""Every activation of a few tokens in PyTorch, the logit lens among them, as a reference pass has
them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, kinds
from oriel.verification.cases import inner_activations
from oriel.verification.run_reference import Arrays, Reference


def torch_activations(reference: Reference, ids: Array) -> Arrays:
    """Return every activation of ids (1, seq) by contract name; scores are unmasked, and logits of
    all positions."""
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
    """Return the likeliest tokens (1, seq, count), int64, and their probabilities, from parts of
    (1, some positions, vocab)."""
    full = np.concatenate(distributions, axis=1)
    ids = np.argsort(-full, axis=-1, kind="stable")[..., :count]
    return ids.astype(np.int64), np.take_along_axis(full, ids, axis=-1)
