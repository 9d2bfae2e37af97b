"""Names of dynamic sizes. One may be the sum of others, as `past + new`: it has no size of its own,
and every file and every call is held to the sum."""

from __future__ import annotations

from collections.abc import Mapping

_PLUS = " + "


def terms_of(name: str) -> tuple[str, ...]:
    """Return the names that a size is the sum of; itself alone where it is no sum."""
    return tuple(name.split(_PLUS))


def is_sum(name: str) -> bool:
    """Return whether a size follows from others."""
    return _PLUS in name


def size_of(name: str, sizes: Mapping[str, int]) -> int:
    """Return the size of a name. sizes: {name: size} of all that are no sums."""
    return sum(sizes[term] for term in terms_of(name))
