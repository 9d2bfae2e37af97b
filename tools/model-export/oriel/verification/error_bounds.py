"""Largest errors that verification allows, by precision, read from bounds.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from oriel.contract.activation_names import ModelShape
from oriel.verification.compare import Difference

Measure = Literal["absolute", "relative", "norm"]
_ROUNDING = 1e-3
"""Relative bounds below this value cover only float32 rounding."""
_EDITS_WITH_ROUTERS = 0.1
_OTHER_EXPERTS, _OF_WHOLE_RUNS = 0.7, 0.05


_SMALLEST_LOGIT = 1e-3
"""Logits of labels below this are held as loosely as this one."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of one precision.

    float32: one rounding is 6e-8 of a value, and a value passes through sums of a thousand terms
    that PyTorch and ONNX Runtime order differently, layer after layer. Sound exports stay some five
    times below the bounds; a wrong mask, epsilon or head goes a hundred times above them.
    `logits_absolute` is for logits of ordinary size. Where they are so large that it would be fewer
    than some twenty roundings, `logits_absolute_per_unit` times the largest of them counts instead.
    float16: one rounding is 5e-4 of a value. Weights are exact in either: rounded once, to nearest.
    On a processor without float16, ONNX Runtime computes in float32 and rounds between operators:
    an open joint changes where, and with it the last bit.
    q8, q4: the fp32 graphs over other weights; PyTorch holds these too, so the bounds are fp32's.
    int8, int8_static, int4: kernels that round what they multiply to 8 bits make every value a
    little wrong, some more than others: norms are compared, not largest differences. That each
    product is right to the rounding is a check of its own, `products`. int8's range is that of the
    whole tensor in each run: with a cache, or beside other sequences, it is another one, so cached
    and uncached differ by as much as either does from PyTorch. int8_static cuts off what an
    intervention pushes beyond its calibrated ranges.
    """

    precision: str
    of_checks: Mapping[str, float]
    """{check: bound}."""
    by_kind: Mapping[str, float]
    """Relative bounds of kinds of activation that have one of their own."""
    by_norm: bool

    def activation(self, kind: str, found: Difference) -> tuple[float, float]:
        """Return (error, bound) of an activation: absolute for logits, relative for any other kind;
        norms throughout where the precision is measured by norm."""
        if kind == "logits" and not self.by_norm:
            per_unit = self.of("logits_absolute_per_unit")
            return found.absolute, max(self.of("logits_absolute"), per_unit * found.scale)
        return self.error(found), self.relative(kind)

    def measure(self, kind: str) -> Measure:
        """Return which error of a kind of activation `activation` gives."""
        if self.by_norm:
            return "norm"
        return "absolute" if kind == "logits" else "relative"

    def error(self, found: Difference) -> float:
        """Return the number that is compared with a bound."""
        return found.norm if self.by_norm else found.relative

    def relative(self, kind: str) -> float:
        return self.by_kind.get(kind, self.of("relative"))

    def on_any_device(self, kind: str) -> float:
        """Return the bound of a kind of activation on a device other than the exporter's. A bound
        that covers only float32 rounding is widened tenfold, since other processors add in another
        order and have their own exp and tanh. A wrong mask, weight or kernel still exceeds it at
        least tenfold."""
        bound = self.relative(kind)
        return bound if self.by_norm or bound >= _ROUNDING else float(f"{10 * bound:.6g}")

    def of(self, check: str) -> float:
        """Return the bound of a named check."""
        return self.of_checks[check]

    def with_routers(self) -> Bounds:
        """Return the bounds for a model with experts. Where more than float32 rounds, a router may
        choose another expert that is nearly as likely, and all that follows at that position then
        differs by more than the rounding: norms are compared, those of edits more widely, and all
        of them where kernels round to 8 bits. Weights and products are held as tightly as ever."""
        if self.of("relative") < _ROUNDING:
            return self
        if not self.by_norm:
            edits = max(self.of("edits"), _EDITS_WITH_ROUTERS)
            return replace(self, by_norm=True, of_checks={**self.of_checks, "edits": edits})
        return replace(
            self,
            of_checks=_for_other_experts(self.of_checks),
            by_kind=_for_other_experts(self.by_kind),
        )


def of_labels(bound: float, scale: float) -> float:
    """Return the relative bound of logits over labels, the largest of which is `scale`: few logits
    may all be near 0 by chance, and probabilities depend on their errors as these are, so an error
    is held to logits of size 1 at least."""
    return bound * max(1.0, 1.0 / max(scale, _SMALLEST_LOGIT))


def _for_other_experts(bounds: Mapping[str, float]) -> dict[str, float]:
    """Widen the bounds of whole runs, which are the large ones of kernels that round to 8 bits."""
    return {
        name: max(bound, _OTHER_EXPERTS) if bound >= _OF_WHOLE_RUNS else bound
        for name, bound in bounds.items()
    }


@cache
def _table() -> dict[str, dict[str, float | bool | dict[str, float]]]:
    text = Path(__file__).with_name("bounds.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, float | bool | dict[str, float]]] = json.loads(text)
    return table


def weight_bounds(bits: int) -> dict[str, float]:
    """Return the largest errors of encoded weights, by the bits of a value: norm of the difference
    from the checkpoint's over that of its weights, for a matrix and for values that share a scale.

    Rounding to nearest stays below half of these; GPTQ moves values farther, where others make up
    for it. A scale that is twice as large as it should be is wrong by 1.
    """
    found = _table()["weights"][str(bits)]
    assert isinstance(found, dict)
    return found


def device_bounds(precision: str, kernels: str | None, shape: ModelShape) -> Bounds | None:
    """Return the bounds of a variant relative to a reference that uses the variant's own weights.
    fp32 graphs over rounded weights are as exact as over any others."""
    return model_bounds("fp32" if kernels == "fp32" else precision, shape)


def model_bounds(precision: str, shape: ModelShape) -> Bounds | None:
    """Return a precision's bounds for a model of these sizes; None where there are none."""
    found = bounds_for(precision)
    routed = any(shape.at(layer).experts for layer in range(shape.layers))
    return found.with_routers() if found is not None and routed else found


def bounds_for(precision: str) -> Bounds | None:
    """Return a precision's bounds; None where there are none: it can't be verified then."""
    data = None if precision == "weights" else _table().get(precision)
    if data is None:
        return None
    by_kind = data["relative_by_kind"]
    assert isinstance(by_kind, dict)
    of_checks = {name: bound for name, bound in data.items() if not isinstance(bound, bool | dict)}
    return Bounds(precision, of_checks, by_kind, bool(data.get("by_norm")))
