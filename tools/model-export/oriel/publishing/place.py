"""The interface that publishing needs of any place. The kinds of place are listed in
open_place.py."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from oriel.publishing.published_names import PublishedObject


@dataclass(frozen=True)
class Entry:
    """An object that lies at a place."""

    bytes: int
    """Size as stored: compressed, where the place compresses it."""
    modified: float
    """Seconds, by the place's own clock."""


OnSent = Callable[[PublishedObject], None]


class Place(Protocol):
    """Objects by name. Every write is whole or not at all; errors are PublishErrors of one line."""

    address: str
    compresses: bool
    """True where it stores graphs and JSON compressed, so that their sizes can't be compared."""
    needs_lease: bool
    """True where publishers must write leases; False where the place itself orders changes."""

    def entries(self, folder: str) -> dict[str, Entry]:
        """Return the objects directly in a folder, "" for the top, by their full names."""
        ...

    def read(self, name: str) -> bytes | None:
        """Return an object's bytes, decompressed; None where it isn't there."""
        ...

    def put_all(self, objects: Iterable[PublishedObject], on_sent: OnSent) -> None:
        """Write objects as they come, in no order. Raises the first error."""
        ...

    def put(self, item: PublishedObject) -> None:
        """Write an object, or replace it."""
        ...

    def create(self, item: PublishedObject) -> bool:
        """Write an object unless its name is taken; return False then."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; a missing one is no error."""
        ...


def compressed(item: PublishedObject) -> bytes:
    """Compress an object, always to the same bytes: there is no time in the header."""
    return gzip.compress(item.data, 9, mtime=0)
