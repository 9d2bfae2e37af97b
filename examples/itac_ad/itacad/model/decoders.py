"""Decoders: encoded windows (batch, time, features) to what is added to the window."""

from __future__ import annotations

from torch import Tensor, nn

from itacad.model.encoders import encoder_layers


class Mlp(nn.Module):
    """Each step of time by itself."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(features, 128), nn.GELU(), nn.Linear(128, 128), nn.GELU()
        )
        self.leave = nn.Linear(128, features)

    def forward(self, encoded: Tensor) -> Tensor:
        """Return (batch, time, features)."""
        out: Tensor = self.leave(self.layers(encoded))
        return out


class Block(nn.Module):
    """One encoder layer over time, a norm, and a feed-forward beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = encoder_layers(width, 1, 8)
        self.norm = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, width * 2), nn.GELU(), nn.Linear(width * 2, width)
        )

    def forward(self, steps: Tensor) -> Tensor:
        """Return (batch, time, width)."""
        steps = self.norm(self.layer(steps))
        out: Tensor = steps + self.feed_forward(steps)
        return out


class TranAd(nn.Module):
    """Attention over time, as TranAD's decoder has it."""

    def __init__(self, features: int) -> None:
        super().__init__()
        # Whole eights, for eight heads.
        width = max(64, (features + 7) // 8 * 8)
        self.enter = nn.Linear(features, width)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.leave = nn.Linear(width, features)

    def forward(self, encoded: Tensor) -> Tensor:
        """Return (batch, time, features)."""
        out: Tensor = self.leave(self.blocks(self.enter(encoded)))
        return out


DECODERS: dict[str, type[Mlp] | type[TranAd]] = {"mlp": Mlp, "tranad": TranAd}
