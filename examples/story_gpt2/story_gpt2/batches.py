"""Rows of token ids to train on: packed documents and repeated random tokens.

Texts come from corpus.py. A label of ``IGNORED`` marks a token that nothing could predict, the
first pass over a random sequence, so that its noise does not drown the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from math import exp, log
from random import Random

import torch
from tokenizers import Tokenizer
from torch import Tensor

from story_gpt2.corpus import training_documents
from story_gpt2.tokenizer import END_OF_TEXT_ID

IGNORED = -100
ROW_LENGTH = 256


@dataclass(frozen=True)
class BatchOptions:
    """Sizes and contents of batches."""

    rows: int = 16
    seed: int = 20
    repeat_share: float = 0.18
    """Share of the tokens that are repeated random sequences."""
    early_repeat_share: float = 0.35
    """The same during the first ``early_batches``, where the sequences are short too."""
    early_batches: int = 600


@dataclass(frozen=True)
class Batch:
    """Rows of tokens and what follows each."""

    ids: Tensor
    """(rows, 256), int64."""
    labels: Tensor
    """(rows, 256), int64; ``labels[:, i]`` is the token after ``ids[:, i]``, or ``IGNORED``."""


def random_repeat(rng: Random, vocabulary: int, longest: int) -> tuple[list[int], int]:
    """Return a uniform random sequence repeated two or more times, and the length of one pass."""
    length = round(exp(rng.uniform(log(5), log(longest))))
    once = [rng.randint(END_OF_TEXT_ID + 1, vocabulary - 1) for _ in range(length)]
    times = 2 if length > 40 else rng.randint(2, 4)
    return once * times, length


def _encoded_documents(tokenizer: Tokenizer, seed: int) -> Iterator[list[int]]:
    texts = (text for _, text in training_documents(seed))
    while True:
        for encoding in tokenizer.encode_batch(list(islice(texts, 2048))):
            yield encoding.ids


def batches(tokenizer: Tokenizer, options: BatchOptions) -> Iterator[Batch]:
    """Yield batches endlessly; the same options and tokenizer give the same ones."""
    rng = Random(f"batches/{options.seed}")
    vocabulary = tokenizer.get_vocab_size()
    documents = _encoded_documents(tokenizer, options.seed)
    repeated = written = 0
    index = 0
    while True:
        early = index < options.early_batches
        share = options.early_repeat_share if early else options.repeat_share
        if index == options.early_batches:
            repeated = written = 0
        longest = 32 if early else 110
        rows, targets = [], []
        for _ in range(options.rows):
            row: list[int] = []
            target: list[int] = []
            while len(row) <= ROW_LENGTH:
                # Half of the rows begin without the marker, as a visitor's own text does.
                if row or rng.random() < 0.5:
                    row.append(END_OF_TEXT_ID)
                    target.append(END_OF_TEXT_ID)
                if repeated < share * written:
                    ids, once = random_repeat(rng, vocabulary, longest)
                    target += [IGNORED] * once + ids[once:]
                    repeated += len(ids)
                else:
                    ids = next(documents)
                    target += ids
                row += ids
                written += len(ids)
            rows.append(row[:ROW_LENGTH])
            targets.append(target[1 : ROW_LENGTH + 1])
        index += 1
        yield Batch(torch.tensor(rows), torch.tensor(targets))
