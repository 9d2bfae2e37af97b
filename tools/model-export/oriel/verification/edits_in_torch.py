"""Edits of activations in PyTorch, written from the contract's words: independent of the nodes that
closings append to a graph, and of the tensors that said edits are turned into."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.runtime.edits import Edit, Places, Positions
from oriel.runtime.joint_edit import JointEdit

AnyEdits = Sequence[JointEdit] | Sequence[Edit]
"""Closings with their tensors, or edits as they are said."""


def has_joint(edits: AnyEdits, kind: str, layer: int) -> bool:
    """Return whether an edit is made at the joint of this kind in this layer."""
    return any((edit.kind, edit.layer) == (kind, layer) for edit in edits)


def at_joint(edits: AnyEdits, kind: str, layer: int, value: Tensor) -> Tensor:
    """Return a joint's value after its edits, in their order."""
    for edit in edits:
        if (edit.kind, edit.layer) == (kind, layer):
            if isinstance(edit, Edit):
                value = _with_block_changed(edit, value)
            else:
                given = {name: torch.from_numpy(tensor) for name, tensor in edit.tensors.items()}
                value = _changed(edit.closing, given, value)
    return value


def _changed(closing: str, given: dict[str, Tensor], x: Tensor) -> Tensor:
    match closing:
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
        case "clamp":
            # A feature is a number of a token: at a joint with heads, of all of them together.
            summed = (1, -1) if x.ndim == 4 else (-1,)
            inner = (x * given["encoder"]).sum(summed, keepdim=True) + given["bias"]
            feature = inner * (inner > given["threshold"])
            return x + given["amount"] * (given["value"] - feature) * given["direction"]
    raise ValueError(f"no edit in PyTorch for the closing {closing}")


def _with_block_changed(edit: Edit, value: Tensor) -> Tensor:
    """Return the value with the edit made in the block of indices that it names; of texts without
    padding and without a cache."""
    axes = kinds()[edit.joint].shape
    indices = [_indices(edit, axes, at, size) for at, size in enumerate(value.shape)]
    block = np.ix_(*indices)
    numbers = {name: torch.from_numpy(np.array(n)) for name, n in edit.numbers().items()}
    changed = value.clone()
    part = value[block]

    def own(number: Tensor) -> Tensor:
        return number.expand(value.shape)[block]

    match edit.closing:
        case "clamp":
            changed[block] = _clamped(numbers, part)
        case "scale":
            changed[block] = part * numbers["factor"]
        case "add":
            changed[block] = part + own(numbers["vector"])
        case "replace":
            changed[block] = own(numbers["value"])
        case closing:
            changed[block] = _changed(closing, numbers, part)
    return changed


def _clamped(numbers: dict[str, Tensor], part: Tensor) -> Tensor:
    """Return (batch, tokens, width) or (batch, heads, tokens, width) with a feature set: the
    numbers of a token's heads stand one after another, as the edit has them."""
    by_head = part if part.ndim == 4 else part[:, None]
    rows = by_head.transpose(1, 2).flatten(2)
    rows = _changed("clamp", {**numbers, "amount": torch.ones(())}, rows)
    batch, heads, tokens, width = by_head.shape
    return rows.reshape(batch, tokens, heads, width).transpose(1, 2).reshape(part.shape)


def _indices(edit: Edit, axes: Sequence[int | str], axis: int, size: int) -> Array:
    named: dict[int | str, Places | Positions] = {
        "batch_size": edit.row,
        "heads": edit.head,
        "kv_heads": edit.head,
        "sequence_length": edit.position,
        "total_sequence_length": edit.key,
    }
    last = edit.neuron if axis == len(axes) - 1 else None
    given = named.get(axes[axis], last)
    every = np.arange(size)
    if given is None:
        return every
    found: Array = every[given] if isinstance(given, slice) else every[np.atleast_1d(given)]
    return found
