"""Passages of text as token ids, for calibration and fidelity: a user's file or the bundled corpus,
tokenized by a bundle's own tokenizer, and how the manifest records them. No torch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from oriel.errors import BundleError, OptionError, reason_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Ids = npt.NDArray[np.int64]

MOST_TEXT = 64 * 1024 * 1024
"""Bytes of a user's text: far more than is ever measured."""
_AT_ONCE = 64
"""Texts tokenized at a time: of a long file only the beginning is needed."""


@dataclass(frozen=True)
class Passages:
    """Texts that have nothing to do with each other, as the model is fed them."""

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

    def to_json(self) -> dict[str, Any]:
        """measuredText of manifest.schema.json."""
        return {
            "name": self.name,
            "digest": self.digest,
            "passages": len(self.ids),
            "tokens": self.tokens,
        }


@dataclass(frozen=True)
class Cutting:
    """How texts become passages."""

    start: int | None
    """Put before each text, where the model has a token for that."""
    longest: int
    """Tokens of a passage, at most; longer texts go on in another one."""
    tokens: int
    """Tokens of all passages, at most."""


def read_text(file: Path, flag: str) -> list[str]:
    """One text a line; empty lines are left out. OptionError, by the name of the flag that gave the
    file, where there is no text in it."""
    one_a_line = "plain text in UTF-8, one passage a line"
    try:
        size = file.stat().st_size
        if size > MOST_TEXT:
            raise OptionError(
                f"{flag} is too large",
                got=f"{file}, {size / 1e6:.0f} MB",
                expected=f"at most {MOST_TEXT / 1e6:.0f} MB",
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


def open_tokenizer(file: Path) -> Tokenizer:
    """BundleError where it can't be read."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:
        # The library raises plain Exception for whatever is wrong with a file.
        raise BundleError(
            f"{file} is not a tokenizer that can be read",
            got=reason_of(error),
            next_step="export the bundle again.",
        ) from error


def tokenize(texts: Sequence[str], tokenizer: Tokenizer, cutting: Cutting) -> tuple[Ids, ...]:
    """Texts in their order as (seq) ids, until there are enough tokens. What is too short to
    predict anything is left out."""
    found: list[Ids] = []
    left = cutting.tokens
    for first in range(0, len(texts), _AT_ONCE):
        batch = list(texts[first : first + _AT_ONCE])
        for encoding in tokenizer.encode_batch(batch, add_special_tokens=False):
            for ids in _cut(encoding.ids, cutting):
                part = ids[:left]
                if len(part) < 2:
                    continue
                found.append(np.array(part, dtype=np.int64))
                left -= len(part)
        if left < 2:
            break
    return tuple(found)


def _cut(ids: Sequence[int], cutting: Cutting) -> Iterable[Sequence[int]]:
    whole = [*([] if cutting.start is None else [cutting.start]), *ids]
    return (whole[i : i + cutting.longest] for i in range(0, len(whole), cutting.longest))
