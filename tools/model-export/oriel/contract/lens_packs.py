"""Checks of a manifest's lens packs that no schema can express: each belongs to the model, its file
is listed and named by its digest, and every variant has a tap for each layer that the pack maps.
The same rules in TypeScript: apps/web/src/contract/validate_lens_packs.ts."""

from __future__ import annotations

from collections.abc import Mapping

from oriel.contract.activation_names import LENS_KINDS, ModelShape, TensorSpec, kinds
from oriel.contract.documents import (
    FileDescriptor,
    LensPackRecord,
    ManifestDocument,
    TapRecord,
)
from oriel.contract.tap_bytes import PackFile, TapError, check_tap_bytes
from oriel.contract.variant_graphs import paths_read_by
from oriel.errors import ContractError

LOGIT = "logit"
"""Name of the logit lens, which every variant's own taps compute."""


def pack_path(digest: str) -> str:
    """Return the name of a pack's file in a bundle. digest: "sha256:" and 64 hexadecimal digits."""
    return f"lens_{digest.removeprefix('sha256:')}.safetensors"


def mapped_layers(shape: ModelShape) -> range:
    """Return the layers that a pack maps: all but the last, whose stream the model itself reads."""
    return range(shape.layers - 1)


def check_lens_packs(manifest: ManifestDocument, what: str) -> None:
    """Check the lens packs of a manifest that is already valid by its schema. Raises
    ContractError."""
    shape = ModelShape.from_json(manifest["model"]["shape"])
    files = {file["path"]: file for file in manifest["files"]}
    variants = {variant["name"] for variant in manifest["variants"]}
    taken = {path.lower() for variant in manifest["variants"] for path in paths_read_by(variant)}
    names: set[str] = set()
    for pack in manifest.get("lens_packs", ()):
        where = f"{what}: lens {pack['name']}"
        if pack["name"] in names:
            raise _unsound(f"two lenses of {what} are called {pack['name']}")
        names.add(pack["name"])
        _check_description(pack, manifest, shape, where)
        if pack["taps"].keys() != variants:
            raise _unsound(f"{where} has taps for other variants than there are")
        file = _file(pack, files, where)
        if pack["path"].lower() in taken:
            raise _unsound(f"{where}: its file is a variant's as well")
        held = PackFile(pack["path"], int(file["bytes"]), shape.hidden)
        for variant, taps in pack["taps"].items():
            _check_taps(taps, shape, held, f"{where}, {variant}")


def _check_description(
    pack: LensPackRecord, manifest: ManifestDocument, shape: ModelShape, where: str
) -> None:
    description = pack["description"]
    wanted = manifest["model"]["weights_digest"]
    if description["weights"] != wanted:
        raise ContractError(
            f"{where} belongs to another model",
            got=description["weights"][:23],
            expected=wanted[:23],
            next_step="fit one for this model: oriel fit-lens.",
        )
    if [row["layer"] for row in description["fitted"]["kl"]] != list(mapped_layers(shape)):
        raise _unsound(f"{where} was measured on other layers than it has maps for")


def _file(pack: LensPackRecord, files: Mapping[str, FileDescriptor], where: str) -> FileDescriptor:
    file = files.get(pack["path"])
    if file is None:
        raise ContractError(f"the manifest names {pack['path']} but doesn't describe it")
    if pack["path"] != pack_path(file["digest"]):
        raise _unsound(f"{where}: its file is not named by its digest")
    return file


def _check_taps(taps: list[TapRecord], shape: ModelShape, held: PackFile, where: str) -> None:
    wanted = [
        [kinds()[kind].spec(shape, layer) for kind in LENS_KINDS] for layer in mapped_layers(shape)
    ]
    if [[TensorSpec.from_json(output) for output in tap["outputs"]] for tap in taps] != wanted:
        raise _unsound(f"{where}: its taps don't give the lens of each layer but the last")
    for tap in taps:
        try:
            check_tap_bytes(tap, held)
        except TapError as error:
            raise ContractError(
                f"{where}: the tap of {tap['outputs'][0]['name']} is unsound",
                got=str(error),
                next_step="add the lens again: oriel add-lens.",
            ) from error


def _unsound(why: str) -> ContractError:
    return ContractError(why, next_step="add the lens again: oriel add-lens.")
