"""Compares activations with the reference's: relative error and cosine of each name, over all
positions. Predictions are in distributions.py."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, TensorSpec, kinds, parse_name
from oriel.contract.documents import ActivationFidelityRecord
from oriel.verification.compare import visible

MAX_ERROR = 1e12
"""Largest error that is recorded, as in manifest.schema.json."""
LEFT_OUT = ("logits", "lens_ids", "expert_ids")
"""Kinds without an error: logits are compared as distributions, ids are not amounts."""


@dataclass(frozen=True)
class ActivationFidelity:
    """One kind in one layer; activations.items of the manifest's fidelity."""

    kind: str
    layer: int | None
    relative_error: float
    cosine: float

    def to_json(self) -> ActivationFidelityRecord:
        return {
            "kind": self.kind,
            "layer": self.layer,
            "relative_error": self.relative_error,
            "cosine": self.cosine,
        }

    @staticmethod
    def from_json(data: ActivationFidelityRecord) -> ActivationFidelity:
        return ActivationFidelity(
            data["kind"], data["layer"], data["relative_error"], data["cosine"]
        )


@dataclass
class Sums:
    """Sums of squares and products over all tensors that were added."""

    gap: float = 0.0
    reference: float = 0.0
    variant: float = 0.0
    product: float = 0.0

    def add(self, reference: Array, variant: Array) -> None:
        """Add two tensors of one shape."""
        want, got = reference.astype(np.float64).ravel(), variant.astype(np.float64).ravel()
        gap = got - want
        self.gap += _dot(gap, gap)
        self.reference += _dot(want, want)
        self.variant += _dot(got, got)
        self.product += _dot(want, got)

    @property
    def relative_error(self) -> float:
        """Norm of the difference over the norm of the reference."""
        if self.gap == 0:
            return 0.0
        if self.reference == 0:
            return MAX_ERROR
        return min(math.sqrt(self.gap / self.reference), MAX_ERROR)

    @property
    def cosine(self) -> float:
        """Cosine of the two tensors; 1 if both are zero, 0 if one is."""
        if self.gap == 0:
            return 1.0
        size = math.sqrt(self.reference) * math.sqrt(self.variant)
        return min(1.0, max(-1.0, self.product / size)) if size else 0.0


def _dot(a: Array, b: Array) -> float:
    # BLAS would spread short vectors over threads, which takes longer than the product.
    return float(np.einsum("i,i->", a, b))


@dataclass
class ActivationSums:
    """The sums of every activation name."""

    specs: dict[str, TensorSpec]
    shape: ModelShape
    sums: dict[str, Sums] = field(default_factory=dict)

    def add(self, name: str, reference: Array, variant: Array) -> None:
        """Add one passage of an activation, of the contract's shape.

        The first position is left out where there are others: trained models have values there
        that are hundreds of times larger than all others (attention sinks: Xiao et al., 2023; Sun
        et al., 2024) and would dominate a norm. Masked attention scores are left out as well.
        """
        if "sequence_length" not in self.specs[name].shape:
            self.sums.setdefault(name, Sums()).add(reference, variant)
            return
        axis = self.specs[name].shape.index("sequence_length")
        length = reference.shape[axis]
        after = (slice(None),) * axis + (slice(1 if length > 1 else 0, None),)
        want, got = reference[after], variant[after]
        if is_scores(name):
            sizes = self.shape.at(_layer(name))
            seen = visible(length, reference.shape[-1], sizes)[after[axis]]
            want, got = want[..., seen], got[..., seen]
        self.sums.setdefault(name, Sums()).add(want, got)

    def results(self) -> tuple[ActivationFidelity, ...]:
        """Return the results in the contract's order."""
        found: list[ActivationFidelity] = []
        for name in self.specs:
            parsed = parse_name(name)
            if parsed is None or name not in self.sums:
                continue
            kind, layer = parsed
            sums = self.sums[name]
            found.append(ActivationFidelity(kind.kind, layer, sums.relative_error, sums.cosine))
        return tuple(found)


def _layer(name: str) -> int | None:
    found = parse_name(name)
    return None if found is None else found[1]


def is_scores(name: str) -> bool:
    """Return whether these are attention scores. Masked ones hold the lowest float32; those of
    PyTorch have no mask."""
    parsed = parse_name(name)
    return parsed is not None and parsed[0] == kinds()["attn_scores"]
