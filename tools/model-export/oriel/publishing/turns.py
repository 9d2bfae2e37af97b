"""Many may publish to a place at once: names say what they hold. Only removing what nobody names
must not run beside it, and so each leaves a mark first and then looks for the other's. Stores list
what was written before, so of two that come together one sees the other at least."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from oriel.errors import PublishError
from oriel.publishing.place import Place
from oriel.publishing.published_names import CACHE_SHORTLY, PRUNING, PUBLISHING, PublishedObject

STALE_S = 3600.0
"""A mark this old was left by one that was killed: who works longer renews it."""
_RENEW_S = 600.0
_PATIENCE_S = 60.0


@contextmanager
def publishing(place: Place) -> Iterator[Callable[[], None]]:
    """Keep pruning away. Yields what to call now and then, to keep the mark fresh."""
    with _mark(place, PUBLISHING) as (name, renew):
        waited_until = time.monotonic() + _PATIENCE_S
        while _others(place, name, PRUNING):
            if time.monotonic() > waited_until:
                raise PublishError(
                    f"{place.address} is being pruned",
                    next_step="try again in a while: a mark of a pruning that was killed counts "
                    "for an hour.",
                )
            time.sleep(1)
        yield renew


@contextmanager
def pruning(place: Place) -> Iterator[None]:
    """Refuse where anybody publishes or prunes."""
    with _mark(place, PRUNING) as (name, _):
        others = _others(place, name, PUBLISHING, PRUNING)
        if others:
            raise PublishError(
                f"{place.address} is in use",
                got=", ".join(others[:3]),
                expected="nobody publishing",
                next_step="try again in a while: a mark of one that was killed counts for an hour.",
            )
        yield


@contextmanager
def _mark(place: Place, kind: str) -> Iterator[tuple[str, Callable[[], None]]]:
    if not place.has_turns:
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
        # What broke before says why; the mark grows stale by itself.
        with suppress(PublishError):
            place.delete([name])


def _others(place: Place, own: str, *kinds: str) -> list[str]:
    if not place.has_turns:
        return []
    entries = place.entries("")
    now = entries[own].modified if own in entries else 0.0
    return [
        name
        for name, entry in entries.items()
        if name.startswith(kinds) and name != own and now - entry.modified < STALE_S
    ]
