"""Errors of a file's outputs against the module's own, and the bounds that they must keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oriel.verification.compare import difference

_RELATIVE = {torch.float16: 5e-3, torch.bfloat16: 4e-2}
_RELATIVE_FLOAT32 = 1e-4
"""A rounding is 6e-8 of a value, and sums of a thousand terms in another order lose some tens of
them. Sound exports stay ten times below, and a wrong kernel goes a thousand times above."""
ABSOLUTE = 1e-7
"""An output as small as this everywhere is zero but for rounding, and has no digits to compare."""


@dataclass(frozen=True)
class OutputError:
    """How far one output is from the module's."""

    name: str
    absolute: float | None
    """max |a - b|; None where they can't be subtracted."""
    relative: float | None
    """max |a - b| over max |b|, of this output alone: an output near 0.01 beside others near 100
    is held to its own size. None where they can't be subtracted."""
    bound: float
    """The largest relative error allowed."""
    passed: bool
    problem: str | None = None


def compare_outputs(
    names: Sequence[str], got: Sequence[Tensor], want: Sequence[Tensor]
) -> list[OutputError]:
    """Compare output by output. Whole numbers and truth values must be equal; numbers that aren't
    finite must stand at the same places; floats must keep the relative bound of their dtype, or be
    zero but for rounding."""
    if len(got) != len(want):
        problem = f"{len(got)} outputs instead of {len(want)}"
        return [OutputError(name, None, None, 0.0, False, problem) for name in names]
    return [_compare(*row) for row in zip(names, got, want, strict=True)]


def _compare(name: str, got: Tensor, want: Tensor) -> OutputError:
    exact = not want.is_floating_point() and not want.is_complex()
    bound = 0.0 if exact else _RELATIVE.get(want.dtype, _RELATIVE_FLOAT32)
    problem = None
    if got.shape != want.shape:
        problem = f"the shape {list(got.shape)} instead of {list(want.shape)}"
    elif got.dtype != want.dtype:
        problem = f"{_dtype(got)} instead of {_dtype(want)}"
    if problem is not None:
        return OutputError(name, None, None, bound, False, problem)
    ours, theirs = _as_reals(got), _as_reals(want)
    finite = np.isfinite(theirs)
    same = np.array_equal(np.isfinite(ours), finite) and np.array_equal(
        ours[~finite], theirs[~finite], equal_nan=True
    )
    if not same:
        return OutputError(name, None, None, bound, False, "NaN or infinity at other places")
    found = difference(np.where(finite, ours, 0.0), np.where(finite, theirs, 0.0))
    passed = found.relative <= bound or (not exact and found.absolute <= ABSOLUTE)
    relative = found.relative if math.isfinite(found.relative) else None
    return OutputError(name, found.absolute, relative, bound, passed)


def _as_reals(tensor: Tensor) -> np.typing.NDArray[np.float64]:
    values = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return values.detach().to(torch.float64).numpy()


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
