"""Losses of a model on held-out text, as it is and with other rows in an activation's place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_training.passes import Batch
from oriel.dictionary_training.source import Source
from oriel.runtime.edits import Replace


@dataclass
class MeanLoss:
    """A mean of -log p of the next token, in nats, that is summed over batches."""

    total: float = 0.0
    count: int = 0

    def add(self, logits: Array, batch: Batch) -> None:
        """Add the predictions, logits (batch, seq, vocab), from all counted tokens that have a next
        one."""
        ids, before = batch.ids[:, 1:], batch.counted[:, :-1] & batch.counted[:, 1:]
        rows, wanted = logits[:, :-1][before].astype(np.float64), ids[before]
        peak = rows.max(axis=-1)
        normalizer = np.log(np.exp(rows - peak[:, None]).sum(axis=-1)) + peak
        self.total += float((normalizer - rows[np.arange(len(rows)), wanted]).sum())
        self.count += len(rows)

    @property
    def mean(self) -> float:
        return self.total / self.count


def logits_with_rows(
    source: Source, batch: Batch, activation: DictionaryActivation, value: Array, rows: Array
) -> Array:
    """Return the logits (batch, seq, vocab) with other rows in an activation's place.

    value: the activation as the model computes it. rows: (counted tokens, width), put in at the
    batch's counted tokens; the others keep what they have.
    """
    new = value.copy()
    if value.ndim == 4:
        # attn_z: (batch, heads, seq, value_dim), where a row has its heads one after another.
        by_token = new.transpose(0, 2, 1, 3)
        by_token[batch.counted] = rows.reshape(len(rows), *by_token.shape[2:])
    else:
        new[batch.counted] = rows
    edit = Replace(activation["kind"], layer=int(activation["layer"]), value=new)
    return source.run(batch.ids, ("logits",), (edit,))["logits"]
