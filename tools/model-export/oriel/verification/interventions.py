"""Changes to a forward pass, as data: for PyTorch and ONNX Runtime alike, so it needs neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from oriel.arrays import Array


@dataclass(frozen=True)
class Interventions:
    """Changes to one forward pass, as the contract defines them; none by default."""

    head_scales: Mapping[int, Array] = field(default_factory=dict)
    """{layer: (heads)}, multiplied into attn_z."""
    resid_deltas: Mapping[int, Array] = field(default_factory=dict)
    """{layer: (batch or 1, seq or 1, hidden)}, added to resid_post."""


NONE = Interventions()
