"""The recipe and calibration of a variant: a bundle is up to date if its manifest names these."""

from __future__ import annotations

from dataclasses import dataclass

from oriel.contract.documents import CalibrationRecord, RecipeRecord


@dataclass(frozen=True)
class Provenance:
    """The manifest's records of how a variant is made."""

    recipe: RecipeRecord | None
    calibration: CalibrationRecord | None
