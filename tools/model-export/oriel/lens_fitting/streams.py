"""A model's residual streams on a text, and what its final norm and unembedding read in one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.bundle.passages import Passages
from oriel.contract.activation_names import kinds
from oriel.contract.lens_packs import mapped_layers
from oriel.verification.run_reference import Reference

_LOGITS_AT_ONCE = 1 << 22
"""Most logits computed at a time: 16 MiB."""


@dataclass(frozen=True)
class Streams:
    """resid_post at all positions of a text, one passage after another."""

    layers: tuple[Tensor, ...]
    """Of each layer but the last: (tokens, hidden), float32."""
    final: Tensor
    """Of the last layer."""

    def part(self, first: int, end: int) -> Streams:
        """Return the streams of some of the tokens."""
        return Streams(tuple(each[first:end] for each in self.layers), self.final[first:end])


def streams_of(
    reference: Reference, passages: Passages, on_progress: Callable[[int], None] = lambda _: None
) -> Streams:
    """Run the model on each passage. on_progress gets the number of passages done."""
    name, layers = kinds()["resid_post"], reference.shape.layers
    names = [name.at(layer) for layer in range(layers)]
    found: list[list[Tensor]] = [[] for _ in names]
    for count, ids in enumerate(passages.ids):
        values = reference.run(ids[None], names)
        for each, at in zip(found, names, strict=True):
            # A copy of its own: tensors of a pass without gradients may enter no other one.
            each.append(torch.from_numpy(values[at][0].copy()))
        on_progress(count + 1)
    whole = [torch.cat(each) for each in found]
    return Streams(tuple(whole[layer] for layer in mapped_layers(reference.shape)), whole[-1])


@dataclass(frozen=True)
class Readout:
    """The model's final norm and unembedding."""

    norm: torch.nn.Module
    unembedding: torch.nn.Module
    vocab: int

    @property
    def tokens_at_once(self) -> int:
        """Number of tokens whose logits are computed at a time."""
        return max(16, _LOGITS_AT_ONCE // self.vocab)

    def log_probs(self, stream: Tensor) -> Tensor:
        """Return log-probabilities (tokens, vocab) of a stream (tokens, hidden)."""
        found: Tensor = self.unembedding(self.norm(stream)).log_softmax(-1)
        return found


def readout_of(reference: Reference) -> Readout:
    architecture = reference.architecture
    return Readout(
        reference.model.get_submodule(architecture.final_norm),
        reference.model.get_submodule(architecture.unembedding),
        reference.shape.vocab,
    )


def divergence(ours: Tensor, models: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of our log-probabilities (tokens, vocab) from the
    model's: (tokens), nats."""
    return (models.exp() * (models - ours)).sum(-1)


def mean_divergence(readout: Readout, stream: Tensor, final: Tensor) -> float:
    """Return the mean divergence over all tokens of what is read in a stream from what is read in
    the final one."""
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(stream), readout.tokens_at_once):
            part = slice(at, at + readout.tokens_at_once)
            ours, models = readout.log_probs(stream[part]), readout.log_probs(final[part])
            total += float(divergence(ours, models).double().sum())
    return max(0.0, total / len(stream))
