"""Leases of publishers and of pruning. Publishers may run side by side, since objects are named by
their content; pruning must exclude them, since it removes what no manifest names yet. Each writes a
lease and then lists the others', so that of two that start together at least one sees the other."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from oriel.errors import PublishError
from oriel.publishing.place import Place
from oriel.publishing.published_names import CACHE_SHORTLY, PRUNING, PUBLISHING, PublishedObject

STALE_S = 3600.0
"""Age at which a lease counts as left by a killed process: longer runs renew theirs."""
_RENEW_S = 600.0
_MAX_WAIT_S = 60.0


@contextmanager
def publishing(place: Place) -> Iterator[Callable[[], None]]:
    """Hold a publisher's lease. Yields a function that renews it, to be called now and then. Raises
    PublishError where a pruning goes on for longer than a minute."""
    with _lease(place, PUBLISHING) as (name, renew):
        waited_until = time.monotonic() + _MAX_WAIT_S
        while _others(place, name, PRUNING):
            if time.monotonic() > waited_until:
                raise PublishError(
                    f"{place.address} is being pruned",
                    next_step="try again in a while: the lease of a pruning that was killed counts "
                    "for an hour.",
                )
            time.sleep(1)
        yield renew


@contextmanager
def pruning(place: Place) -> Iterator[None]:
    """Hold the lease of a pruning. Raises PublishError where another publishes or prunes."""
    with _lease(place, PRUNING) as (name, _):
        others = _others(place, name, PUBLISHING, PRUNING)
        if others:
            raise PublishError(
                f"{place.address} is in use",
                got=", ".join(others[:3]),
                expected="nobody publishing",
                next_step="try again in a while: the lease of one that was killed counts for "
                "an hour.",
            )
        yield


@contextmanager
def _lease(place: Place, kind: str) -> Iterator[tuple[str, Callable[[], None]]]:
    if not place.needs_lease:
        yield "", lambda: None
        return
    name = f"{kind}{secrets.token_hex(8)}"
    item = PublishedObject(name, b"", "text/plain", CACHE_SHORTLY)
    written = 0.0

    def renew() -> None:
        nonlocal written
        if time.monotonic() - written > _RENEW_S:
            place.put(item)
            written = time.monotonic()

    place.put(item)
    written = time.monotonic()
    try:
        yield name, renew
    finally:
        # An error from before says why; the lease expires by itself.
        with suppress(PublishError):
            place.delete([name])


def _others(place: Place, own: str, *kinds: str) -> list[str]:
    if not place.needs_lease:
        return []
    entries = place.entries("")
    now = entries[own].modified if own in entries else 0.0
    return [
        name
        for name, entry in entries.items()
        if name.startswith(kinds) and name != own and now - entry.modified < STALE_S
    ]
