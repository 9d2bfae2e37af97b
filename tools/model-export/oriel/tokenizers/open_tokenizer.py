"""The single place that opens a tokenizer.json. Padding and truncation, which training scripts
leave in it, are taken out: they would add to a text or cut it without a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import BundleError, OrielError, reason_of

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""The byte order mark that some editors put before UTF-8."""


def open_tokenizer(file: Path) -> Tokenizer:
    """The tokenizer of a bundle; BundleError where it can't be read."""
    try:
        return parse_tokenizer(file.read_bytes())
    except Exception as error:
        # The library raises plain Exception for whatever is wrong with a file.
        raise BundleError(
            f"{file} is not a tokenizer that can be read",
            got=reason_of(error),
            next_step="export the bundle again.",
        ) from error


def parse_tokenizer(data: bytes) -> Tokenizer:
    """Raises whatever the library raises."""
    from tokenizers import Tokenizer

    return without_padding(Tokenizer.from_str(without_mark(data).decode("utf-8")))


def without_padding(tokenizer: Tokenizer) -> Tokenizer:
    """The same one, which from now on neither pads nor cuts."""
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


@contextmanager
def encoding_errors(what: str, next_step: str) -> Iterator[None]:
    """Raise BundleError for whatever goes wrong inside while a text is encoded: a vocabulary of
    words without one for unknown ones can't read all, and the library raises plain Exception."""
    try:
        yield
    except OrielError:
        raise
    except Exception as error:
        raise BundleError(
            f"the tokenizer can't read {what}", got=reason_of(error), next_step=next_step
        ) from error


def without_mark(data: bytes) -> bytes:
    """A file's bytes without a byte order mark."""
    return data.removeprefix(_BYTE_ORDER_MARK)
