"""The kinds of place that bundles are published to, and which one an address means. A new kind is a
file with a class like `Place` and a row here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from oriel.errors import OptionError
from oriel.publishing.place import Place


@dataclass(frozen=True)
class PlaceKind:
    """The form of a kind of place's address, and the function that opens one."""

    scheme: str
    """The part of the address before ://; empty for a folder."""
    example: str
    open: Callable[[str, str | None], Place]
    """Takes the address and --endpoint, and imports the client that it needs."""
    takes_endpoint: bool = False


def _folder(address: str, _: str | None) -> Place:
    from oriel.publishing.to_folder import FolderPlace

    return FolderPlace(address)


def _store(address: str, endpoint: str | None) -> Place:
    from oriel.publishing.to_store import StorePlace

    return StorePlace(address, endpoint)


def _hub(address: str, _: str | None) -> Place:
    from oriel.publishing.to_hub import HubPlace

    return HubPlace(address)


PLACES = (
    PlaceKind("", "a folder", _folder),
    PlaceKind("s3", "s3://bucket/prefix", _store, takes_endpoint=True),
    PlaceKind("gs", "gs://bucket/prefix", _store),
    PlaceKind("az", "az://container/prefix", _store),
    PlaceKind("hf", "hf://org/name", _hub),
)
EXAMPLES = f"{', '.join(kind.example for kind in PLACES[:-1])}, or {PLACES[-1].example}"


def open_place(address: str, endpoint: str | None = None) -> Place:
    """Return the place that --to names, without connecting to it. Raises OptionError for an address
    that names none."""
    scheme, separator, rest = address.partition("://")
    kind = next((k for k in PLACES if k.scheme == (scheme if separator else "")), None)
    if separator and not rest.strip("/"):
        raise OptionError("--to names no place", got=address, expected=f"{scheme}://name/prefix")
    if kind is None:
        raise OptionError(
            "--to names a kind of place that is not known", got=f"{scheme}://", expected=EXAMPLES
        )
    if endpoint is not None and not kind.takes_endpoint:
        raise OptionError("--endpoint is for s3:// alone", got=f"--to {address}")
    return kind.open(address, endpoint)
