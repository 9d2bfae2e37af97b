"""The state of one forward pass that is captured."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from oriel.contract.activation_names import kinds


@dataclass
class CaptureState:
    """The values that one forward pass has recorded so far."""

    values: dict[str, Tensor] = field(default_factory=dict)
    has_cache: bool = True
    output_names: list[str] = field(default_factory=list)
    """Names of the flat outputs of the last pass; kept here since tracing undoes changes to
    modules."""

    def record(self, kind: str, layer: int | None, value: Tensor) -> None:
        self.values[kinds()[kind].at(layer)] = value
