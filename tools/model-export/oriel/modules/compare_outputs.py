"""Errors of a file's outputs against the module's own, and the bounds that they must keep."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from oriel.verification.compare import difference

Reals: TypeAlias = "np.typing.NDArray[np.float64]"
_RELATIVE = {torch.float16: 5e-3, torch.bfloat16: 4e-2}
_RELATIVE_FLOAT32 = 1e-4
"""A rounding is 6e-8 of a value, and sums of a thousand terms in another order lose some tens of
them. Sound exports stay ten times below, and a wrong kernel goes a thousand times above."""
ABSOLUTE = 1e-7
"""An output as small as this everywhere is zero but for rounding, and has no digits to compare."""


@dataclass(frozen=True)
class OutputError:
    """The distance of one output from the module's."""

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
    norm_ratio: float | None = None
    """‖a‖ over ‖b‖: 1 for the same output. It shows a wrong scale, which a cosine hides. None where
    they can't be compared, or b is zero everywhere."""


def compare_outputs(
    names: Sequence[str], got: Sequence[Tensor], want: Sequence[Tensor], bound: float | None = None
) -> list[OutputError]:
    """Compare output by output. Whole numbers and truth values must be equal; numbers that aren't
    finite must stand at the same places; floats must keep the relative bound of their dtype, or be
    zero but for rounding.

    bound: the relative bound of floats, in place of their dtype's.
    """
    if len(got) != len(want):
        problem = f"{len(got)} outputs instead of {len(want)}"
        return [OutputError(name, None, None, 0.0, False, problem) for name in names]
    return [_compare(*row, bound) for row in zip(names, got, want, strict=True)]


def default_bound(dtype: torch.dtype) -> float:
    """Return the largest relative error allowed where nothing else is said: 0 for whole numbers and
    truth values."""
    if not dtype.is_floating_point and not dtype.is_complex:
        return 0.0
    return _RELATIVE.get(dtype, _RELATIVE_FLOAT32)


def _compare(name: str, got: Tensor, want: Tensor, given: float | None) -> OutputError:
    exact = not want.is_floating_point() and not want.is_complex()
    bound = default_bound(want.dtype) if exact or given is None else given
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
    return OutputError(name, found.absolute, relative, bound, passed, None, found.norm_ratio)


def _as_reals(tensor: Tensor) -> Reals:
    values = torch.view_as_real(tensor) if tensor.is_complex() else tensor
    return values.detach().to(torch.float64).numpy()


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
