"""Checks staged variants against their bounds before they are written. Without a PyTorch reference
it needs no torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path

from oriel.contract.documents import ManifestDocument
from oriel.contract.manifest import check_manifest
from oriel.errors import FidelityError
from oriel.fidelity.choose_text import Effort
from oriel.fidelity.measure import chosen_variants, prepare
from oriel.fidelity.record import Fidelity, record_fidelity
from oriel.fidelity.reference_values import ReferenceModel

GATE_EFFORT = Effort(logits=64 * 1024 * 1024, activations=32 * 1024 * 1024, lens=False)
"""Smaller limits, since writing waits for the check; `oriel fidelity` measures more."""


def gate(
    folder: Path,
    manifest_data: ManifestDocument,
    variant_names: Sequence[str],
    allow_lossy: bool,
    on_stage: Callable[[str], None] = lambda _: None,
    reference: ReferenceModel | None = None,
) -> ManifestDocument:
    """Return the manifest with the fidelity of these variants, whose files are in `folder` already.

    reference: None for the bundle's fp32 graph. Raises FidelityError for the first variant beyond
    its bounds; with allow_lossy it is marked instead.
    """
    if not variant_names:
        return manifest_data
    manifest = check_manifest(deepcopy(manifest_data))
    variants = chosen_variants(manifest, variant_names)
    model = None if reference is None else lambda: reference
    with prepare(manifest, folder, variants, model, None, GATE_EFFORT, on_stage) as measurement:
        for variant in variants:
            on_stage(f"measure {variant['name']}")
            found = measurement.of(variant)
            if not (found.within_bounds or allow_lossy):
                raise beyond_bounds(variant["name"], found)
            record_fidelity(variant, found)
    return manifest.data


def beyond_bounds(name: str, found: Fidelity) -> FidelityError:
    """Return the error: what is beyond its bound, by how much, and what helps."""
    missed = []
    if found.kl_mean > found.bounds.kl_mean:
        missed.append((f"mean KL {found.kl_mean:.2g} nats", f"at most {found.bounds.kl_mean:.2g}"))
    if found.top1 < found.bounds.top1:
        missed.append((f"top-1 {found.top1:.2%}", f"at least {found.bounds.top1:.2%}"))
    return FidelityError(
        f"{name} is too far from the fp32 model",
        got=" and ".join(got for got, _ in missed),
        expected=" and ".join(expected for _, expected in missed),
        next_step="use another --recipe, or write it all the same with --allow-lossy.",
    )
