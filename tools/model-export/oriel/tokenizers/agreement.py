"""Comparison of two tokenizers by the ids that they give for the same texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from oriel.contract.documents import TokenizerAgreement

_SHOWN = 12
"""Number of ids shown from the first that differs; the two before it are shown too."""


@dataclass(frozen=True)
class Agreement:
    """Numbers of texts and tokens, and what differs."""

    texts: int
    tokens: int
    differing: int
    note: str | None = None
    """The first text that differs, with both ids."""

    def to_json(self) -> TokenizerAgreement:
        data: TokenizerAgreement = {
            "texts": self.texts,
            "tokens": self.tokens,
            "differing": self.differing,
        }
        return data if self.note is None else {**data, "note": self.note}


def encoded(encode: Callable[[str], list[int]], texts: Iterable[str]) -> dict[str, list[int]]:
    """Return the ids of the texts that can be encoded. A vocabulary of words may have no token for
    an unknown word; the library then raises plain Exception."""
    found: dict[str, list[int]] = {}
    for text in texts:
        with suppress(Exception):
            found[text] = encode(text)
    return found


def compare(
    wanted: Mapping[str, Sequence[int]],
    encode: Callable[[str], list[int]],
    whose: str = "transformers",
) -> Agreement:
    """Compare the ids that `encode` gives with `wanted`, the ids that each text should have.

    whose: the library that gave the wanted ones.
    """
    given = encoded(encode, wanted)
    differing, note = 0, None
    for text, ids in wanted.items():
        got = given.get(text, [])
        if text not in given or got != list(ids):
            differing += 1
            note = note or _difference(text, ids, got, whose)
    return Agreement(len(wanted), sum(map(len, wanted.values())), differing, note)


def _difference(text: str, wanted: Sequence[int], got: Sequence[int], whose: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b), 0)
    part = slice(max(0, at - 2), at + _SHOWN)
    return f"{text[:60]!r} gives {list(got)[part]} where {whose} gives {list(wanted)[part]}"
