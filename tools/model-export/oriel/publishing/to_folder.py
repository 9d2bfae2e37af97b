"""A folder for any static host. Files are written under temporary names and then renamed;
graphs and JSON have a compressed copy, for hosts that send it (nginx's gzip_static)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from oriel.bundle.atomic_folder import staged_name
from oriel.errors import PublishError
from oriel.publishing.place import Entry, OnSent, compressed
from oriel.publishing.published_names import PublishedObject

_Take = Callable[[Path, Path], object]
"""A function that gives a written file its name."""


class FolderPlace:
    """A folder on this machine."""

    compresses = False
    needs_lease = True

    def __init__(self, address: str) -> None:
        self.address = address
        self.folder = Path(address)

    def entries(self, folder: str) -> dict[str, Entry]:
        place = self.folder / folder if folder else self.folder
        found: dict[str, Entry] = {}
        try:
            for item in os.scandir(place):
                # A file may be removed while the folder is listed.
                with suppress(FileNotFoundError):
                    if item.is_file():
                        name = f"{folder}/{item.name}" if folder else item.name
                        stat = item.stat()
                        found[name] = Entry(stat.st_size, stat.st_mtime)
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise self._trouble(error) from error
        return found

    def read(self, name: str) -> bytes | None:
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._trouble(error) from error

    def put_all(self, objects: Iterable[PublishedObject], on_sent: OnSent) -> None:
        for item in objects:
            self.put(item)
            on_sent(item)

    def put(self, item: PublishedObject) -> None:
        # The compressed copy first: whoever finds the file finds the copy too.
        self._write_sibling(item)
        self._write(item.name, item.data, os.replace)

    def create(self, item: PublishedObject) -> bool:
        try:
            self._write(item.name, item.data, _take_free_name)
        except _NameTaken:
            return False
        self._write_sibling(item)
        return True

    def _write_sibling(self, item: PublishedObject) -> None:
        if item.compressible:
            self._write(f"{item.name}.gz", compressed(item), os.replace)

    def _write(self, name: str, data: bytes, take: _Take) -> None:
        target = self.folder / name
        staged = target.with_name(staged_name(target.name))
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                with staged.open("xb") as out:
                    out.write(data)
                    out.flush()
                    os.fsync(out.fileno())
                take(staged, target)
            finally:
                staged.unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def delete(self, names: Sequence[str]) -> None:
        try:
            for name in names:
                (self.folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise self._trouble(error) from error

    def _trouble(self, error: OSError) -> PublishError:
        return PublishError(
            f"can't publish to {self.folder}",
            got=error.strerror or str(error),
            expected="a folder that can be written",
            next_step="free some space, or name another folder with --to.",
        )


class _NameTaken(Exception):
    pass


def _take_free_name(staged: Path, target: Path) -> None:
    try:
        os.link(staged, target)
    except FileExistsError:
        raise _NameTaken from None
    except OSError:
        # Not every file system has hard links.
        if target.exists():
            raise _NameTaken from None
        staged.replace(target)
