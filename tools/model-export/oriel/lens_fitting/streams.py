"""Computes a model's residual streams on a text, and the predictions of its final norm and
unembedding from a stream."""

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
"""Maximum number of logits computed at a time: 16 MiB."""


@dataclass(frozen=True)
class Streams:
    """resid_post at all positions of a text, with its passages concatenated."""

    layers: tuple[Tensor, ...]
    """Streams of each layer but the last, (tokens, hidden), float32."""
    final: Tensor
    """Stream of the last layer, (tokens, hidden), float32."""

    def part(self, first: int, end: int) -> Streams:
        """Return the streams of the tokens from `first` up to, but without, `end`."""
        return Streams(tuple(each[first:end] for each in self.layers), self.final[first:end])


def streams_of(
    reference: Reference, passages: Passages, on_progress: Callable[[int], None] = lambda _: None
) -> Streams:
    """Run the model on each passage. on_progress: called with the number of finished passages."""
    name, layers = kinds()["resid_post"], reference.shape.layers
    names = [name.at(layer) for layer in range(layers)]
    found: list[list[Tensor]] = [[] for _ in names]
    for count, ids in enumerate(passages.ids):
        values = reference.run(ids[None], names)
        for each, at in zip(found, names, strict=True):
            # Tensors made in inference mode can't take part in a later pass with gradients, so copy
            # them.
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
        """Return the number of tokens whose logits are computed at a time."""
        return max(16, _LOGITS_AT_ONCE // self.vocab)

    def log_probs(self, stream: Tensor) -> Tensor:
        """Return the log-probabilities (tokens, vocab) that are read from a stream (tokens,
        hidden)."""
        found: Tensor = self.unembedding(self.norm(stream)).log_softmax(-1)
        return found


def readout_of(reference: Reference) -> Readout:
    architecture = reference.architecture
    return Readout(
        architecture.norm_module(reference.model),
        reference.model.get_submodule(architecture.unembedding),
        reference.shape.vocab,
    )


def divergence(ours: Tensor, models: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of the given log-probabilities (tokens, vocab) from
    the model's: (tokens), in nats."""
    return (models.exp() * (models - ours)).sum(-1)


def mean_divergence(readout: Readout, stream: Tensor, final: Tensor) -> float:
    """Return the mean divergence, in nats over all tokens, of the predictions from a stream from
    those of the final stream."""
    total = 0.0
    with torch.no_grad():
        for at in range(0, len(stream), readout.tokens_at_once):
            part = slice(at, at + readout.tokens_at_once)
            ours, models = readout.log_probs(stream[part]), readout.log_probs(final[part])
            total += float(divergence(ours, models).double().sum())
    return max(0.0, total / len(stream))
