"""Detection of the tokens that a tokenizer puts around every text, from what it adds to some
texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

MAX_FIRST_TOKENS = 16
"""Largest number of first tokens, as in contracts/manifest.schema.json."""


def find_first_tokens(
    encode: Callable[[str, bool], Sequence[int]], texts: Iterable[str]
) -> tuple[int, ...] | None:
    """Return the tokens that come before every text; None where they are not the same for all
    texts.

    encode: a text's ids, with or without the special tokens around it. Tokens after a text are left
    out.
    """
    candidates: set[tuple[int, ...]] | None = None
    for text in texts:
        bare, whole = list(encode(text, False)), list(encode(text, True))
        if not bare:
            continue
        at = {
            tuple(whole[:k])
            for k in range(len(whole) - len(bare) + 1)
            if whole[k : k + len(bare)] == bare
        }
        candidates = at if candidates is None else candidates & at
    if not candidates:
        return None if candidates is not None else ()
    # A text may be found at two positions in its ids: all texts together leave one, or else the
    # first is taken.
    return min(candidates, key=len)


def find_last_tokens(
    encode: Callable[[str, bool], Sequence[int]], texts: Iterable[str], first: Sequence[int]
) -> tuple[int, ...]:
    """Return the tokens that come after every text; none where they are not the same for all texts.

    encode: as find_first_tokens takes it. first: what it found.
    """
    found: set[tuple[int, ...]] = set()
    for text in texts:
        bare, whole = list(encode(text, False)), list(encode(text, True))
        start = [*first, *bare]
        found.add(tuple(whole[len(start) :]) if whole[: len(start)] == start else ())
    return found.pop() if len(found) == 1 else ()
