"""Share of a text that a tokenizer knows, in characters: some tokenizers put one token in place of
what they don't know, and others nothing at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MAX_UNKNOWN_SHARE = 0.2
"""Largest share of unknown characters: above it, a model's results on the text say little about the
model."""


def unknown_token(tokenizer: Tokenizer) -> int | None:
    """Return the id that stands for everything outside the vocabulary, if there is one."""
    model = tokenizer.model
    name = getattr(model, "unk_token", None)
    if name:
        return tokenizer.token_to_id(name)
    if type(model).__name__ == "Unigram":
        found = json.loads(tokenizer.to_str())["model"].get("unk_id")
        return None if found is None else int(found)
    return None


class UnknownShare:
    """Counter of the characters of texts, and of those that no token of the model stands for."""

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        """vocab: rows of the model; a token with an id beyond them counts as unknown."""
        self._unknown = unknown_token(tokenizer)
        self._vocab = vocab
        self._characters = 0
        self._missed = 0

    def add(self, texts: Sequence[str], encodings: Sequence[Encoding]) -> None:
        for text, encoding in zip(texts, encodings, strict=True):
            seen = bytearray(len(text))
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
                if token != self._unknown and token < self._vocab:
                    seen[start:end] = b"\1" * (end - start)
            letters = [i for i, character in enumerate(text) if not character.isspace()]
            self._characters += len(letters)
            self._missed += sum(not seen[i] for i in letters)

    @property
    def share(self) -> float:
        """Share of unknown characters, from 0 to 1; 0 where there was no text."""
        return self._missed / self._characters if self._characters else 0.0
