"""The exact bytes that each token of a tokenizer.json stands for, which may be part of a character:
what the page shows as its text. The same rules in TypeScript: apps/web/src/tokenizer/."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from oriel.contract.json_value import JsonObject, JsonValue, object_at, text_at
from oriel.tokenizers.open_tokenizer import encoding_errors, open_tokenizer, without_mark


@dataclass(frozen=True)
class WordMarks:
    """Marks in a vocabulary of words and word pieces, whose entries hold no spaces."""

    before: str
    """Text to put before a word's first piece."""
    inner: str
    """Marks a piece that continues a word, as ## does; empty where none does."""
    end: str
    """Marks the last piece of a word, as </w> does; empty where none is marked."""


Style = Literal["byte-level", "sentencepiece", "plain"] | WordMarks
"""The way in which a vocabulary writes bytes as text."""

_SPACE_DROPPING_PRE_TOKENIZERS = {"Whitespace", "WhitespaceSplit", "BertPreTokenizer"}

_HEX = re.compile(r"<0x([0-9A-F]{2})>")


class TokenBytes:
    """Bytes of tokens by id."""

    def __init__(self, file: Path) -> None:
        """Open a tokenizer.json. Raises BundleError where it can't be read."""
        self.tokenizer = open_tokenizer(file)
        parsed: JsonValue = json.loads(without_mark(file.read_bytes()))
        assert isinstance(parsed, dict), "the library opened it"
        self._style = vocabulary_style(parsed)
        self._added = {
            token: str(added.content)
            for token, added in self.tokenizer.get_added_tokens_decoder().items()
        }

    def encode(self, text: str) -> list[int]:
        """Return the plain text's tokens, without any that a model puts before them. Raises
        BundleError where the vocabulary lacks a word and has nothing to put in its place."""
        with encoding_errors("the text", "name another one."):
            return list(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def of(self, token: int) -> bytes:
        """Return a token's bytes; none for an id that the vocabulary lacks, as padded ones have."""
        if token in self._added:
            return self._added[token].encode()
        entry = self.tokenizer.id_to_token(token)
        return b"" if entry is None else _entry_bytes(entry, self._style)


def vocabulary_style(tokenizer: JsonObject) -> Style:
    """Find the style of a parsed tokenizer.json from its parts."""
    parts = [
        part
        for key in ("decoder", "pre_tokenizer", "normalizer")
        for part in _parts(tokenizer.get(key))
    ]
    kinds = {part.get("type") for part in parts}
    if "ByteLevel" in kinds:
        return "byte-level"
    model = object_at(tokenizer, "model")
    if model.get("byte_fallback") is True or model.get("type") == "Unigram":
        return "sentencepiece"
    if kinds & {"Metaspace", "ByteFallback"}:
        return "sentencepiece"
    return _word_marks(model, list(_parts(tokenizer.get("pre_tokenizer")))) or "plain"


def _word_marks(model: JsonObject, pre_tokenizers: Sequence[JsonObject]) -> WordMarks | None:
    end = text_at(model, "end_of_word_suffix")
    if model.get("type") == "BPE" and end:
        return WordMarks(before="", inner="", end=end)
    if model.get("type") == "WordPiece":
        inner = text_at(model, "continuing_subword_prefix") or ""
        return WordMarks(before=" ", inner=inner, end="")
    if model.get("type") != "WordLevel":
        return None
    for part in pre_tokenizers:
        if part.get("type") == "CharDelimiterSplit":
            return WordMarks(before=text_at(part, "delimiter") or "", inner="", end="")
    drops = any(part.get("type") in _SPACE_DROPPING_PRE_TOKENIZERS for part in pre_tokenizers)
    return WordMarks(before=" ", inner="", end="") if drops else None


def _parts(part: JsonValue) -> Iterator[JsonObject]:
    """Yield a part, and the parts nested in it if it is a Sequence."""
    if not isinstance(part, dict):
        return
    yield part
    for key in ("decoders", "pretokenizers", "normalizers"):
        nested = part.get(key)
        for inner in nested if isinstance(nested, list) else ():
            yield from _parts(inner)


def _word_text(entry: str, marks: WordMarks) -> str:
    if marks.end:
        return entry.removesuffix(marks.end) + " " if entry.endswith(marks.end) else entry
    if marks.inner and entry.startswith(marks.inner):
        return entry.removeprefix(marks.inner)
    return marks.before + entry


def _entry_bytes(entry: str, style: Style) -> bytes:
    if isinstance(style, WordMarks):
        return _word_text(entry, style).encode()
    if style == "sentencepiece":
        found = _HEX.fullmatch(entry)
        if found is None:
            return entry.replace("\N{LOWER ONE EIGHTH BLOCK}", " ").encode()
        return bytes([int(found[1], 16)])
    if style == "plain" or any(c not in _BYTE_OF for c in entry):
        # An entry outside the map was added as plain text by hand.
        return entry.encode()
    return bytes(_BYTE_OF[c] for c in entry)


def _byte_of_character() -> dict[str, int]:
    """Return GPT-2's map from printable characters back to bytes: printable Latin-1 stands for
    itself, the rest were moved, in order, to 256 and up (openai/gpt-2, encoder.py,
    bytes_to_unicode)."""
    found: dict[str, int] = {}
    moved = 256
    for byte in range(256):
        printable = 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE
        found[chr(byte if printable else moved)] = byte
        moved += not printable
    return found


_BYTE_OF = _byte_of_character()
