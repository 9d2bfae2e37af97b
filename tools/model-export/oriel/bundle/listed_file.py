"""Reads files of tensors that a manifest lists with a description, such as a lens pack's, checks
that they are the ones that the manifest describes, and finds those that a new bundle is to have."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from oriel.bundle.write_bundle import file_digest
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import DictionaryRecord, LensPackRecord, ManifestDocument
from oriel.contract.manifest import read_manifest
from oriel.errors import BundleError, OrielError


class _Described(Protocol):
    """A file that was read."""

    @property
    def digest(self) -> str: ...
    @property
    def description(self) -> object: ...


_Found = TypeVar("_Found", bound=_Described)
_Record = TypeVar("_Record", LensPackRecord, DictionaryRecord)


@dataclass(frozen=True)
class ListedKind:
    """A kind of such files, and the words of its errors."""

    what: str
    """As errors name one: "lens"."""
    command: str
    """The command that adds one to a bundle."""

    def read(
        self,
        folder: Path,
        manifest: ManifestDocument,
        record: LensPackRecord | DictionaryRecord,
        read: Callable[[Path, ModelShape, str], _Found],
    ) -> _Found:
        """Read a record's file. read: takes the file, the model's shape and its weights_digest.
        Raises BundleError if the file differs from the manifest's description in size, digest or
        its own description."""
        file = folder / record["path"]
        described = next(each for each in manifest["files"] if each["path"] == record["path"])
        # Before it is read, since it may be larger than the memory. One that isn't there is refused
        # where it is opened.
        if file.is_file() and file.stat().st_size != described["bytes"]:
            size, wanted = file.stat().st_size, int(described["bytes"])
            raise self.other(record, f"{size} bytes", f"{wanted} bytes")
        shape = ModelShape.from_json(manifest["model"]["shape"])
        found = read(file, shape, manifest["model"]["weights_digest"])
        if found.digest != described["digest"]:
            got = f"digest {found.digest[:23]}…"
            raise self.other(record, got, f"{described['digest'][:23]}…")
        if found.description != record["description"]:
            raise self.other(record, "another description in the file", "that of the manifest")
        return found

    def other(
        self, record: LensPackRecord | DictionaryRecord, got: str, expected: str
    ) -> BundleError:
        """Return the error of a file that isn't the one of its record."""
        return BundleError(
            f"the {self.what} {record['name']} isn't the one that the manifest describes",
            got=got,
            expected=expected,
            next_step=f"add it again: {self.command}.",
        )


def sound_files(
    folder: Path,
    weights: str,
    records: Callable[[ManifestDocument], Iterable[_Record]],
    check: Callable[[Path, ManifestDocument, _Record], _Found],
) -> dict[str, _Found]:
    """Return {name: a file, read} of the bundle in a folder, where there is one. Leave out those of
    other weights, and those that aren't sound. records: of a manifest, those of the kind. check:
    reads a record's file, or raises OrielError."""
    try:
        manifest = read_manifest(folder).data
    except OrielError:
        return {}
    found: dict[str, _Found] = {}
    for record in records(manifest):
        if record["description"]["weights"] == weights:
            with suppress(OrielError):
                found[record["name"]] = check(folder, manifest, record)
    return found


def missing_files(
    records: Iterable[LensPackRecord | DictionaryRecord],
    files: Mapping[str, Path],
    path_of: Callable[[str], str],
) -> dict[str, Path]:
    """Return the shipped files of which a bundle has neither the name nor the file: the user's of a
    shipped one's name stays in its place. files: {name: file}. path_of: of a digest, the file's
    path in a bundle."""
    taken = {record[key] for record in records for key in ("name", "path")}
    return {
        name: file
        for name, file in files.items()
        if taken.isdisjoint((name, path_of(file_digest(file))))
    }
