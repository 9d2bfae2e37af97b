"""Lengths and directions of the residual stream from layer to layer."""

from __future__ import annotations

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.runtime.run import Run


def streams(run: Run, layers: int) -> Array:
    """Return (layers + 1, batch, seq, hidden): what enters each layer, and what the last gives.
    The run gives layer_0_resid_pre and every resid_post."""
    first = run[kinds()["resid_pre"].at(0)]
    return np.stack([first, *(run.of("resid_post", layer) for layer in range(layers))])


def norms(stream: Array) -> Array:
    """Return the Euclidean length of each position's vector."""
    found: Array = np.linalg.norm(stream, axis=-1)
    return found


def cosines(stream: Array, other: Array) -> Array:
    """Return the cosine between two streams, position by position; 0 where one has no length."""
    product = (stream * other).sum(axis=-1)
    lengths = norms(stream) * norms(other)
    found: Array = np.divide(product, lengths, out=np.zeros_like(product), where=lengths > 0)
    return found
