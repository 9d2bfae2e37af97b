"""What publishing needs of a place, whatever holds it. The kinds of place are listed in
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
    """As stored: compressed, where the place compresses it."""
    modified: float
    """Seconds, by the place's own clock."""


OnSent = Callable[[PublishedObject], None]


class Place(Protocol):
    """Objects by name. Every write is whole or not at all; errors are PublishErrors of one line."""

    address: str
    compresses: bool
    """True where it stores graphs and JSON compressed, so that an entry's size says nothing."""
    needs_lease: bool
    """True where publishers must write leases; False where the place itself orders changes."""

    def entries(self, folder: str) -> dict[str, Entry]:
        """What lies right in a folder, "" for the top, by its whole name."""
        ...

    def read(self, name: str) -> bytes | None:
        """An object's bytes, decompressed; None where it isn't there."""
        ...

    def put_all(self, objects: Iterable[PublishedObject], on_sent: OnSent) -> None:
        """Write objects as they come, in no order. Raises the first error."""
        ...

    def put(self, item: PublishedObject) -> None:
        """Write one, or replace it."""
        ...

    def create(self, item: PublishedObject) -> bool:
        """Write one unless its name is taken: then False."""
        ...

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that aren't there are no error."""
        ...


def compressed(item: PublishedObject) -> bytes:
    """The same bytes for the same object, always: no time in the header."""
    return gzip.compress(item.data, 9, mtime=0)
