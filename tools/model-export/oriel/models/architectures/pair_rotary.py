"""Rotary positions on neighbouring pairs: dimensions 2i and 2i + 1 of a head turn together (Su et
al., 2021, eq. 15), where Llama turns i with the one half a head further."""

from __future__ import annotations

import torch
from torch import Tensor

_BASE = 10000.0


def pair_angles(position_ids: Tensor, dimensions: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, (batch, 1, seq, dimensions / 2), for position_ids (batch, seq)."""
    steps = torch.arange(0, dimensions, 2, dtype=torch.int64) / dimensions
    angles = position_ids.unsqueeze(-1).float() * (1.0 / _BASE**steps)
    return angles.cos().unsqueeze(1), angles.sin().unsqueeze(1)


def turn_pairs(states: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Turn the first dimensions of each head, as many as there are angles for, and leave the rest.

    states (batch, heads, seq, head_dim)
    """
    cosine, sine = angles
    turned = 2 * cosine.shape[-1]
    part = states[..., :turned]
    first, second = part.reshape(*part.shape[:-1], -1, 2).unbind(-1)
    pairs = torch.stack((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
    return torch.cat([pairs.flatten(-2), states[..., turned:]], dim=-1)
