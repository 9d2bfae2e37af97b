"""Reads the lens packs of a bundle and checks them against the bundle's manifest."""

from __future__ import annotations

from pathlib import Path

from oriel.bundle.listed_file import ListedKind
from oriel.contract.documents import LensPackRecord, ManifestDocument
from oriel.graph.tensor_file import places_in_tap
from oriel.lenses.pack import LensPack, read_pack

_LISTED = ListedKind("lens", "oriel add-lens")


def check_pack(folder: Path, manifest: ManifestDocument, record: LensPackRecord) -> LensPack:
    """Read a pack of a bundle. Raises BundleError if its file differs from the manifest's
    description, or if a tap refers to a place of the file other than its layer's map."""
    pack = _LISTED.read(folder, manifest, record, read_pack)
    for variant, taps in record["taps"].items():
        for layer, tap in enumerate(taps):
            if places_in_tap(tap) != _wanted(pack, layer):
                raise _LISTED.other(
                    record, f"{variant}, layer {layer}", "a tap that reads its own map"
                )
    return pack


def _wanted(pack: LensPack, layer: int) -> dict[str, tuple[tuple[int, ...], int, int]]:
    stored = pack.stored_map(layer)
    parts = {"weight": stored.weight} | ({} if stored.bias is None else {"bias": stored.bias})
    return {f"layer_{layer}_lens/{part}": tensor.place for part, tensor in parts.items()}
