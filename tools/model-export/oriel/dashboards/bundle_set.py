"""Puts dashboards into a bundle, completely or not at all, so that they are published, pruned and
checked with the model."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import cast

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.reuse_files import reuse_files
from oriel.bundle.write_bundle import check_replaceable, describe_file, file_digest, save_manifest
from oriel.contract.activation_contract import schema_problem
from oriel.contract.dashboards import FOLDER, check_dashboard_index, fits_dictionaries, index_is_of
from oriel.contract.documents import DashboardSet
from oriel.contract.json_value import JsonValue
from oriel.contract.manifest import bundle_folder, put_before_variants, read_manifest
from oriel.contract.strict_json import read_json
from oriel.dashboards.write_set import SET_FILE
from oriel.errors import BundleError

_NEXT_STEP = "make them again: oriel dashboards."


def add_set(bundle: Path, made: Path) -> DashboardSet:
    """Put the dashboards that `oriel dashboards` wrote into a bundle, in the place of those that it
    has. Return their record. Raises OrielError and leaves the bundle unchanged if they are of
    another model, or if a file isn't whole."""
    folder = bundle_folder(bundle)
    data = deepcopy(read_manifest(folder).data)
    check_replaceable(folder)
    record = _read_record(made)
    if record["weights"] != data["model"]["weights_digest"]:
        raise BundleError(
            f"the dashboards in {made} are of another model",
            got=record["weights"][:23],
            expected=data["model"]["weights_digest"][:23],
            next_step="make them of this bundle: oriel dashboards.",
        )
    if record["variant"] not in {variant["name"] for variant in data["variants"]}:
        raise BundleError(
            f"the dashboards in {made} are of a variant that the bundle doesn't have",
            got=record["variant"],
            next_step=_NEXT_STEP,
        )
    for group in record["groups"]:
        if not fits_dictionaries(group, data):
            raise BundleError(
                f"the dashboards in {made} are of a dictionary that the bundle doesn't have",
                got=f"{group['kind']}, {group.get('dictionary', 'of no file')[:23]}",
                next_step=_NEXT_STEP,
            )
    digests = _checked_files(made, record)
    files = [file for file in data["files"] if not file["path"].startswith(f"{FOLDER}/")]
    with replaced_folder(folder, lambda: check_replaceable(folder), movable=False) as place:
        reuse_files(folder, place, [file["path"] for file in files])
        reuse_files(made, place / FOLDER, list(digests))
        files += [
            describe_file(place, f"{FOLDER}/{name}", digest) for name, digest in digests.items()
        ]
        data["files"] = sorted(files, key=lambda each: each["path"])
        groups = [{**each, "path": f"{FOLDER}/{each['path']}"} for each in record["groups"]]
        found = cast(DashboardSet, {**record, "groups": groups})
        put_before_variants(data, "dashboards", found)
        save_manifest(place, data)
    return found


def _read_record(made: Path) -> DashboardSet:
    record = _read(made / SET_FILE)
    problem = schema_problem("manifest#/$defs/dashboardSet", record)
    if problem is not None:
        raise BundleError(
            f"{made / SET_FILE} is no record of dashboards", got=problem, next_step=_NEXT_STEP
        )
    return cast(DashboardSet, record)


def _read(file: Path) -> JsonValue:
    try:
        return read_json(file.read_bytes(), str(file))
    except OSError as error:
        raise BundleError(
            f"no dashboards in {file.parent}",
            got=f"{file.name}: {error.strerror}",
            expected="a folder that `oriel dashboards --out` wrote",
            next_step="check the path.",
        ) from error


def _checked_files(made: Path, record: DashboardSet) -> dict[str, str | None]:
    """Return {name: digest} of the set's files after checking each against its index; None for the
    digest of an index."""
    digests: dict[str, str | None] = {}
    for group in record["groups"]:
        index = check_dashboard_index(_read(made / group["path"]), group["path"])
        if not index_is_of(index, group, record["weights"]):
            raise BundleError(
                f"{made / group['path']} is of other units than {SET_FILE} says",
                next_step=_NEXT_STEP,
            )
        digests[group["path"]] = None
        for said in index["files"]:
            file = made / said["path"]
            if not file.is_file() or file_digest(file) != said["digest"]:
                raise BundleError(
                    f"{file} isn't the file that {group['path']} describes",
                    got="other bytes" if file.is_file() else "no file",
                    expected=f"{said['bytes']} bytes, {said['digest'][:23]}",
                    next_step=_NEXT_STEP,
                )
            digests[said["path"]] = said["digest"]
    return digests
