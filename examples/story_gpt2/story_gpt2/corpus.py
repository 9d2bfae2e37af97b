"""The corpus: its kinds of document, their mix, and the documents held out of training.

A document is held out by a rule on its own text, so training and held-out text can never overlap.
Tokens are made of it in batches.py.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from random import Random

from story_gpt2.agreement import agreement_document
from story_gpt2.indirect_objects import indirect_object_document
from story_gpt2.patterns import PATTERNS
from story_gpt2.plain_english import plain_english
from story_gpt2.stories import scene, story

KINDS: dict[str, Callable[[Random], str]] = {
    "story": story,
    "scene": scene,
    "plain_english": plain_english,
    "indirect_object": indirect_object_document,
    "agreement": agreement_document,
    **PATTERNS,
}
"""Every kind of document, by name."""

WEIGHTS: dict[str, float] = {
    "story": 30,
    "scene": 10,
    "plain_english": 20,
    "indirect_object": 22,
    "agreement": 13,
    "brackets": 3,
    "quotes": 4,
    "counting": 4,
    "calendar": 4,
    "alphabet": 1,
    "sums": 2,
    "repeated_words": 3,
    "lists": 2,
}
"""Relative frequencies of the kinds (by documents, not tokens)."""

_HELD_OUT_EVERY = 24


def is_held_out(text: str) -> bool:
    """Return whether training never sees this document (about one in 24)."""
    return zlib.crc32(text.encode()) % _HELD_OUT_EVERY == 0


def document(kind: str, seed: str) -> str:
    """Write one document; the same kind and seed give the same text."""
    return KINDS[kind](Random(f"{kind}/{seed}"))


def _documents(seed: int, *, held_out: bool) -> Iterator[tuple[str, str]]:
    choose = Random(f"mix/{seed}")
    kinds, weights = list(WEIGHTS), list(WEIGHTS.values())
    index = 0
    while True:
        for kind in choose.choices(kinds, weights, k=1024):
            text = document(kind, f"{seed}/{index}")
            index += 1
            if is_held_out(text) == held_out:
                yield kind, text


def training_documents(seed: int) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) pairs in the training mix, endlessly."""
    return _documents(seed, held_out=False)


def held_out_documents(seed: int) -> Iterator[tuple[str, str]]:
    """Yield (kind, text) pairs in the same mix that training can't contain, endlessly."""
    return _documents(seed, held_out=True)


def training_passages(count: int, seed: int = 0) -> list[str]:
    """Return texts of the kind that the model was trained on."""
    return [text for (_, text), _ in zip(training_documents(seed), range(count), strict=False)]


def held_out_passages(count: int, seed: int = 0) -> list[str]:
    """Return texts of the same kind, but not trained on, for calibration and fidelity."""
    return [text for (_, text), _ in zip(held_out_documents(seed), range(count), strict=False)]
