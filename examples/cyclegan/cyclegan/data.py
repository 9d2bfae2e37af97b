"""Generated features of two domains: the same slow movements, seen through two different sets of
sensors. Which movement of A belongs to which of B isn't told to the training."""

from __future__ import annotations

import torch
from torch import Tensor

from cyclegan.networks import Statistics

FEATURES = 40
_MOVEMENTS = 6


def movements(count: int, time: int, seed: int) -> Tensor:
    """Return (count, time, 6): sums of two sines each, of random speeds and phases."""
    draw = torch.Generator().manual_seed(seed)
    speed = torch.rand((count, 1, _MOVEMENTS, 2), generator=draw) * 0.3 + 0.05
    phase = torch.rand((count, 1, _MOVEMENTS, 2), generator=draw) * 6.28
    size = torch.rand((count, 1, _MOVEMENTS, 2), generator=draw) + 0.2
    steps = torch.arange(time).reshape(1, time, 1, 1)
    return (size * torch.sin(speed * steps + phase)).sum(-1)


def domain(name: str, count: int, time: int, seed: int) -> Tensor:
    """Return raw features (count, time, 40) of domain A or B. The sensors are the same for every
    seed; scales and offsets differ between features by an order of magnitude."""
    sensors = torch.Generator().manual_seed(100 if name == "A" else 200)
    mix = torch.randn((_MOVEMENTS, FEATURES), generator=sensors) / _MOVEMENTS**0.5
    scale = torch.rand((FEATURES,), generator=sensors) * 9 + 1
    offset = torch.randn((FEATURES,), generator=sensors) * 5
    noise = torch.randn((count, time, FEATURES), generator=torch.Generator().manual_seed(seed + 1))
    return (torch.tanh(movements(count, time, seed) @ mix) + 0.02 * noise) * scale + offset


def statistics_of(features: dict[str, Tensor]) -> Statistics:
    """Return each domain's mean and deviation of every feature."""
    return {
        name: {
            "mean": values.mean((0, 1)).tolist(),
            "std": values.std((0, 1)).tolist(),
        }
        for name, values in features.items()
    }
