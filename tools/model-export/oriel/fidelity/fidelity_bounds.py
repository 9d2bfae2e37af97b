"""Bounds of a variant's difference from float32, by precision, read from bounds.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from oriel.contract.documents import FidelityBoundsRecord
from oriel.errors import ContractError


@dataclass(frozen=True)
class FidelityBounds:
    """The largest mean KL, in nats, and the least top-1 agreement."""

    kl_mean: float
    top1: float

    def to_json(self) -> FidelityBoundsRecord:
        return {"kl_mean": self.kl_mean, "top1": self.top1}


@cache
def _table() -> dict[str, FidelityBoundsRecord]:
    text = Path(__file__).with_name("bounds.json").read_text(encoding="utf-8")
    table: dict[str, FidelityBoundsRecord] = json.loads(text)
    return table


def fidelity_bounds(precision: str) -> FidelityBounds:
    """Return a precision's bounds. Raises ContractError for one that has none."""
    found = _table().get(precision)
    if found is None:
        raise ContractError(
            f"no bounds are set for the precision {precision}",
            expected=f"one of {', '.join(_table())}",
            next_step="add it to fidelity/bounds.json.",
        )
    return FidelityBounds(found["kl_mean"], found["top1"])
