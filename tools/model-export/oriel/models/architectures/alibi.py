"""ALiBi: scores get a head's slope times the key's position (Press et al., 2022), which a softmax
can't tell from minus the slope times the distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def alibi_slopes(heads: int) -> Tensor:
    """Return each head's slope, (heads), float32. Of as many heads as a power of two, 2^(-8 i /
    heads) for i from 1; the heads beyond take every other slope of twice as many."""
    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * i / power) for i in range(1, power + 1)]
    slopes += [2 ** (-4 * i / power) for i in range(1, 2 * (heads - power), 2)]
    return torch.tensor(slopes, dtype=torch.float32)


def key_positions(mask: Tensor) -> Tensor:
    """Return the position of each key in its text, (batch or 1, 1, 1, total), int64, and 0 of
    padding, from the mask (batch or 1, 1, seq, total), bool: the last token sees all but that."""
    seen = mask[:, :, -1:, :].to(torch.int64)
    return (seen.cumsum(-1) - 1) * seen


def alibi(mask: Tensor, slopes: Tensor) -> Tensor:
    """Return what is added to scores, (batch or 1, heads, 1, total), float32."""
    return slopes[:, None, None] * key_positions(mask)
