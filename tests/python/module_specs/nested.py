"""Specs of small modules with nested inputs, as a user would write them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oriel.modules.spec import ModuleSpec


@dataclass
class Boxes:
    """What a detector returns: a class of the caller's."""

    corners: Tensor
    scores: Tensor
    label: str = "car"


class Detector(nn.Module):
    """Takes a dict of lists of tensors, None and a number; has a branch that only training uses."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(3, 5)
        self.head = nn.Linear(5, 4)
        self.score = nn.Linear(5, 1)
        self.training_only = nn.Linear(50, 60)

    def forward(
        self,
        inputs: Mapping[str, Sequence[Tensor]],
        scale: float = 1.0,
        mask: Tensor | None = None,
    ) -> dict[str, object]:
        if self.training:
            self.training_only(torch.zeros(1, 50))
        hidden = torch.relu(self.encode(inputs["voxels"][0] * scale))
        other = torch.relu(self.encode(inputs["voxels"][1])).mean(0)
        if mask is not None:
            hidden = hidden * mask
        boxes = Boxes(self.head(hidden) + inputs["shift"][0], self.score(hidden + other)[:, 0])
        return {"boxes": boxes, "counts": (inputs["counts"][0] + 1, None)}


def example() -> tuple[object, ...]:
    draw = torch.Generator().manual_seed(3)
    inputs = {
        "voxels": [torch.randn(6, 3, generator=draw), torch.randn(4, 3, generator=draw)],
        "counts": (torch.tensor([1, 2, 3, 4, 5, 6]),),
        "shift": [torch.randn(4, generator=draw)],
        "image": None,
    }
    return inputs, 0.5


DYNAMIC = {
    "inputs.voxels.0": {0: "voxels"},
    "inputs.counts.*": {0: "voxels"},
    "inputs.voxels.1": {0: "others"},
}

DETECTOR = ModuleSpec(build=Detector, inputs=example, dynamic=DYNAMIC, config={"classes": 1})
