"""What a model computes with on real text: the ranges of what its matrices multiply, for static
quantization, and the second moments, for rounding that looks at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

RangeMethod = Literal["minmax", "entropy", "percentile"]


@dataclass(frozen=True)
class ActivationRanges:
    """The lowest and highest value that each tensor is taken to have."""

    method: RangeMethod
    ranges: Mapping[str, tuple[float, float]]
    """By the tensor's name in the interactive graph: what a MatMul multiplies a weight with."""


@dataclass(frozen=True)
class InputMoments:
    """Mean over positions of x xᵀ, for each x that a MatMul multiplies a weight with."""

    moments: Mapping[str, NDArray[np.float32]]
    """(summed, summed) by the name of the tensor."""


@dataclass(frozen=True)
class Calibration:
    """What was gathered, and the manifest's record of the text it was gathered on."""

    ranges: ActivationRanges | None
    moments: InputMoments | None
    record: Mapping[str, Any]
    """The manifest's `calibration`: {text: {name, digest, passages, tokens}, method}."""
