"""Generated signals with anomalies: what the detector is trained on and measured with."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

KINDS = ("spike", "noise", "shift", "stuck", "reversed")
"""Anomalies that may befall some features for some steps."""
TRAINED_ON = ("spike", "noise", "shift")
"""The kinds that training corrupts its windows with; the others are met only in the report."""


def normal_windows(count: int, L: int, D: int, seed: int) -> Tensor:
    """Return windows (count, L, D) of three slow sines seen through D sensors, each of deviation
    about 1. The sensors are the same for every seed."""
    sensors = torch.Generator().manual_seed(99)
    mix = torch.randn((3, D), generator=sensors)
    mix = mix / mix.norm(dim=0) * 2**0.5
    draw = torch.Generator().manual_seed(seed)
    speeds = torch.tensor([0.15, 0.3, 0.5])
    phases = torch.rand((count, 1, 3), generator=draw) * 6.2832
    steps = torch.arange(L).reshape(1, L, 1)
    noise = torch.randn((count, L, D), generator=draw) * 0.03
    out: Tensor = torch.sin(steps * speeds + phases) @ mix + noise
    return out


def with_anomaly(windows: Tensor, kind: str, seed: int) -> Tensor:
    """Return the windows (count, L, D) with one anomaly of a kind in each."""
    draw = torch.Generator().manual_seed(seed)
    out = windows.clone()
    for window in out:
        length, features = window.shape
        long = int(torch.randint(max(2, length // 4), max(3, length // 2), (), generator=draw))
        start = int(torch.randint(0, length - long + 1, (), generator=draw))
        hit = torch.randperm(features, generator=draw)[: max(1, features // 4)]
        part = window[start : start + long][:, hit]
        window[start : start + long, hit] = _CHANGES[kind](part, draw)
    return out


def _spike(part: Tensor, draw: torch.Generator) -> Tensor:
    out = part.clone()
    at = int(torch.randint(0, len(part), (), generator=draw))
    out[at] += 3 * torch.randn(part.shape[1:], generator=draw).sign()
    return out


def _noise(part: Tensor, draw: torch.Generator) -> Tensor:
    return part + torch.randn(part.shape, generator=draw)


def _shift(part: Tensor, draw: torch.Generator) -> Tensor:
    return part + 1.5 * torch.randn(part.shape[1:], generator=draw).sign()


def _stuck(part: Tensor, draw: torch.Generator) -> Tensor:
    return torch.zeros_like(part) + 1.5


def _reversed(part: Tensor, draw: torch.Generator) -> Tensor:
    return -part


_CHANGES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "spike": _spike,
    "noise": _noise,
    "shift": _shift,
    "stuck": _stuck,
    "reversed": _reversed,
}


def auroc(normal: Tensor, anomalous: Tensor) -> float:
    """Return the chance that an anomalous window scores above a normal one; ties count half."""
    above = (anomalous[:, None] > normal[None]).double().mean()
    ties = (anomalous[:, None] == normal[None]).double().mean()
    return float(above + ties / 2)
