"""The files of one export on the disk: its own file or folder, those beside it, their digests."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path

from oriel.contract.documents import ModuleFile
from oriel.contract.library_files import data_file
from oriel.formats.format import Format


def entries_of(form: Format, file: Path) -> list[Path]:
    """Return the file or folder, and those that an exporter put beside it."""
    beside = [file.with_name(file.name.removesuffix(form.suffix) + s) for s in form.beside]
    beside.append(file.with_name(data_file(file.name)))
    found = (file, *beside, *sorted(file.parent.glob(f"{file.name}.*")))
    return [entry for entry in found if entry.exists()]


def files_in(entries: Iterable[Path]) -> list[Path]:
    """Return every file, those in folders in the order of their paths."""
    found: list[Path] = []
    for entry in entries:
        inner = [each for each in entry.rglob("*") if each.is_file()] if entry.is_dir() else [entry]
        found += sorted(inner, key=lambda each: each.relative_to(entry.parent).as_posix())
    return found


def remove(entries: Iterable[Path]) -> None:
    """Remove files and folders."""
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def digest(entry: Path) -> str:
    """Return a SHA-256 as hexadecimal digits: of a file, or of the lines that `sha256sum` prints
    for the files of a folder, in the order of their paths."""
    if entry.is_dir():
        lines = [f"{digest(f)}  {f.relative_to(entry).as_posix()}\n" for f in files_in([entry])]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with entry.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def describe(entries: Iterable[Path], folder: Path) -> list[ModuleFile]:
    """Return path, size and digest of every file, by paths below the folder of metadata.json."""
    return [
        {
            "file": file.relative_to(folder).as_posix(),
            "bytes": file.stat().st_size,
            "sha256": digest(file),
        }
        for entry in entries
        for file in files_in([entry])
    ]
