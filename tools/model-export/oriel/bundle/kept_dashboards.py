"""Keeps a bundle's dashboards when a new export of the same model takes its place."""

from __future__ import annotations

from pathlib import Path

from oriel.bundle.reuse_files import reuse_files
from oriel.bundle.write_bundle import file_digest
from oriel.contract.dashboards import FOLDER, fits_dictionaries
from oriel.contract.documents import FileDescriptor, ManifestDocument
from oriel.contract.manifest import put_before_variants, read_manifest
from oriel.errors import OrielError


def keep_dashboards(folder: Path, data: ManifestDocument, before: Path) -> None:
    """Put the dashboards of the bundle in `before` into the one in `folder`, which is to take its
    place and has its dictionaries already. They are left out where they are of other weights, of a
    variant or a dictionary that isn't there any more, or where a file isn't whole."""
    try:
        old = read_manifest(before).data
        files = [each for each in old["files"] if each["path"].startswith(f"{FOLDER}/")]
        whole = _fit(old, data) and all(
            file_digest(before / f["path"]) == f["digest"] for f in files
        )
    except (OrielError, OSError):
        return
    if whole:
        # An error in between is raised: files that no manifest lists would make the new bundle one
        # that later commands refuse to replace.
        reuse_files(before, folder, [each["path"] for each in files])
        data["files"] = sorted([*data["files"], *files], key=lambda each: each["path"])
        put_before_variants(data, "dashboards", old["dashboards"])


def _fit(old: ManifestDocument, new: ManifestDocument) -> bool:
    """Return whether the dashboards of the old manifest are of the new one's model: they were
    counted with the same weights files, and features are of the same dictionaries."""
    made = old.get("dashboards")
    if made is None or made["weights"] != new["model"]["weights_digest"]:
        return False
    counted = _weights_of(old, made["variant"])
    same = counted is not None and counted == _weights_of(new, made["variant"])
    return same and all(fits_dictionaries(group, new) for group in made["groups"])


def _weights_of(data: ManifestDocument, variant: str) -> list[FileDescriptor] | None:
    """Return the descriptors of a variant's weights files, or None where there is no such one."""
    for each in data["variants"]:
        if each["name"] == variant:
            return [file for file in data["files"] if file["path"] in each["weights"]]
    return None
