"""Changes to a forward pass, as data: for PyTorch and ONNX Runtime alike, so it needs neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from oriel.arrays import Array
from oriel.contract.activation_names import kinds


@dataclass(frozen=True)
class JointEdit:
    """One closing at the joint of a kind in a layer, with its tensors."""

    kind: str
    layer: int
    closing: str
    tensors: Mapping[str, Array]
    """{name of the closing's input: its value, which broadcasts to the joint}."""

    @property
    def joint(self) -> str:
        """The name of the joint's tensor."""
        return kinds()[self.kind].at(self.layer)


JointEdits = tuple[JointEdit, ...]
"""Those of one joint are applied in this order."""
