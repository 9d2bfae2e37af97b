"""Measures a dictionary on held-out text: how much of an activation it rebuilds, how many features
are active, and what the model's predictions lose when the rebuilt activation takes its place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oriel.arrays import Array
from oriel.bundle.passages import Passages
from oriel.contract.documents import DictionaryActivation, DictionaryMeasures
from oriel.dictionaries.dictionary_file import Dictionary, token_rows
from oriel.dictionary_training.losses import MeanLoss, logits_with_rows
from oriel.dictionary_training.passes import activation_name, batches_of
from oriel.dictionary_training.source import Source
from oriel.errors import OptionError


@dataclass(frozen=True)
class Baseline:
    """Losses that a dictionary's are compared with, in nats."""

    model: float
    """Of the unchanged model."""
    zeroed: float
    """With zeros in the activation's place."""


def measure_baseline(source: Source, writes: DictionaryActivation, passages: Passages) -> Baseline:
    """Return the losses without a dictionary. Raises OptionError where no token is predicted, or
    where zeros in the activation's place do no harm, so that nothing could be recovered."""
    model, zeroed = MeanLoss(), MeanLoss()
    name = activation_name(writes)
    for batch in batches_of(passages.ids, source.shape.vocab):
        found = source.run(batch.ids, (name, "logits"), ())
        model.add(found["logits"], batch)
        rows = np.zeros_like(token_rows(found[name])[batch.counted])
        zeroed.add(logits_with_rows(source, batch, writes, found[name], rows), batch)
    if model.count == 0:
        raise OptionError(
            "the held-out text has no prediction that a dictionary could change",
            got="passages of two tokens",
            expected="one of three tokens at least",
            next_step="give longer lines with --text.",
        )
    if not zeroed.mean > model.mean:
        raise OptionError(
            f"zeros in the place of {name} do the predictions no harm",
            got=f"{model.mean:.4f} nats with it, {zeroed.mean:.4f} without",
            expected="an activation that the model makes use of",
            next_step="choose another one with --reads, or give more held-out text with --text.",
        )
    return Baseline(model.mean, zeroed.mean)


def measure_dictionary(
    source: Source, dictionary: Dictionary, passages: Passages, baseline: Baseline
) -> DictionaryMeasures:
    """Return a dictionary's figures on passages. They are of all tokens but the first of each
    passage, which keeps its activation and whose prediction is not counted.

    Explained variance is 1 - sum |written - rebuilt|² / sum |written - its mean|² over tokens; the
    loss that is recovered is (zeroed - replaced) / (zeroed - model).
    """
    reads, writes = (dictionary.description[part] for part in ("reads", "writes"))
    names = {activation_name(reads), activation_name(writes)}
    count = int(dictionary.description["features"])
    rebuilding, loss = _Rebuilding.of(count), MeanLoss()
    for batch in batches_of(passages.ids, max(source.shape.vocab, count)):
        found = source.run(batch.ids, names, ())
        features = dictionary.features(token_rows(found[activation_name(reads)])[batch.counted])
        rebuilt = dictionary.rebuild(features)
        value = found[activation_name(writes)]
        rebuilding.add(features, token_rows(value)[batch.counted], rebuilt)
        loss.add(logits_with_rows(source, batch, writes, value, rebuilt), batch)
    recovered = (baseline.zeroed - loss.mean) / (baseline.zeroed - baseline.model)
    return {
        "text": passages.to_json(),
        "explained_variance": _short(rebuilding.explained_variance),
        "l0": _short(rebuilding.active / rebuilding.tokens),
        "dead_features": int((~rebuilding.seen).sum()),
        "loss": {
            "model": _short(baseline.model),
            "replaced": _short(loss.mean),
            "zeroed": _short(baseline.zeroed),
        },
        "loss_recovered": _short(recovered),
    }


@dataclass
class _Rebuilding:
    """Sums over tokens, in float64."""

    seen: NDArray[np.bool_]
    """(features): those that were active."""
    tokens: int = 0
    active: int = 0
    squares: float = 0.0
    """Of the written activation's norm."""
    errors: float = 0.0
    """Squared norms of what was not rebuilt."""
    total: Array | float = 0.0
    """Sum of the written rows, (width)."""

    @staticmethod
    def of(features: int) -> _Rebuilding:
        return _Rebuilding(np.zeros(features, dtype=np.bool_))

    def add(self, features: Array, written: Array, rebuilt: Array) -> None:
        """Add tokens: features (tokens, features), written and rebuilt (tokens, width)."""
        wide = written.astype(np.float64)
        self.tokens += len(features)
        self.active += int((features > 0).sum())
        self.seen |= (features > 0).any(axis=0)
        self.squares += float(np.square(wide).sum())
        self.errors += float(np.square(wide - rebuilt).sum())
        self.total = self.total + wide.sum(axis=0)

    @property
    def explained_variance(self) -> float:
        mean_part = float(np.square(self.total).sum()) / self.tokens
        return 1 - self.errors / (self.squares - mean_part)


def _short(value: float) -> float:
    """Return six digits, which is more than texts of this length can tell."""
    return float(f"{value:.6g}")
