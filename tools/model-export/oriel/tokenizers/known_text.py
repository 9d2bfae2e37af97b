"""How much of a text a tokenizer knows, in characters: some put one token in place of what they
don't know, and others nothing at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

MOST_UNKNOWN = 0.2
"""Share of a text's characters: of more, what a model makes of it says little about the model."""


def unknown_token(tokenizer: Tokenizer) -> int | None:
    """The id that stands for whatever isn't in the vocabulary."""
    model = tokenizer.model
    name = getattr(model, "unk_token", None)
    if name:
        return tokenizer.token_to_id(name)
    if type(model).__name__ == "Unigram":
        found = json.loads(tokenizer.to_str())["model"].get("unk_id")
        return None if found is None else int(found)
    return None


class UnknownShare:
    """Counts characters of texts, and those that no token of the model's stands for."""

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        """vocab: rows of the model; a token behind them is as good as none."""
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
        """From 0 to 1; 0 of no text at all."""
        return self._missed / self._characters if self._characters else 0.0
