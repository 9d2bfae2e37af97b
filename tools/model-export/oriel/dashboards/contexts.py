"""Documents as rows of tokens: one after another, each after the token that begins a text, cut into
full contexts of the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from oriel.contract.manifest import Manifest
from oriel.dashboards.reduce import Context
from oriel.errors import BundleError, OptionError
from oriel.tokenizers.known_text import MAX_UNKNOWN_SHARE, UnknownShare
from oriel.tokenizers.open_tokenizer import encoding_errors, open_tokenizer
from oriel.tokenizers.passage_start import passage_start

if TYPE_CHECKING:
    from tokenizers import Tokenizer

LONGEST_CONTEXT = 2048
"""Tokens of a context at most, whatever the model allows."""
_AT_ONCE = 64
"""Documents tokenized at a time."""
_SHORTEST = 2
_MEASURED = 256
"""Documents at the beginning of a corpus whose unknown characters are counted."""
_NEXT_STEP = "give text such as the model was trained on."


@dataclass(frozen=True)
class ContextReader:
    """How texts become contexts."""

    tokenizer: Tokenizer
    start: tuple[int, ...]
    """Tokens before each document."""
    end: tuple[int, ...]
    """Tokens after each; none where the model continues texts."""
    length: int
    vocab: int

    def contexts(self, documents: Iterable[str], limit: int | None = None) -> Iterator[Context]:
        """Yield a shard's contexts, all full but the last. limit: tokens at most.

        Raises OptionError for a text with a token that the model has no row for, BundleError for
        one that the tokenizer can't read.
        """
        number, left, waiting = 0, limit, np.zeros(0, dtype=np.int64)
        for ids in self._encoded(documents):
            waiting = np.concatenate([waiting, ids])
            while len(waiting) >= self.length and (left is None or left >= self.length):
                yield Context(number, waiting[: self.length])
                waiting = waiting[self.length :]
                number += 1
                left = None if left is None else left - self.length
            if left is not None and len(waiting) >= left:
                break
        rest = waiting[: self.length if left is None else left]
        if len(rest) >= _SHORTEST:
            yield Context(number, rest)

    def check_known(self, documents: Iterable[str]) -> None:
        """Raise OptionError where the tokenizer doesn't know the characters of these texts, and for
        no text at all."""
        share = UnknownShare(self.tokenizer, self.vocab)
        texts = list(islice(documents, _MEASURED))
        if not texts:
            raise OptionError(
                "--corpus is empty", got="no text", expected="a document", next_step=_NEXT_STEP
            )
        with encoding_errors("the corpus", _NEXT_STEP):
            share.add(texts, self.tokenizer.encode_batch(texts, add_special_tokens=False))
        if share.share > MAX_UNKNOWN_SHARE:
            raise OptionError(
                "--corpus is text that the model's tokenizer doesn't know",
                got=f"{share.share:.0%} unknown characters",
                expected=f"at most {MAX_UNKNOWN_SHARE:.0%}",
                next_step=_NEXT_STEP,
            )

    def _encoded(self, documents: Iterable[str]) -> Iterator[np.ndarray]:
        """Yield the ids of some documents after another, (tokens), int64."""
        iterator = iter(documents)
        while texts := list(islice(iterator, _AT_ONCE)):
            with encoding_errors("the corpus", _NEXT_STEP):
                found = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            rows = [np.array([*self.start, *each.ids, *self.end], np.int64) for each in found]
            ids = np.concatenate(rows)
            largest = int(ids.max(initial=0))
            if largest >= self.vocab:
                raise OptionError(
                    "--corpus holds a token that the model has no row for",
                    got=f"{str(self.tokenizer.id_to_token(largest))[:40]!r}, id {largest}",
                    expected=f"ids below {self.vocab}",
                    next_step=_NEXT_STEP,
                )
            yield ids


def context_reader(folder: Path, manifest: Manifest) -> ContextReader:
    """Return the reader for a bundle. Raises BundleError where it has no tokenizer."""
    files = manifest.data.get("tokenizer")
    if files is None:
        raise BundleError(
            "the bundle has no tokenizer, so that no text can be read",
            next_step="add the tokenizer's files to the checkpoint and export it again.",
        )
    shape = manifest.shape
    return ContextReader(
        open_tokenizer(folder / files["tokenizer"]),
        passage_start(manifest.data),
        tuple(map(int, files.get("last_tokens", ()))) if shape.bidirectional else (),
        min(shape.context_length, LONGEST_CONTEXT),
        shape.vocab,
    )
