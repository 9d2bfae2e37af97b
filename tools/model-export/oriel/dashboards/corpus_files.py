"""The files of a corpus: on this machine or in an object store, opened for reading at any place."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oriel.errors import OptionError, OrielError
from oriel.publishing.to_store import SCHEMES, StorePlace

if TYPE_CHECKING:
    from obstore import ReadableFile

_BUFFER = 1 << 20
"""Bytes that are fetched of an object at a time."""


@dataclass(frozen=True)
class CorpusFile:
    """A file by its address, which workers on other machines open too."""

    address: str
    """An absolute path, or s3://bucket/name."""
    size: int
    """Bytes."""
    endpoint: str | None = None
    """Address of an S3-compatible store."""

    @property
    def ending(self) -> str:
        name = self.address.rpartition("/")[2]
        return name.rpartition(".")[2].lower() if "." in name else ""

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Open the file for reading. Raises OptionError where it can't be."""
        if not is_store(self.address):
            try:
                with Path(self.address).open("rb") as file:
                    yield file
            except OSError as error:
                raise unreadable(self.address, error.strerror or str(error)) from error
            return
        import obstore

        folder, _, name = self.address.rpartition("/")
        store = StorePlace(folder, self.endpoint).store
        try:
            yield io.BufferedReader(_Raw(obstore.open_reader(store, name)), _BUFFER)
        except OrielError:
            raise
        except (OSError, obstore.exceptions.BaseError) as error:
            raise unreadable(self.address, str(error).partition("Debug source")[0]) from error


class _Raw(io.RawIOBase):
    """An object of a store as a file without a buffer."""

    def __init__(self, reader: ReadableFile) -> None:
        self._reader = reader

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        view = memoryview(buffer).cast("B")
        data = bytes(self._reader.read(len(view)))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._reader.seek(offset, whence)

    def tell(self) -> int:
        return self._reader.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def is_store(address: str) -> bool:
    """Return whether an address is of an object store."""
    scheme, separator, _ = address.partition("://")
    return bool(separator) and scheme in SCHEMES


def list_files(address: str, endpoint: str | None = None) -> list[CorpusFile]:
    """Return the file at an address, or the files of a folder there in the order of their names.

    Raises OptionError for an address of nothing, PublishError where a store can't be listed.
    """
    if is_store(address):
        return _listed_in_store(address.rstrip("/"), endpoint)
    if "://" in address:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise unreadable(address, "a kind of address that is not known", f"a path, or {known}")
    path = Path(address).absolute()
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return [CorpusFile(str(f), f.stat().st_size) for f in files if f.is_file() or f == path]
    except OSError as error:
        raise unreadable(address, error.strerror or str(error)) from error


def _listed_in_store(address: str, endpoint: str | None) -> list[CorpusFile]:
    folder, _, name = address.rpartition("/")
    if "://" in folder and folder.partition("://")[2]:
        found = StorePlace(folder, endpoint).entries("").get(name)
        if found is not None:
            return [CorpusFile(address, found.bytes, endpoint)]
    entries = StorePlace(address, endpoint).entries("")
    if not entries:
        raise unreadable(address, "no such object")
    return [
        CorpusFile(f"{address}/{name}", entries[name].bytes, endpoint) for name in sorted(entries)
    ]


def unreadable(address: str, got: str, expected: str = "a file that can be read") -> OptionError:
    """Return the error for a file of the corpus."""
    return OptionError(
        "--corpus can't be read",
        got=f"{address}: {got}",
        expected=expected,
        next_step="check the path; what was counted before stays for the next run.",
    )
