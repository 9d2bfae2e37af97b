"""Which text a model is calibrated on: the user's, the bundled corpus' training passages, or, where
the model has no tokenizer, random ids."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.bundle.passages import Cutting, Passages, open_tokenizer, read_text, tokenize
from oriel.contract.activation_names import ModelShape
from oriel.errors import BundleError, OptionError
from oriel.graph.build_graphs import BuiltGraphs
from oriel.models.demo.corpus import training_passages
from oriel.precision.calibrate import Calibration, RangeMethod

FEWEST_TOKENS = 64
"""Ranges of fewer positions are chance."""
MOST_TOKENS = 2048
"""Four times as many take four times as long, and make 4 bits no better by measurement."""
LONGEST = 128
_CORPUS_PASSAGES = 400
_RANDOM_PASSAGES = 16
_SEED = 33
_FLAG = "--calibration"


def calibration_passages(
    shape: ModelShape, tokenizer: Path | None, start: int | None, file: Path | None
) -> Passages:
    """tokenizer: the bundle's tokenizer.json. start: the token put before each passage.

    Raises OptionError where the user's text won't do.
    """
    longest = min(shape.context_length, LONGEST)
    if tokenizer is None:
        if file is not None:
            raise OptionError(
                f"{_FLAG} can't be read by a model without a tokenizer",
                got=str(file),
                next_step="leave it out: random ids are taken then.",
            )
        rng = np.random.default_rng(_SEED)
        ids = [rng.integers(0, shape.vocab, longest) for _ in range(_RANDOM_PASSAGES)]
        return Passages("random ids", tuple(i.astype(np.int64) for i in ids))
    known = start if start is not None and 0 <= start < shape.vocab else None
    cutting = Cutting(known, longest, MOST_TOKENS)
    if file is None:
        texts = training_passages(_CORPUS_PASSAGES)
        name = "bundled corpus, training passages"
    else:
        texts, name = read_text(file, _FLAG), file.name[:256]
    found = Passages(name, tokenize(texts, open_tokenizer(tokenizer), cutting))
    if any(int(ids.max()) >= shape.vocab or int(ids.min()) < 0 for ids in found.ids):
        raise BundleError(
            f"{tokenizer.name} makes tokens that the model doesn't know",
            expected=f"ids below {shape.vocab}",
            next_step="export the bundle again, with the checkpoint's own tokenizer.",
        )
    if file is not None and found.tokens < FEWEST_TOKENS:
        raise OptionError(
            f"{_FLAG} is too short",
            got=f"{file}, {found.tokens} tokens",
            expected=f"at least {FEWEST_TOKENS}",
            next_step="add passages, or leave the flag out for the bundled corpus.",
        )
    return found


@dataclass(frozen=True)
class TextCalibration:
    """What a bundle is calibrated on, and how."""

    tokenizer: Path | None
    """tokenizer.json."""
    start: int | None
    file: Path | None
    """The user's; None: the bundled corpus."""
    method: RangeMethod

    def passages(self, shape: ModelShape) -> Passages:
        return calibration_passages(shape, self.tokenizer, self.start, self.file)

    def run(
        self, folder: Path, graphs: BuiltGraphs, shape: ModelShape, ranges: bool, moments: bool
    ) -> Calibration:
        """What the float32 graph, whose weights stand in the folder, computes with on the text."""
        from oriel.precision.calibrate import calibrate

        passages = self.passages(shape)
        method = self.method if ranges else None
        return calibrate(folder, graphs, shape, passages, method, moments)
