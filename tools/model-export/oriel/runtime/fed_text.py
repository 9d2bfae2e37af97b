"""The tokens of one run, with their positions: those fed in this call and those in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from oriel.errors import OptionError

Ids = NDArray[np.int64]
Mask = NDArray[np.int64]


@dataclass(frozen=True)
class FedText:
    """Texts of one call, each row one; padding stands before the shorter ones."""

    ids: Ids
    """(batch, seq), int64."""
    mask: Mask
    """(batch, past + seq), int64: 0 for padding."""
    goes_on: bool = False
    """More tokens may come: an edit may name a position behind the last."""

    @property
    def batch(self) -> int:
        return len(self.ids)

    @property
    def seq(self) -> int:
        return int(self.ids.shape[1])

    @property
    def total(self) -> int:
        return int(self.mask.shape[1])

    @property
    def is_even(self) -> bool:
        """No padding: every text has the same positions."""
        return bool(self.mask.all())

    def key_positions(self) -> NDArray[np.int64]:
        """(batch, past + seq), or (1, …) without padding: each token's position in its own text; -1
        for padding."""
        if self.is_even:
            return np.arange(self.total)[None]
        counted: NDArray[np.int64] = np.where(self.mask > 0, self.mask.cumsum(axis=1) - 1, -1)
        return counted

    def positions(self) -> NDArray[np.int64]:
        """(batch, seq), or (1, seq) without padding: those of the tokens fed."""
        return self.key_positions()[:, self.total - self.seq :]

    def lengths(self) -> NDArray[np.int64]:
        """(batch, 1), or (1, 1) without padding: tokens of each text so far."""
        longest: NDArray[np.int64] = self.key_positions().max(axis=1, keepdims=True) + 1
        return longest


def check_tokens(ids: ArrayLike, vocab: int) -> None:
    """Raise OptionError for the first id that is no row of the vocabulary."""
    listed = np.asarray(ids).reshape(-1)
    bad = listed[(listed < 0) | (listed >= vocab)]
    if len(bad):
        raise OptionError(
            "the model has no such token", got=f"id {bad[0]}", expected=f"ids from 0 to {vocab - 1}"
        )


def padded(texts: Sequence[Sequence[int]]) -> tuple[Ids, Mask]:
    """Return ids (batch, seq) and their mask; shorter texts have padding, of id 0, before them."""
    longest = max(map(len, texts))
    ids = np.zeros((len(texts), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(texts):
        ids[row, longest - len(text) :] = text
        mask[row, longest - len(text) :] = 1
    return ids, mask
