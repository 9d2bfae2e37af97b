"""The variants that a bundle may have: the encoding of their weights, and the kernels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

Kernels = Literal["fp32", "fp16", "int8", "int8_static", "int4"]
Encoding = Literal["f32", "f16", "q8", "q4"]
CalibrationMethod = Literal["minmax", "entropy", "percentile"]


@dataclass(frozen=True)
class Precision:
    """One variant. Those of one encoding share its weights file."""

    name: str
    kernels: Kernels
    encoding: Encoding

    @property
    def expanded(self) -> bool:
        """True where the fp32 graphs read its weights, after they are expanded."""
        return self.kernels == "fp32" and self.encoding != "f32"

    @property
    def calibrated(self) -> bool:
        """True where its kernels round activations by ranges found in advance."""
        return self.kernels == "int8_static"


_ALL = (
    Precision("fp32", "fp32", "f32"),
    Precision("f16", "fp32", "f16"),
    Precision("q8", "fp32", "q8"),
    Precision("q4", "fp32", "q4"),
    Precision("fp16", "fp16", "f16"),
    Precision("int8", "int8", "q8"),
    Precision("int8_static", "int8_static", "q8"),
    Precision("int4", "int4", "q4"),
)
PRECISIONS: dict[str, Precision] = {precision.name: precision for precision in _ALL}
FP32 = PRECISIONS["fp32"]
QUANTIZED_KERNELS: tuple[Kernels, ...] = ("int8", "int8_static", "int4")
"""Kernels that compute on encoded weights as stored in their file."""
CUSTOM_RECIPE_ENCODINGS: tuple[Encoding, ...] = ("q8", "q4")
"""Encodings whose recipe the user may replace."""
CALIBRATION_METHODS: tuple[CalibrationMethod, ...] = ("minmax", "entropy", "percentile")
"""Methods to choose static ranges from the activations observed."""


def in_order(names: Collection[str]) -> tuple[str, ...]:
    """Return these variants in the order of a manifest."""
    return tuple(name for name in PRECISIONS if name in names)
