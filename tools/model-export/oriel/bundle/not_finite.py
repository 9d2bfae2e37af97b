"""Counts the values of a checkpoint's tensors that no computation can use, and says where they are
and what to do. write_weights.py looks for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.checkpoints.tensors import StoredTensor
from oriel.errors import CheckpointError, first_few
from oriel.models.model_names import shown_name

_MAX_NAMED = 2


@dataclass(frozen=True)
class NotFinite:
    """Numbers of unusable values in one tensor, by kind."""

    stored: StoredTensor
    nan: int
    positive: int
    """+Inf, as stored."""
    negative: int
    """-Inf, as stored."""
    too_large: int
    """Finite in the file's float64, infinite in float32."""
    size: int

    def __str__(self) -> str:
        counts = (
            (self.nan, "NaN"),
            (self.positive, "+Inf"),
            (self.negative, "-Inf"),
            (self.too_large, "beyond float32"),
        )
        found = " and ".join(f"{count:,} {kind}" for count, kind in counts if count)
        place = f"{self.stored.key} ({shown_name(self.stored.file)})"
        return f"{found} of {self.size:,} values in {place}"


def count_not_finite(tensor: Tensor, stored: StoredTensor) -> NotFinite | None:
    """Count the unusable values of the whole tensor, as it was read; None where there are none."""
    nan = int(torch.isnan(tensor).sum())
    positive = int(torch.isposinf(tensor).sum())
    negative = int(torch.isneginf(tensor).sum())
    usable = int(torch.isfinite(tensor.to(torch.float32)).sum())
    if usable == tensor.numel():
        return None
    too_large = tensor.numel() - usable - nan - positive - negative
    return NotFinite(stored, nan, positive, negative, too_large, tensor.numel())


def refusal(found: Sequence[NotFinite], weights: int) -> CheckpointError:
    """Return the error that names the tensors, the numbers of values, and the one next step."""
    named = "; ".join(str(each) for each in found[:_MAX_NAMED])
    rest = [each.stored.key for each in found[_MAX_NAMED:]]
    return CheckpointError(
        f"{len(found)} of the model's {weights} weights can't be computed with",
        got=named + (f"; and more in {first_few(rest, 1)}" if rest else ""),
        expected="finite values: what others touch becomes NaN",
        next_step=_next_step(found),
    )


def _next_step(found: Sequence[NotFinite]) -> str:
    if any(each.nan for each in found):
        return (
            "the training diverged, or the file is damaged: take an earlier checkpoint, or get "
            "the files anew."
        )
    if all(each.stored.dtype == "F16" for each in found):
        return (
            "float16 ends at 65,504, and larger values were lost as it was saved: save the model "
            "in bfloat16 or float32 where it was trained."
        )
    if any(each.too_large for each in found):
        return (
            "float32, in which the model computes, ends at 3.4e38: the training diverged. Take an "
            "earlier checkpoint."
        )
    return "the training diverged: take an earlier checkpoint."
