"""Encoders: windows (batch, time, features) to as many values, each feature a token."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

WIDTH = 128


def encoder_layers(width: int, count: int, heads: int) -> nn.TransformerEncoder:
    """Return pre-norm GELU layers over (batch, tokens, width)."""
    layer = nn.TransformerEncoderLayer(
        width, heads, width * 2, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    return nn.TransformerEncoder(layer, count, enable_nested_tensor=False)


class ITr(nn.Module):
    """Norms around the layers, no positions: which feature is which is known by its course."""

    def __init__(self, time: int) -> None:
        super().__init__()
        self.norm_in = nn.LayerNorm(time)
        self.enter = nn.Linear(time, WIDTH)
        self.layers = encoder_layers(WIDTH, 2, 8)
        self.norm = nn.LayerNorm(WIDTH)
        self.leave = nn.Linear(WIDTH, time)
        self.norm_out = nn.LayerNorm(time)

    def forward(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Return (batch, time, features), and the tokens (batch, features, 128)."""
        tokens = self.layers(self.enter(self.norm_in(windows.transpose(1, 2))))
        out = self.norm_out(self.leave(self.norm(tokens)))
        return out.transpose(1, 2), tokens


class ITransformer(nn.Module):
    """Sinusoidal positions over the features."""

    def __init__(self, time: int) -> None:
        super().__init__()
        self.enter = nn.Linear(time, WIDTH)
        self.layers = encoder_layers(WIDTH, 2, 8)
        self.norm = nn.LayerNorm(WIDTH)
        self.leave = nn.Linear(WIDTH, time)

    def forward(self, windows: Tensor) -> Tensor:
        """Return (batch, time, features)."""
        tokens = self.enter(windows.transpose(1, 2))
        # By the place among the features, (features, 128): the same for each row of a batch.
        tokens = tokens + sinusoids(tokens.shape[1]).to(tokens)
        out: Tensor = self.leave(self.norm(self.layers(tokens))).transpose(1, 2)
        return out


def sinusoids(count: int) -> Tensor:
    """Return positions (count, 128), as in "Attention is all you need"."""
    places = torch.arange(count).unsqueeze(1)
    speeds = torch.exp(torch.arange(0, WIDTH, 2) * (-math.log(10000.0) / WIDTH))
    return torch.stack((torch.sin(places * speeds), torch.cos(places * speeds)), -1).flatten(1)


ENCODERS: dict[str, type[ITr] | type[ITransformer]] = {"itr": ITr, "itransformer": ITransformer}
