"""Comparison of tensors by name, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from oriel.errors import CheckpointError, first_few


def hold_to(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raise CheckpointError, naming tensors, where names, shapes, dtypes or any bit differ."""
    for what, names in (
        ("missing", wanted.keys() - found.keys()),
        ("unexpected", found.keys() - wanted.keys()),
    ):
        if names:
            raise CheckpointError(
                "the tensors are others", got=f"{what}: {first_few(sorted(names))}"
            )
    differing = [name for name, tensor in wanted.items() if not same_bits(found[name], tensor)]
    if differing:
        raise CheckpointError(
            "tensors differ",
            got=first_few(sorted(differing)),
            expected="the same shape, dtype and bits",
        )


def same_bits(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have one shape, one dtype and the same bits: a NaN is itself, and
    -0 isn't 0."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.numel() == 0:
        return True
    first, second = (
        tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other)
    )
    return torch.equal(first, second)
