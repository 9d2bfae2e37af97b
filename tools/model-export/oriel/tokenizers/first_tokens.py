"""What a tokenizer puts before every text, found by what it adds to some."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

MOST = 16
"""As in contracts/manifest.schema.json."""


def find_first_tokens(
    encode: Callable[[str, bool], Sequence[int]], texts: Iterable[str]
) -> tuple[int, ...] | None:
    """encode: a text's ids, with or without what goes around it.

    None where no tokens stand before all of the texts alike. What stands after them is left out.
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
    # Where a text could stand in two places, all of them together leave one, or the nearest is it.
    return min(candidates, key=len)
