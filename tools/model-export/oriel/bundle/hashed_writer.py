"""Writers of files that also compute the files' digests, so that they need not be read again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO


class HashedWriter:
    """Append bytes to an open file; `position` is the number of bytes written so far."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._hash = hashlib.sha256()
        self.position = 0

    def put(self, data: bytes | memoryview) -> None:
        """Append bytes, those of a memoryview of bytes alike."""
        self._out.write(data)
        self._hash.update(data)
        self.position += len(data)

    def pad_to(self, position: int) -> None:
        """Append zeros up to a position that is not behind the present one."""
        self.put(bytes(position - self.position))

    @property
    def digest(self) -> str:
        """The digest of what has been written, in the contract's notation."""
        return f"sha256:{self._hash.hexdigest()}"


class HashedFiles:
    """The files of an encoding, written one after another. `position` counts through all of them:
    each begins at one of `starts`."""

    def __init__(self, files: Sequence[Path], starts: Sequence[int]) -> None:
        self._files, self._starts = list(files), list(starts)
        self._opened = ExitStack()
        self._writers: list[HashedWriter] = []

    def __enter__(self) -> HashedFiles:
        self._open_next()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    @property
    def position(self) -> int:
        return self._starts[len(self._writers) - 1] + self._writers[-1].position

    def put(self, data: bytes | memoryview) -> None:
        """Append bytes to the file at hand."""
        self._writers[-1].put(data)

    def pad_to(self, position: int) -> int:
        """Go on at a position: append zeros up to it, or begin the file that starts there. Return
        the count of zeros."""
        before = self.position
        if position in self._starts[len(self._writers) :]:
            self._open_next()
            return 0
        self._writers[-1].put(bytes(position - before))
        return position - before

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each file, by its name."""
        return {
            file.name: writer.digest
            for file, writer in zip(self._files, self._writers, strict=True)
        }

    def _open_next(self) -> None:
        # The one before is complete: its last bytes reach the disk now.
        self._opened.close()
        out = self._opened.enter_context(self._files[len(self._writers)].open("wb"))
        self._writers.append(HashedWriter(out))
