"""Edits of activations in PyTorch, written from the contract's words: independent of the nodes that
closings append to a graph."""

from __future__ import annotations

import torch
from torch import Tensor

from oriel.runtime.joint_edit import JointEdit, JointEdits


def has_joint(edits: JointEdits, kind: str, layer: int) -> bool:
    """Return whether an edit is made at the joint of this kind in this layer."""
    return any((edit.kind, edit.layer) == (kind, layer) for edit in edits)


def at_joint(edits: JointEdits, kind: str, layer: int, value: Tensor) -> Tensor:
    """Return a joint's value after its edits, in their order."""
    for edit in edits:
        if (edit.kind, edit.layer) == (kind, layer):
            value = _edited(edit, value)
    return value


def _edited(edit: JointEdit, x: Tensor) -> Tensor:
    given = {name: torch.from_numpy(value) for name, value in edit.tensors.items()}
    match edit.closing:
        case "add":
            return x + given["add"]
        case "scale":
            return x * given["scale"]
        case "replace":
            return torch.where(given["mask"], given["value"], x)
        case "project-out":
            component = (x * given["direction"]).sum(-1, keepdim=True)
            return x - given["amount"] * component * given["direction"]
        case "cap":
            component = (x * given["direction"]).sum(-1, keepdim=True)
            lowered = torch.minimum(component, given["limit"])
            return x + (lowered - component) * given["direction"]
        case "swap":
            # The mirror whose normal is the difference takes either vector to the other.
            between = given["first"] - given["second"]
            normal: Tensor = between / between.norm(dim=-1, keepdim=True)
            component = (x * normal).sum(-1, keepdim=True)
            return x - 2 * given["amount"] * component * normal
    raise ValueError(f"no edit in PyTorch for the closing {edit.closing}")
