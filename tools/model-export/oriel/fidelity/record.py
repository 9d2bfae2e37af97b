"""A variant's fidelity, as the manifest holds it."""

from __future__ import annotations

from dataclasses import dataclass

from oriel.contract.documents import (
    FidelityRecord,
    MeasuredText,
    Variant,
)
from oriel.fidelity.activations import ActivationFidelity
from oriel.fidelity.fidelity_bounds import FidelityBounds
from oriel.fidelity.reference_values import ReferenceKind


@dataclass(frozen=True)
class Fidelity:
    """The manifest's `fidelity`, with its names."""

    reference: ReferenceKind
    text: MeasuredText
    kl_mean: float
    kl_p99: float
    top1: float
    top5: float
    perplexity: float | None
    reference_perplexity: float | None
    """None of a classifier, which predicts no token."""
    activations: tuple[ActivationFidelity, ...]
    bounds: FidelityBounds

    @property
    def within_bounds(self) -> bool:
        return self.kl_mean <= self.bounds.kl_mean and self.top1 >= self.bounds.top1

    @property
    def perplexity_ratio(self) -> float | None:
        if self.perplexity is None or self.reference_perplexity is None:
            return None
        return self.perplexity / self.reference_perplexity

    def to_json(self) -> FidelityRecord:
        record: FidelityRecord = {
            "reference": self.reference,
            "text": self.text,
            "kl_mean": self.kl_mean,
            "kl_p99": self.kl_p99,
            "top1": self.top1,
            "top5": self.top5,
            "activations": [row.to_json() for row in self.activations],
            "bounds": self.bounds.to_json(),
            "within_bounds": self.within_bounds,
        }
        if self.perplexity is not None and self.reference_perplexity is not None:
            record["perplexity"] = self.perplexity
            record["reference_perplexity"] = self.reference_perplexity
        return record

    @staticmethod
    def from_json(data: FidelityRecord) -> Fidelity:
        return Fidelity(
            data["reference"],
            data["text"],
            data["kl_mean"],
            data["kl_p99"],
            data["top1"],
            data["top5"],
            data.get("perplexity"),
            data.get("reference_perplexity"),
            tuple(ActivationFidelity.from_json(row) for row in data["activations"]),
            FidelityBounds(data["bounds"]["kl_mean"], data["bounds"]["top1"]),
        )


def record_fidelity(variant: Variant, fidelity: Fidelity) -> None:
    """Write the fidelity into a variant's record; one beyond its bounds is marked as lossy."""
    variant["fidelity"] = fidelity.to_json()
    if fidelity.within_bounds:
        variant.pop("lossy", None)
    else:
        variant["lossy"] = True
