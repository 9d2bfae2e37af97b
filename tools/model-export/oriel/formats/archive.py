"""Single entries of the zip archives that torch writes, read without torch and within limits."""

from __future__ import annotations

import zipfile
from pathlib import Path

from oriel.errors import GraphError, reason_of

_MAX_BYTES = 512 * 2**20
"""Largest size of an entry once it is unpacked: a small file may unpack to more than a
disk holds."""


def read_entry(file: Path, name: str) -> str | None:
    """Return the text of an entry, by its name below the archive's one folder; None where there is
    none. Raises GraphError for a file that is no archive, or an entry that is too large."""
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.filename.partition("/")[2] != name:
                    continue
                if entry.file_size > _MAX_BYTES:
                    raise GraphError(
                        f"{file.name} holds an entry that is too large",
                        got=f"{name} of {entry.file_size} bytes",
                        expected=f"at most {_MAX_BYTES}",
                    )
                return archive.read(entry).decode("utf-8")
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, NotImplementedError) as error:
        raise GraphError(
            f"{file.name} is no whole archive of torch's",
            got=reason_of(error),
            next_step="write or download it again.",
        ) from error
    return None
