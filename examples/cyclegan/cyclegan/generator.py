"""The generator: features of one domain to features of the other. It imports torch alone, so that
`oriel split` can copy it to where it is used."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Residual(nn.Module):
    """Two convolutions over time beside the identity; (batch, channels, time) both ways."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(channels, channels, 3, padding=1)
        self.first_norm = nn.BatchNorm1d(channels)
        self.second = nn.Conv1d(channels, channels, 3, padding=1)
        self.second_norm = nn.BatchNorm1d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, channels, time)."""
        h = torch.relu(self.first_norm(self.first(x)))
        out: Tensor = x + self.second_norm(self.second(h))
        return out


class Generator(nn.Module):
    """Normalised features (batch, time, input_dim) of one domain to those of the other, in the same
    shape. The norms' running statistics are buffers: without them it is another function."""

    def __init__(self, input_dim: int = 40, hidden_dim: int = 64, n_blocks: int = 4) -> None:
        super().__init__()
        self.enter = nn.Conv1d(input_dim, hidden_dim, 7, padding=3)
        self.enter_norm = nn.BatchNorm1d(hidden_dim)
        self.blocks = nn.ModuleList(Residual(hidden_dim) for _ in range(n_blocks))
        self.leave = nn.Conv1d(hidden_dim, input_dim, 7, padding=3)

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, time, input_dim)."""
        h = torch.relu(self.enter_norm(self.enter(x.transpose(1, 2))))
        for block in self.blocks:
            h = block(h)
        out: Tensor = self.leave(h).transpose(1, 2)
        return out
