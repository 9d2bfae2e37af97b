"""Reads a file of tensors that a manifest lists with a description, such as a lens pack's, and
checks that it is the one that the manifest describes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import DictionaryRecord, LensPackRecord, ManifestDocument
from oriel.errors import BundleError


class _Described(Protocol):
    """A file that was read."""

    @property
    def digest(self) -> str: ...
    @property
    def description(self) -> object: ...


_Found = TypeVar("_Found", bound=_Described)


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
