"""Writer of a file that also computes the file's digest, so that it need not be read again."""

from __future__ import annotations

import hashlib
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
