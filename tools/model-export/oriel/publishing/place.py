"""What publishing needs of a place, whatever holds it; and which place an address means. A new kind
of place is a file with a class like those, and a line in open_place."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from oriel.errors import OptionError
from oriel.publishing.published_names import PublishedObject

STORES = ("s3", "gs", "az")


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
    squeezes: bool
    """Whether it stores graphs and JSON compressed, so that an entry's size says nothing."""
    has_turns: bool
    """Whether marks of who is at work are needed, or the place itself orders changes."""

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


def squeezed(item: PublishedObject) -> bytes:
    """The same bytes for the same object, always: no time in the header."""
    return gzip.compress(item.data, 9, mtime=0)


def open_place(address: str, endpoint: str | None = None) -> Place:
    """The place that --to names. Nothing is asked of it yet."""
    scheme, separator, rest = address.partition("://")
    if not separator:
        if endpoint is not None:
            raise OptionError("--endpoint is for s3:// alone", got=f"--to {address}")
        from oriel.publishing.to_folder import FolderPlace

        return FolderPlace(address)
    if not rest.strip("/"):
        raise OptionError("--to names no place", got=address, expected=f"{scheme}://name/prefix")
    if endpoint is not None and scheme != "s3":
        raise OptionError("--endpoint is for s3:// alone", got=f"--to {address}")
    if scheme in STORES:
        from oriel.publishing.to_store import StorePlace

        return StorePlace(address, endpoint)
    if scheme == "hf":
        from oriel.publishing.to_hub import HubPlace

        return HubPlace(address)
    raise OptionError(
        "--to names a kind of place that is not known",
        got=f"{scheme}://",
        expected="a folder, s3://bucket/prefix, gs://…, az://… or hf://org/name",
    )
