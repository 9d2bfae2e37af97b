"""Adds lens packs to a bundle, completely or not at all, and makes their taps for its variants."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path

import onnx

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.listed_file import missing_files, sound_files
from oriel.bundle.open_bundle import read_open_bundle, shape_of
from oriel.bundle.reuse_files import reuse_files
from oriel.bundle.write_bundle import check_replaceable, put_files, save_manifest
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import (
    FileDescriptor,
    LensPackRecord,
    ManifestDocument,
    TapRecord,
    Variant,
)
from oriel.contract.lens_packs import LOGIT, mapped_layers, pack_path
from oriel.contract.manifest import bundle_folder, put_before_variants
from oriel.errors import OptionError
from oriel.graph.taps import lens_tap
from oriel.lenses.pack import LensPack, read_pack
from oriel.lenses.pack_file import check_pack


def add_pack(bundle: Path, file: Path, name: str | None = None) -> str:
    """Add a lens pack to a bundle, replacing one of the same name. Return its name, by default its
    kind. Raises OrielError and leaves the bundle unchanged if the pack can't be used."""
    folder = bundle_folder(bundle)
    manifest = read_open_bundle(bundle)
    pack = read_pack(file, manifest.shape, manifest.data["model"]["weights_digest"])
    name = _checked_name(name or pack.description["kind"])
    data = deepcopy(manifest.data)
    kept = [each for each in data.get("lens_packs", ()) if each["name"] != name]
    dropped = {each["path"] for each in data.get("lens_packs", ())}
    dropped -= {each["path"] for each in kept}
    files = [each for each in data["files"] if each["path"] not in {*dropped, pack.path}]
    with replaced_folder(folder, lambda: check_replaceable(folder), movable=False) as place:
        reuse_files(folder, place, [each["path"] for each in files])
        write_packs(place, data, files, kept, {name: pack})
        save_manifest(place, data)
    return name


def write_packs(
    folder: Path,
    data: ManifestDocument,
    files: Sequence[FileDescriptor],
    kept: Sequence[LensPackRecord],
    added: Mapping[str, LensPack],
) -> None:
    """Write packs into a folder that holds the bundle's other files, and add them to the manifest.

    files, kept: the manifest's other files and packs. data: the manifest, which is modified.
    """
    put_files(folder, data, files, {pack.path: pack.data for pack in added.values()})
    made = (pack_record(name, pack, folder, data["variants"]) for name, pack in added.items())
    records = [*kept, *made]
    put_before_variants(data, "lens_packs", records or None)


def add_shipped_packs(folder: Path, data: ManifestDocument, files: Mapping[str, Path]) -> None:
    """Add the packs that ship with a model to its new bundle, except those whose name or file it
    has already. files: {name: the pack's file}."""
    weights, shape = data["model"]["weights_digest"], shape_of(data)
    there = data.get("lens_packs", [])
    missing = missing_files(there, files, pack_path)
    if missing:
        packs = {name: read_pack(file, shape, weights) for name, file in missing.items()}
        write_packs(folder, data, data["files"], there, packs)


def keep_packs(folder: Path, data: ManifestDocument, before: Path) -> None:
    """Copy the packs of the bundle in `before` into the one in `folder`, which is to take its place
    and has none yet. Leave out those of other weights, and those whose file isn't sound."""
    weights = data["model"]["weights_digest"]
    packs = sound_files(before, weights, lambda old: old.get("lens_packs", ()), check_pack)
    if packs:
        write_packs(folder, data, data["files"], [], packs)


def make_taps_anew(folder: Path, data: ManifestDocument) -> None:
    """Make the taps of a manifest's packs for all of its current variants. The folder holds the
    packs' files and the graphs."""
    records = data.get("lens_packs", [])
    weights, shape = data["model"]["weights_digest"], shape_of(data)
    made = [
        pack_record(
            each["name"], read_pack(folder / each["path"], shape, weights), folder, data["variants"]
        )
        for each in records
    ]
    if made:
        put_before_variants(data, "lens_packs", made)


def pack_record(
    name: str, pack: LensPack, folder: Path, variants: Iterable[Variant]
) -> LensPackRecord:
    """Return a pack's record, with taps for the variants whose graphs lie in a folder."""
    made: dict[str, list[TapRecord]] = {}
    taps: dict[str, list[TapRecord]] = {}
    for variant in variants:
        path = variant["open"]["path"]
        if path not in made:
            # Variants with expanded weights use the graphs of fp32.
            graph = onnx.load(str(folder / path), load_external_data=False).graph
            shape = ModelShape.from_json(variant["open"]["activations"]["model"])
            made[path] = [
                lens_tap(graph, shape, layer, pack.stored_map(layer)).to_json()
                for layer in mapped_layers(shape)
            ]
        taps[variant["name"]] = made[path]
    return {"name": name, "path": pack.path, "description": pack.description, "taps": taps}


def _checked_name(name: str) -> str:
    if name == LOGIT or re.fullmatch("[a-z][a-z0-9_-]{0,31}", name) is None:
        raise OptionError(
            "--name can't be a lens's",
            got=repr(name),
            expected=f"lower-case letters, digits, '_' and '-', not {LOGIT!r}",
        )
    return name
