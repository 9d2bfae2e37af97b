"""Removes chunks that no manifest names: those of interrupted runs, and of versions whose manifest
was removed."""

from __future__ import annotations

from dataclasses import dataclass

from oriel.bundle.atomic_folder import is_staged_name
from oriel.contract.manifest import parse_manifest
from oriel.errors import ContractError, PublishError, reason_of
from oriel.publishing.leases import STALE_S, pruning
from oriel.publishing.place import Entry, Place
from oriel.publishing.published_names import (
    CHUNKS,
    PRUNING,
    PUBLISHING,
    is_chunk_name,
    is_manifest_name,
)


@dataclass(frozen=True)
class Pruned:
    """Objects that no manifest names."""

    names: tuple[str, ...]
    bytes: int
    done: bool
    """False for a dry run."""

    def to_json(self) -> dict[str, object]:
        return {"names": list(self.names), "bytes": self.bytes, "done": self.done}


def prune(place: Place, really: bool) -> Pruned:
    """Find objects that no manifest names; with `really`, remove them. Raises PublishError, with
    nothing removed, where a manifest can't be read or another run is at work there."""
    if not really:
        return _prune_unreferenced(place, False)
    with pruning(place):
        found = _prune_unreferenced(place, True)
        place.delete(found.names)
    return found


def _prune_unreferenced(place: Place, done: bool) -> Pruned:
    top = place.entries("")
    chunks = place.entries(CHUNKS)
    manifests = [name for name in top if is_manifest_name(name)]
    if not manifests:
        # A mistyped place, or one that doesn't list its manifests, would lose everything.
        raise PublishError(f"no manifest in {place.address}", next_step="check --to.")
    named = _referenced(place, manifests)
    everything = {**top, **chunks}
    now = max((entry.modified for entry in everything.values()), default=0.0)
    found = sorted(
        name
        for name, entry in everything.items()
        if (is_chunk_name(name) and name.removesuffix(".gz") not in named)
        or (_is_left_behind(name) and now - entry.modified > STALE_S)
    )
    return Pruned(tuple(found), _bytes(everything, found), done)


def _referenced(place: Place, manifests: list[str]) -> set[str]:
    named: set[str] = set()
    for name in manifests:
        raw = place.read(name)
        if raw is None:
            # Removed meanwhile: its chunks stay until the next time.
            raise PublishError(f"{name} of {place.address} is gone", next_step="try again.")
        try:
            manifest = parse_manifest(raw, f"{place.address}, {name}")
        except ContractError as error:
            raise PublishError(
                f"{name} of {place.address} can't be read, so nothing is removed",
                got=reason_of(error),
                next_step="mend or remove that manifest, then prune again.",
            ) from error
        for file in manifest.data["files"]:
            named.update(chunk["path"] for chunk in file.get("chunks", ()))
    return named


def _is_left_behind(name: str) -> bool:
    return is_staged_name(name.rpartition("/")[2]) or name.startswith((PUBLISHING, PRUNING))


def _bytes(entries: dict[str, Entry], names: list[str]) -> int:
    return sum(entries[name].bytes for name in names)
