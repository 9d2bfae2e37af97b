"""Reads a bundle that lens packs and dictionaries can be added to."""

from __future__ import annotations

from pathlib import Path

from oriel.bundle.write_bundle import check_replaceable
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import ManifestDocument
from oriel.contract.manifest import MANIFEST_VERSION, Manifest, bundle_folder, read_manifest
from oriel.errors import BundleError


def read_open_bundle(bundle: Path) -> Manifest:
    """Read the manifest of a bundle that has open graphs and may be replaced. Raises OrielError if
    there is no such one."""
    folder = bundle_folder(bundle)
    manifest = read_manifest(folder)
    check_replaceable(folder)
    if any("open" not in variant for variant in manifest.variants):
        raise BundleError(
            f"the bundle in {folder} keeps an earlier contract",
            got=f"version {manifest.data['contract_version']}",
            expected=f"{MANIFEST_VERSION.partition('.')[0]}.x",
            next_step="export the model again.",
        )
    return manifest


def check_weights(bundle: Path, model: str, weights: str) -> None:
    """Raise BundleError if a bundle is of other weights than the model's, which have this digest
    and which a lens or a dictionary is to be fitted to."""
    found = read_open_bundle(bundle).data["model"]["weights_digest"]
    if found != weights:
        raise BundleError(
            f"--bundle {bundle} is of another model than {model}",
            got=f"weights {found[:23]}…",
            expected=f"{weights[:23]}…",
            next_step="give --model as the bundle was exported from, or another --bundle.",
        )


def shape_of(data: ManifestDocument) -> ModelShape:
    """Return the sizes of a manifest's model."""
    return ModelShape.from_json(data["model"]["shape"])
