"""Passages of text as token ids, for calibration and fidelity: a user's file or the bundled corpus,
tokenized by a bundle's own tokenizer, and how the manifest records them. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from oriel.contract.documents import MeasuredText
from oriel.errors import BundleError, OptionError
from oriel.tokenizers.known_text import MAX_UNKNOWN_SHARE, UnknownShare
from oriel.tokenizers.open_tokenizer import encoding_errors

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = npt.NDArray[np.int64]

MAX_TEXT_BYTES = 64 * 1024 * 1024
"""Bytes of a user's text: far more than is ever measured."""
_AT_ONCE = 64
"""Texts tokenized at a time: of a long file only the beginning is needed."""


@dataclass(frozen=True)
class Passages:
    """Texts that are independent of each other, as the model reads them."""

    name: str
    ids: tuple[Ids, ...]
    """Each (seq), int64, two tokens at least."""

    @property
    def tokens(self) -> int:
        return sum(len(ids) for ids in self.ids)

    @property
    def digest(self) -> str:
        """SHA-256 of the ids, little-endian int64, passages one after another."""
        digest = hashlib.sha256()
        for ids in self.ids:
            digest.update(ids.astype("<i8").tobytes())
        return f"sha256:{digest.hexdigest()}"

    def to_json(self) -> MeasuredText:
        return {
            "name": self.name,
            "digest": self.digest,
            "passages": len(self.ids),
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Cutting:
    """Limits and first tokens by which texts are cut into passages."""

    start: tuple[int, ...]
    """Put before each text: see oriel.tokenizers.passage_start."""
    longest: int
    """Largest number of tokens in a passage; longer texts continue in another one."""
    tokens: int
    """Largest number of tokens in all passages together."""


def read_text(file: Path, flag: str) -> list[str]:
    """Read one text from each line; empty lines are left out. Raises OptionError, which names the
    flag that gave the file, where there is no text in it."""
    one_a_line = "plain text in UTF-8, one passage a line"
    try:
        size = file.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise OptionError(
                f"{flag} is too large",
                got=f"{file}, {size / 1e6:.0f} MB",
                expected=f"at most {MAX_TEXT_BYTES / 1e6:.0f} MB",
                next_step="a few hundred passages are enough.",
            )
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise OptionError(
            f"{flag} can't be read",
            got=f"{file}: {error.strerror}",
            expected=one_a_line,
            next_step="check the path.",
        ) from error
    except UnicodeDecodeError as error:
        raise OptionError(
            f"{flag} is not UTF-8",
            got=f"{file}, byte 0x{error.object[error.start]:02x} at {error.start}",
            expected=one_a_line,
            next_step="save it as UTF-8.",
        ) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise OptionError(
            f"{flag} is empty",
            got=str(file),
            expected=one_a_line,
            next_step="put some text into it, or leave the flag out for the bundled corpus.",
        )
    return texts


@dataclass(frozen=True)
class Tokenized:
    """Texts as token ids, and how much of them the tokenizer knows."""

    ids: tuple[Ids, ...]
    unknown: float
    """Share of the characters that no token of the model's stands for, from 0 to 1."""


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, cutting: Cutting, vocab: int) -> Tokenized:
    """Turn texts, in their order, into (seq) ids until there are enough tokens. Texts too short to
    predict anything are left out. vocab: rows of the model. Raises BundleError where a text has a
    word that the tokenizer doesn't know and can't read."""
    found: list[Ids] = []
    share = UnknownShare(tokenizer, vocab)
    left = cutting.tokens
    for first in range(0, len(texts), _AT_ONCE):
        batch = list(texts[first : first + _AT_ONCE])
        with encoding_errors("the text", "give a text of words that it knows."):
            encodings = tokenizer.encode_batch(batch, add_special_tokens=False)
        share.add(batch, encodings)
        for encoding in encodings:
            for ids in _cut(encoding.ids, cutting):
                part = ids[:left]
                if len(part) < 2:
                    continue
                found.append(np.array(part, dtype=np.int64))
                left -= len(part)
        if left < 2:
            break
    return Tokenized(tuple(found), share.share)


def unfit_text(
    flag: str, file: Path, found: Tokenized, tokenizer: Tokenizer, vocab: int, instead: str
) -> OptionError | None:
    """Return the error in a user's text as the model would read it, or None if there is none.

    instead: words for what happens where the flag is left out.
    """
    largest = max((int(ids.max()) for ids in found.ids), default=0)
    if largest >= vocab:
        return OptionError(
            f"{flag} holds a token that the model has no row for",
            got=f"{str(tokenizer.id_to_token(largest))[:40]!r}, id {largest}, in {file}",
            expected=f"ids below {vocab}",
            next_step=f"take it out of the text, or leave the flag out: {instead}.",
        )
    if found.unknown > MAX_UNKNOWN_SHARE:
        return OptionError(
            f"{flag} is text that the model's tokenizer doesn't know",
            got=f"{found.unknown:.0%} unknown characters in {file}",
            expected=f"at most {MAX_UNKNOWN_SHARE:.0%}",
            next_step=f"give text such as the model was trained on, or leave the flag out: "
            f"{instead}.",
        )
    return None


def tokenize_corpus(
    texts: Sequence[str], tokenizer: Tokenizer, cutting: Cutting, vocab: int
) -> Tokenized:
    """Tokenize the bundled corpus. The user didn't choose it, so where the tokenizer can't read it,
    that is no error: all of it counts as unknown."""
    try:
        return tokenize(texts, tokenizer, cutting, vocab)
    except BundleError:
        return Tokenized((), 1.0)


def corpus_unfit_reason(found: Tokenized, vocab: int) -> str | None:
    """Return why the bundled corpus, as tokenized, can't measure a model; None if it can."""
    if any(int(ids.max()) >= vocab for ids in found.ids):
        return "its tokenizer makes tokens that it has no rows for"
    if found.unknown > MAX_UNKNOWN_SHARE:
        return f"its tokenizer doesn't know {found.unknown:.0%} of the bundled corpus"
    return None


def _cut(ids: Sequence[int], cutting: Cutting) -> Iterable[Sequence[int]]:
    whole = [*cutting.start, *ids] if ids else []
    return (whole[i : i + cutting.longest] for i in range(0, len(whole), cutting.longest))
