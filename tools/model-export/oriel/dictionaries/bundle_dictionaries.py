"""Adds dictionaries to a bundle, completely or not at all, and makes their taps for its
variants."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.listed_file import missing_files, sound_files
from oriel.bundle.open_bundle import read_open_bundle, shape_of
from oriel.bundle.reuse_files import reuse_files
from oriel.bundle.write_bundle import check_replaceable, put_files, save_manifest
from oriel.contract.dashboards import FOLDER
from oriel.contract.dictionaries import dictionary_path, features_name, most_dictionaries
from oriel.contract.documents import DictionaryRecord, FileDescriptor, ManifestDocument
from oriel.contract.manifest import bundle_folder, put_before_variants
from oriel.contract.totals import check_totals
from oriel.dictionaries.dictionary_file import Dictionary, read_dictionary
from oriel.dictionaries.listed_dictionary import check_dictionary, tap_record
from oriel.errors import ContractError, OptionError


def add_dictionary(bundle: Path, dictionary: Dictionary, name: str) -> bool:
    """Add a dictionary to a bundle of its model, replacing one of the same name. Return whether the
    bundle's dashboards were removed, since they had features of the replaced one. Raises OrielError
    and leaves the bundle unchanged if it can't be used."""
    folder = bundle_folder(bundle)
    data = deepcopy(read_open_bundle(bundle).data)
    check_name(name)
    removed = _drop_stale_dashboards(data, name, dictionary)
    kept = [each for each in data.get("dictionaries", ()) if each["name"] != name]
    for other in kept:
        if other["path"] == dictionary.path:
            raise OptionError(
                "the bundle has this dictionary already",
                got=f"the name {name}",
                expected=f"{other['name']}, which it has there",
                next_step=f"choose it by the name {other['name']}.",
            )
    _check_count(len(kept) + 1)
    dropped = {each["path"] for each in data.get("dictionaries", ()) if each["name"] == name}
    files = [each for each in data["files"] if each["path"] not in {*dropped, dictionary.path}]
    with replaced_folder(folder, lambda: check_replaceable(folder), movable=False) as place:
        reuse_files(folder, place, [each["path"] for each in files])
        write_dictionaries(place, data, files, kept, {name: dictionary})
        _check_room(data)
        save_manifest(place, data)
    return removed


def _drop_stale_dashboards(data: ManifestDocument, name: str, dictionary: Dictionary) -> bool:
    """Remove a manifest's dashboards where some are of the features of another dictionary of this
    name. All of them go, since each unit may name units of any other as its neighbours. Return
    whether they were removed."""
    groups = data["dashboards"]["groups"] if "dashboards" in data else []
    of_name = [group for group in groups if group["kind"] == features_name(name)]
    stale = any(group.get("dictionary") != dictionary.digest for group in of_name)
    if stale:
        put_before_variants(data, "dashboards", None)
        data["files"] = [
            each for each in data["files"] if not each["path"].startswith(f"{FOLDER}/")
        ]
    return stale


def write_dictionaries(
    folder: Path,
    data: ManifestDocument,
    files: Sequence[FileDescriptor],
    kept: Sequence[DictionaryRecord],
    added: Mapping[str, Dictionary],
) -> None:
    """Write dictionaries into a folder that holds the bundle's other files, and add them to the
    manifest.

    files, kept: the manifest's other files and dictionaries. data: the manifest, which is modified.
    """
    put_files(folder, data, files, {each.path: each.data for each in added.values()})
    records = [*kept, *(_record(name, each, data) for name, each in added.items())]
    put_before_variants(data, "dictionaries", records or None)


def add_shipped_dictionaries(
    folder: Path, data: ManifestDocument, files: Mapping[str, Path]
) -> None:
    """Add the dictionaries that ship with a model to its new bundle, except those whose name or
    file it has already. files: {name: the file}."""
    weights, shape = data["model"]["weights_digest"], shape_of(data)
    there = data.get("dictionaries", [])
    missing = missing_files(there, files, dictionary_path)
    if missing:
        added = {name: read_dictionary(file, shape, weights) for name, file in missing.items()}
        write_dictionaries(folder, data, data["files"], there, added)


def keep_dictionaries(folder: Path, data: ManifestDocument, before: Path) -> None:
    """Copy the dictionaries of the bundle in `before` into the one in `folder`, which is to take
    its place and has none yet. Leave out those of other weights, and those whose file isn't
    sound."""
    weights = data["model"]["weights_digest"]
    found = sound_files(before, weights, lambda old: old.get("dictionaries", ()), check_dictionary)
    if found:
        write_dictionaries(folder, data, data["files"], [], found)


def make_taps_anew(folder: Path, data: ManifestDocument) -> None:
    """Make the taps of a manifest's dictionaries for all of its current variants. folder: holds the
    dictionaries' files."""
    weights, shape = data["model"]["weights_digest"], shape_of(data)
    made = [
        _record(each["name"], read_dictionary(folder / each["path"], shape, weights), data)
        for each in data.get("dictionaries", ())
    ]
    if made:
        put_before_variants(data, "dictionaries", made)


def _record(name: str, dictionary: Dictionary, data: ManifestDocument) -> DictionaryRecord:
    tap = tap_record(name, dictionary, shape_of(data))
    return {
        "name": name,
        "path": dictionary.path,
        "description": dictionary.description,
        "taps": {variant["name"]: tap for variant in data["variants"]},
    }


def _check_count(count: int) -> None:
    """Raise OptionError for more dictionaries than a bundle may have."""
    most = most_dictionaries()
    if count > most:
        raise _full(f"{count} dictionaries", f"at most {most}")


def _check_room(data: ManifestDocument) -> None:
    """Raise OptionError where a manifest adds up to more than contracts/limits.json allows."""
    try:
        check_totals(data, "the manifest")
    except ContractError as error:
        raise _full(error.what, "sums within contracts/limits.json") from error


def _full(got: str, expected: str) -> OptionError:
    return OptionError(
        "the bundle is full",
        got=got,
        expected=expected,
        next_step="replace one by --name, or export the model to another folder.",
    )


def check_name(name: str) -> None:
    """Raise OptionError for a name that no dictionary of a bundle can have."""
    if re.fullmatch("[a-z][a-z0-9_]{0,31}", name) is None:
        raise OptionError(
            "--name can't be a dictionary's",
            got=repr(name),
            expected="lower-case letters, digits and '_', a letter first, 32 at most",
        )
