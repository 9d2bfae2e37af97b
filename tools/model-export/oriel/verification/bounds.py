"""What verification allows, by precision, read from bounds.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from oriel.verification.compare import Difference


@dataclass(frozen=True)
class Bounds:
    """The bounds of one precision.

    float32: one rounding is 6e-8 of a value, and a value passes through sums of a thousand terms
    that PyTorch and ONNX Runtime order differently, layer after layer. Sound exports stay some five
    times below the bounds; a wrong mask, epsilon or head goes a hundred times above them.
    `logits_absolute` is for logits of ordinary size. Where they are so large that it would be fewer
    than some twenty roundings, `logits_absolute_per_unit` times the largest of them counts instead.
    float16: one rounding is 5e-4 of a value. Weights are exact in either: rounded once, to nearest.
    """

    precision: str
    data: dict[str, Any]

    def activation(self, kind: str, found: Difference) -> tuple[float, float]:
        """(error, bound) of an activation: absolute for logits, relative for any other kind."""
        if kind == "logits":
            per_unit = self.of("logits_absolute_per_unit")
            return found.absolute, max(self.of("logits_absolute"), per_unit * found.scale)
        return found.relative, self.relative(kind)

    def relative(self, kind: str) -> float:
        by_kind = self.data["relative_by_kind"]
        return float(by_kind.get(kind, self.data["relative"]))

    def of(self, check: str) -> float:
        """The bound of a named check."""
        return float(self.data[check])


@cache
def _table() -> dict[str, Any]:
    text = Path(__file__).with_name("bounds.json").read_text(encoding="utf-8")
    table: dict[str, Any] = json.loads(text)
    return table


def bounds_for(precision: str) -> Bounds | None:
    """None for a precision that nobody has set bounds for: such a variant can't be verified."""
    data = _table().get(precision)
    return None if data is None else Bounds(precision, data)
