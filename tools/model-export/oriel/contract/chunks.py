"""Checks of published files that no schema can express: the chunks of a file add up to it, and a
path means the same bytes wherever it is named. The same rules in TypeScript:
apps/web/src/contract/validate_chunks.ts."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.documents import FileDescriptor
from oriel.errors import ContractError


def check_chunks(files: Sequence[FileDescriptor], what: str) -> None:
    """Check a manifest's descriptors of files. Raises ContractError for the first that is wrong."""
    known: dict[str, tuple[int, str]] = {}
    for file in files:
        chunks = file.get("chunks")
        size = int(file["bytes"])
        if chunks is not None:
            total = sum(int(chunk["bytes"]) for chunk in chunks)
            if total != size:
                raise ContractError(
                    f"{what}: the chunks of {file['path']} don't add up to it",
                    got=f"{total} bytes",
                    expected=f"{size} bytes",
                    next_step="publish it again.",
                )
            if len(chunks) == 1 and chunks[0]["digest"] != file["digest"]:
                raise ContractError(
                    f"{what}: the one chunk of {file['path']} is of another digest",
                    next_step="publish it again.",
                )
        for part in [file] if chunks is None else chunks:
            same = (int(part["bytes"]), str(part["digest"]))
            if known.setdefault(str(part["path"]), same) != same:
                raise ContractError(
                    f"{what}: {part['path']} is described in two ways",
                    next_step="publish it again.",
                )
