"""Choice of the text that a model is calibrated on: the user's, or the bundled corpus' training
passages, or random ids where there is no tokenizer or it knows too little of those passages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from oriel.bundle.passages import (
    Cutting,
    Passages,
    corpus_unfit_reason,
    read_text,
    tokenize,
    tokenize_corpus,
    unfit_text,
)
from oriel.contract.activation_names import ModelShape
from oriel.errors import OptionError
from oriel.graph.build_graphs import BuiltGraphs
from oriel.models.demo.bundled_text import training_passages
from oriel.precision.calibration.calibrate import Calibration, RangeMethod

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MIN_TOKENS = 64
"""Smallest number of tokens of a user's text: ranges of fewer positions are chance."""
MAX_TOKENS = 2048
"""Largest number of tokens: four times as many take four times as long and, as measured, make 4
bits no better."""
MAX_PASSAGE_TOKENS = 128
_RANDOM_PASSAGES = 16
_SEED = 33
_FLAG = "--calibration"


class TextLimits(Protocol):
    """A model's limits of what it reads."""

    @property
    def vocab(self) -> int:
        """Rows of the model; token ids are below."""

    @property
    def context_length(self) -> int:
        """Largest number of tokens."""


def calibration_passages(
    shape: TextLimits, tokenizer: Tokenizer | None, start: tuple[int, ...], file: Path | None
) -> Passages:
    """Return the passages to calibrate on. tokenizer: the bundle's. start: the tokens put before
    each passage.

    Raises OptionError where the user's text can't be used.
    """
    longest = min(shape.context_length, MAX_PASSAGE_TOKENS)
    if tokenizer is None:
        if file is not None:
            raise OptionError(
                f"{_FLAG} can't be read by a model without a tokenizer",
                got=str(file),
                next_step="leave it out: random ids are taken then.",
            )
        return _random_ids(shape, longest, "random ids")
    cutting = Cutting(start, longest, MAX_TOKENS)
    if file is None:
        found = tokenize_corpus(training_passages(), tokenizer, cutting, shape.vocab)
        reason = corpus_unfit_reason(found, shape.vocab)
        if reason is not None:
            # Random ids give half of what calibration on text gains: see docs/recipes.md.
            return _random_ids(shape, longest, f"random ids, as {reason}")
        return Passages("bundled corpus, training passages", found.ids)
    found = tokenize(read_text(file, _FLAG), tokenizer, cutting, shape.vocab)
    passages = Passages(file.name[:256], found.ids)
    if passages.tokens < MIN_TOKENS:
        raise OptionError(
            f"{_FLAG} is too short",
            got=f"{file}, {passages.tokens} tokens",
            expected=f"at least {MIN_TOKENS}",
            next_step="add passages, or leave the flag out for the bundled corpus.",
        )
    instead = "the bundled corpus or random ids are taken"
    unfit = unfit_text(_FLAG, file, found, tokenizer, shape.vocab, instead)
    if unfit is not None:
        raise unfit
    return passages


def _random_ids(shape: TextLimits, longest: int, name: str) -> Passages:
    rng = np.random.default_rng(_SEED)
    ids = [rng.integers(0, shape.vocab, longest) for _ in range(_RANDOM_PASSAGES)]
    return Passages(name, tuple(i.astype(np.int64) for i in ids))


@dataclass(frozen=True)
class TextCalibration:
    """The text that a bundle is calibrated on, and the method."""

    tokenizer: Tokenizer | None
    """The bundle's."""
    start: tuple[int, ...]
    """Tokens put before each passage."""
    file: Path | None
    """The user's text; None for the bundled corpus."""
    method: RangeMethod

    def passages(self, shape: ModelShape) -> Passages:
        return calibration_passages(shape, self.tokenizer, self.start, self.file)

    def run(
        self, folder: Path, graphs: BuiltGraphs, shape: ModelShape, ranges: bool, moments: bool
    ) -> Calibration:
        """Calibrate on the text by running the float32 graph, whose weights lie in the folder."""
        from oriel.precision.calibration.calibrate import calibrate

        passages = self.passages(shape)
        method = self.method if ranges else None
        return calibrate(folder, graphs, shape, passages, method, moments)
