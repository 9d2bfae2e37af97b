"""GPTQ (Frantar et al. 2022): the values that a sum runs over are rounded one after another, and
each makes up for the errors of those before it, as far as the inputs are correlated.

Done as linear feedback (LDLQ, Chee et al. 2023, who show that it is the same): with second moments
H = (I + U) D (I + U)ᵀ, U strictly upper, value j is rounded at w_j + Σ_{i<j} (w_i - ŵ_i) U_ij. It
needs a Cholesky factor and no inverse.

It is our own code because the libraries that offer GPTQ need torch, mostly a GPU, and a model's own
modules; `oriel quantize` has an ONNX bundle and NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oriel.precision.rounding.grid import Floats
from oriel.precision.rounding.small_products import TILE

Doubles = NDArray[np.float64]

_BLOCK_INPUTS = 768
"""Largest number of inputs whose moments are kept together; those of two parts are taken to be
independent. All together would cost the cube of the inputs."""
_WHOLE = 256
"""Parts begin at multiples of this, where blocks of any size begin too."""
_DAMPING = 0.05
"""Share of the diagonal's mean that is added to the diagonal: the text at hand is not all text."""


@dataclass(frozen=True)
class Moment:
    """Mean over positions of x xᵀ, for a part of x."""

    start: int
    matrix: Floats
    """(inputs, inputs)."""


@dataclass(frozen=True)
class Feedback:
    """The factors by which a value makes up for the errors before it, for a part of the inputs."""

    start: int
    matrix: Floats
    """U, (inputs, inputs), strictly upper."""

    @property
    def stop(self) -> int:
        return self.start + len(self.matrix)


def part_bounds(inputs: int) -> list[tuple[int, int]]:
    """Return the (start, stop) of parts of about one size."""
    count = -(-inputs // _BLOCK_INPUTS)
    size = -(-inputs // (count * _WHOLE)) * _WHOLE
    return [(start, min(start + size, inputs)) for start in range(0, inputs, size)]


def feedback(moment: Moment) -> Feedback:
    """Return the feedback that the moments' Cholesky factor gives."""
    matrix = moment.matrix.astype(np.float64)
    diagonal = np.diag_indices(len(matrix))
    matrix[diagonal] += _DAMPING * matrix[diagonal].mean() + np.finfo(np.float32).tiny
    # Reversed, so that Cholesky's lower factor becomes the upper one that is wanted.
    upper = cholesky(matrix[::-1, ::-1])[::-1, ::-1]
    unit = upper / upper[diagonal]
    unit[diagonal] = 0
    return Feedback(moment.start, np.ascontiguousarray(unit, dtype=np.float32))


def cholesky(matrix: Doubles) -> Doubles:
    """Return the lower factor of a symmetric positive matrix, computed in tiles: see
    small_products.py for why."""
    size = len(matrix)
    count = -(-size // TILE)
    padded = np.eye(count * TILE)
    padded[:size, :size] = matrix
    tiles = np.ascontiguousarray(padded.reshape(count, TILE, count, TILE).transpose(0, 2, 1, 3))
    for k in range(count):
        tiles[k, k] = np.linalg.cholesky(tiles[k, k])
        tiles[k + 1 :, k] = tiles[k + 1 :, k] @ np.linalg.inv(tiles[k, k]).T
        below = tiles[k + 1 :, k]
        tiles[k + 1 :, k + 1 :] -= below[:, None] @ below[None].transpose(0, 1, 3, 2)
        tiles[k, k + 1 :] = 0
    whole = tiles.transpose(0, 2, 1, 3).reshape(padded.shape)
    return whole[:size, :size]
