"""Reads the lens packs of a bundle and checks them against the bundle's manifest."""

from __future__ import annotations

from pathlib import Path

from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import LensPackRecord, ManifestDocument
from oriel.errors import BundleError
from oriel.graph.tensor_file import places_in_tap
from oriel.lenses.pack import LensPack, read_pack


def check_pack(folder: Path, manifest: ManifestDocument, record: LensPackRecord) -> LensPack:
    """Read a pack of a bundle. Raises BundleError if its file differs from the manifest's
    description, or if a tap refers to a place of the file other than its layer's map."""
    shape = ModelShape.from_json(manifest["model"]["shape"])
    pack = read_pack(folder / record["path"], shape, manifest["model"]["weights_digest"])
    described = next(file for file in manifest["files"] if file["path"] == record["path"])
    if pack.digest != described["digest"]:
        raise _other(record, f"digest {pack.digest[:23]}…", f"{described['digest'][:23]}…")
    if pack.description != record["description"]:
        raise _other(record, "another description in the file", "that of the manifest")
    for variant, taps in record["taps"].items():
        for layer, tap in enumerate(taps):
            if places_in_tap(tap) != _wanted(pack, layer):
                raise _other(record, f"{variant}, layer {layer}", "a tap that reads its own map")
    return pack


def _wanted(pack: LensPack, layer: int) -> dict[str, tuple[tuple[int, ...], int, int]]:
    stored = pack.stored_map(layer)
    parts = {"weight": stored.weight} | ({} if stored.bias is None else {"bias": stored.bias})
    return {f"layer_{layer}_lens/{part}": tensor.place for part, tensor in parts.items()}


def _other(record: LensPackRecord, got: str, expected: str) -> BundleError:
    return BundleError(
        f"the lens {record['name']} isn't the one that the manifest describes",
        got=got,
        expected=expected,
        next_step="add it again: oriel add-lens.",
    )
