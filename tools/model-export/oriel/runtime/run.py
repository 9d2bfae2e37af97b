"""The result of a run of a bundle: named arrays, and the cache that the next run can go on from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from oriel.arrays import Array, logits_rows
from oriel.contract.activation_names import kinds
from oriel.errors import OptionError
from oriel.runtime.fed_text import FedText, Ids, Mask


@dataclass(frozen=True)
class Cache:
    """Keys and values of the tokens fed so far, edits included."""

    past: Mapping[str, Array] = field(repr=False)
    """{past_key_values.{L}.key or .value: (batch, kv_heads, tokens, width), float32}"""
    mask: Mask
    """(batch, tokens), int64: 0 for padding."""
    tokens: Ids
    """(batch, tokens), int64."""

    @property
    def length(self) -> int:
        return int(self.mask.shape[1])


@dataclass(frozen=True, eq=False)
class Run(Mapping[str, Array]):
    """The activations that were asked for, by their names in the contract, and logits."""

    activations: Mapping[str, Array] = field(repr=False)
    text: FedText
    cache: Cache | None = field(default=None, repr=False)
    """None where no cache was asked for."""

    def __getitem__(self, name: str) -> Array:
        """Return an activation. Raises OptionError for one that the run didn't give."""
        if name not in self.activations:
            given = ", ".join(list(self.activations)[:4])
            raise OptionError(
                f"this run doesn't give {name}",
                got=f"{given}{', ...' if len(self.activations) > 4 else ''}",
                next_step=f"ask for it: activations=[{name!r}].",
            )
        return self.activations[name]

    def __contains__(self, name: object) -> bool:
        return name in self.activations

    def __iter__(self) -> Iterator[str]:
        return iter(self.activations)

    def __len__(self) -> int:
        return len(self.activations)

    @property
    def ids(self) -> Ids:
        """(batch, seq), int64, with padding before shorter texts."""
        return self.text.ids

    @property
    def mask(self) -> Mask:
        """(batch, tokens so far), int64: 0 for padding."""
        return self.text.mask

    def scores(self, position: int = -1) -> Array:
        """Return (batch, vocab or labels), float32: logits at a position, or of the whole text
        where a classifier reads it as one."""
        found: Array = logits_rows(self.logits)[:, position if self.logits.ndim == 3 else 0]
        return found

    @property
    def logits(self) -> Array:
        """(batch, tokens whose logits were wanted, vocab), float32; a classifier has its labels in
        the vocabulary's place, and one of whole texts gives (batch, labels)."""
        return self["logits"]

    def of(self, kind: str, layer: int | None = None) -> Array:
        """Return an activation by its kind and layer."""
        return self[kinds()[kind].at(layer)]

    def mean(self, kind: str, layer: int) -> Array:
        """Return the mean over all tokens of all texts, of size 1 along both: the value of a mean
        ablation, `Replace(kind, layer=layer, value=run.mean(kind, layer))`. Raises OptionError for
        a kind whose values are of pairs of tokens."""
        axes = kinds()[kind].shape
        if "total_sequence_length" in axes:
            raise OptionError(f"{kind} is of pairs of tokens and has no mean over tokens")
        values = self.of(kind, layer)
        axis = axes.index("sequence_length")
        seen = self.mask[:, -values.shape[axis] :].astype(bool)
        sizes = [1] * values.ndim
        sizes[0], sizes[axis] = seen.shape
        total = (values * seen.reshape(sizes)).sum((0, axis), dtype=np.float64, keepdims=True)
        mean: Array = (total / seen.sum()).astype(np.float32)
        return mean
