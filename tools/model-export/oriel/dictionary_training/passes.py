"""Runs a model over passages, several at a time, and collects the rows that a dictionary reads and
writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.bundle.passages import Ids
from oriel.contract.activation_names import kinds
from oriel.contract.documents import DictionaryActivation
from oriel.dictionaries.dictionary_file import token_rows
from oriel.dictionary_training.source import Source

_VALUES_AT_ONCE = 1 << 23
"""Maximum number of logits, or of features, computed in one pass: 32 MiB."""


@dataclass(frozen=True)
class Batch:
    """Passages of one pass, padded behind their tokens: a model that continues texts computes the
    same for a token, whatever stands after it."""

    ids: Ids
    """(batch, seq), int64."""
    counted: Array
    """(batch, seq), bool: tokens of passages without each passage's first. Where the model begins
    texts with a token, it is the same in all passages, and its activations are much larger than all
    others in many models."""


def batches_of(passages: Sequence[Ids], width: int) -> Iterator[Batch]:
    """Yield all passages, those of about the same length together. width: number of logits of a
    token, or of its features where these are more."""
    order = sorted(range(len(passages)), key=lambda at: len(passages[at]))
    longest = max(len(ids) for ids in passages)
    count = max(1, _VALUES_AT_ONCE // (width * longest))
    for begin in range(0, len(order), count):
        rows = [passages[at] for at in order[begin : begin + count]]
        width = max(map(len, rows))
        ids = np.zeros((len(rows), width), dtype=np.int64)
        counted = np.zeros((len(rows), width), dtype=bool)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = row
            counted[at, 1 : len(row)] = True
        yield Batch(ids, counted)


def activation_name(activation: DictionaryActivation) -> str:
    """Return the name of an activation in the contract."""
    return kinds()[activation["kind"]].at(int(activation["layer"]))


def collect(
    source: Source,
    passages: Sequence[Ids],
    activations: Collection[DictionaryActivation],
    on_passage: Callable[[int], None] = lambda _: None,
) -> list[Tensor]:
    """Return the rows (tokens, width), float32, of each activation, at all tokens of the passages
    but the first of each. on_passage: called with the number of finished passages."""
    names = [activation_name(each) for each in activations]
    found: list[list[Array]] = [[] for _ in names]
    done = 0
    for batch in batches_of(passages, source.shape.vocab):
        values = source.run(batch.ids, dict.fromkeys(names), ())
        for each, name in zip(found, names, strict=True):
            each.append(token_rows(values[name])[batch.counted])
        done += len(batch.ids)
        on_passage(done)
    return [torch.from_numpy(np.concatenate(each)) for each in found]
