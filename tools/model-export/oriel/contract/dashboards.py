"""Checks of dashboards that no schema can express: of an index, that its files and their ranges
follow one another without gaps; of a manifest's set, that it is of the model and of its
dictionaries, and its files are listed. The same rules in TypeScript:
apps/web/src/contract/validate_dashboards.ts and validate_dashboard_index.ts."""

from __future__ import annotations

from typing import cast

from oriel.contract.activation_contract import check_major, check_schema
from oriel.contract.dictionaries import features_name, is_features
from oriel.contract.documents import (
    DashboardFile,
    DashboardGroup,
    DashboardIndex,
    FileDescriptor,
    ManifestDocument,
)
from oriel.errors import ContractError

MAJOR = "1"
FOLDER = "dashboards"
"""Folder of a bundle that holds them."""
FIRST_BYTE = 4
"""Bytes of a Parquet file before its first group of rows."""
_NEXT_STEP = "make them again: oriel dashboards."


def check_dashboard_index(document: object, what: str) -> DashboardIndex:
    """Return an index after checking it. Raises ContractError."""
    check_major(document, ("dashboards_version", MAJOR), what, _NEXT_STEP)
    check_schema("dashboards", document, what)
    index = cast(DashboardIndex, document)
    paths = [file["path"] for file in index["files"]]
    if len(set(paths)) != len(paths):
        raise _unsound(f"{what} names a file twice")
    if sum(file["units"] for file in index["files"]) != index["units"]:
        raise _unsound(f"{what}: its files have other units than it says")
    for file in index["files"]:
        _check_ranges(file, f"{what}: {file['path']}")
    return index


def _check_ranges(file: DashboardFile, what: str) -> None:
    if sum(rows["units"] for rows in file["row_groups"]) != file["units"]:
        raise _unsound(f"{what}: its groups of rows have other units than it says")
    end = FIRST_BYTE
    for part in (*file["row_groups"], file["footer"]):
        if part["begin"] != end:
            raise _unsound(f"{what}: a range begins at {part['begin']} instead of {end}")
        end += part["bytes"]
    if end != file["bytes"]:
        raise _unsound(f"{what}: its ranges end at {end} of {file['bytes']} bytes")


def index_is_of(index: DashboardIndex, group: DashboardGroup, weights: str) -> bool:
    """Return whether an index is of these units of the model with this weights_digest."""
    said = (index["weights"], index["kind"], index["layer"], index["units"])
    return said == (weights, group["kind"], group["layer"], group["units"])


def check_listed_index(
    document: object, group: DashboardGroup, manifest: ManifestDocument, what: str
) -> None:
    """Check the index of a group of a manifest's dashboards: that it is of the group, and that each
    of its files is one of the manifest's. Raises ContractError."""
    index = check_dashboard_index(document, what)
    if not index_is_of(index, group, manifest["model"]["weights_digest"]):
        raise _unsound(f"{what} is of other units than the manifest says")
    listed: dict[str, FileDescriptor] = {file["path"]: file for file in manifest["files"]}
    folder = group["path"].rpartition("/")[0]
    for file in index["files"]:
        path = f"{folder}/{file['path']}" if folder else file["path"]
        found = listed.get(path)
        if found is None or (found["bytes"], found["digest"]) != (file["bytes"], file["digest"]):
            raise _unsound(f"{what}: {path} isn't the file that the manifest describes")


def check_dashboards(manifest: ManifestDocument, what: str) -> None:
    """Check the dashboards of a manifest that is already valid by its schema. Raises
    ContractError."""
    found = manifest.get("dashboards")
    if found is None:
        return
    if found["weights"] != manifest["model"]["weights_digest"]:
        raise ContractError(
            f"the dashboards of {what} are of another model",
            got=found["weights"][:23],
            expected=manifest["model"]["weights_digest"][:23],
            next_step=_NEXT_STEP,
        )
    if found["variant"] not in {variant["name"] for variant in manifest["variants"]}:
        raise _unsound(f"the dashboards of {what} are of a variant that isn't there")
    listed = {file["path"] for file in manifest["files"]}
    places = [(group["kind"], group["layer"]) for group in found["groups"]]
    if len(set(places)) != len(places):
        raise _unsound(f"{what} has two dashboards of one kind in one layer")
    for group in found["groups"]:
        if group["path"] not in listed:
            raise ContractError(f"the manifest names {group['path']} but doesn't describe it")
        if group["layer"] >= manifest["model"]["shape"]["layers"]:
            raise _unsound(f"{what} has dashboards of a layer that isn't there")
        if not fits_dictionaries(group, manifest):
            raise _unsound(f"{what} has dashboards of {group['kind']}, not of its dictionaries")


def fits_dictionaries(group: DashboardGroup, manifest: ManifestDocument) -> bool:
    """Return whether a group of features belongs to a dictionary of the bundle: its name, the layer
    that it reads, its features and its file. True for other units, which name no dictionary."""
    if not is_features(group["kind"]):
        return "dictionary" not in group
    digests = {file["path"]: file["digest"] for file in manifest["files"]}
    for each in manifest.get("dictionaries", ()):
        if features_name(each["name"]) == group["kind"]:
            layer, features = each["description"]["reads"]["layer"], each["description"]["features"]
            wanted = (layer, features, digests.get(each["path"]))
            return (group["layer"], group["units"], group.get("dictionary")) == wanted
    return False


def _unsound(why: str) -> ContractError:
    return ContractError(why, next_step=_NEXT_STEP)
