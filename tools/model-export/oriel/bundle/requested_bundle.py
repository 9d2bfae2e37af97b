"""The bundle that an export was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oriel.bundle.write_bundle import BundlePaths
from oriel.models.load_model import LoadedModel


@dataclass(frozen=True)
class RequestedBundle:
    """The folder of a bundle to write, and the parts of its float32 graphs."""

    paths: BundlePaths
    model: LoadedModel
    outputs: Sequence[str]
    """The contract names that the plain graph gives besides logits."""
    opset: int
    static_cache: int | None = None
    """Slots of the static graphs' cache, in tokens; None to write no static graphs."""
