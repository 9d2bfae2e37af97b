"""Fits the Jacobian lens (Gurnee et al., 2026): for each layer one matrix, the mean derivative of
the last layer's stream, at a position and all later ones, with respect to the layer's own
stream."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oriel.bundle.passages import Ids, Passages
from oriel.errors import OptionError
from oriel.verification.run_reference import Reference

Output = Tensor | tuple[Tensor, ...]


@dataclass(frozen=True)
class JacobianSettings:
    """Settings of the estimate."""

    elements: int = 1 << 24
    """Maximum number of stream elements of all layers in one backward pass; memory grows with
    it."""

    def rows(self, tokens: int, layers: int, hidden: int) -> int:
        """Return how many elements of the final stream are differentiated in one pass."""
        return max(1, min(hidden, self.elements // (tokens * layers * hidden)))

    def described(self) -> str:
        return (
            "mean of d final stream / d stream over pairs of a position and itself or a later one, "
            "without each passage's first, by backward passes"
        )


def fit_jacobian(
    reference: Reference,
    passages: Passages,
    settings: JacobianSettings,
    on_passage: Callable[[int], None] = lambda _: None,
) -> list[Tensor]:
    """Return the transposed mean Jacobian, (hidden, hidden), float32, of each layer but the last,
    so that stream @ matrix applies the Jacobian to the stream.

    on_passage: called with the number of each passage, from 1, before it is processed. Raises
    OptionError if no passage has two tokens.
    """
    hidden, count = reference.shape.hidden, reference.shape.layers - 1
    total = [torch.zeros(hidden, hidden, dtype=torch.float64) for _ in range(count)]
    used = 0
    for number, ids in enumerate(passages.ids, 1):
        if len(ids) < 2:
            continue
        on_passage(number)
        used += 1
        # Pairs of positions without the first position, whose values are very large in trained
        # models.
        pairs = (len(ids) - 1) * len(ids) // 2
        step = settings.rows(len(ids), reference.shape.layers, hidden)
        for first in range(0, hidden, step):
            rows = torch.arange(first, min(first + step, hidden))
            for layer, grads in enumerate(_products(reference, ids, rows)):
                total[layer][:, rows] += grads[:, 1:].double().sum(1).T / pairs
    if used == 0:
        raise OptionError("no passage has two tokens", next_step="give longer lines with --text.")
    return [(each / used).float() for each in total]


def _products(reference: Reference, ids: Ids, rows: Tensor) -> tuple[Tensor, ...]:
    """Return, for each layer but the last, the derivatives (rows, tokens, hidden) of the given
    elements of the final stream, summed over all positions but the first."""
    streams: list[Tensor] = []

    def record(_module: nn.Module, _inputs: object, out: Output) -> Output:
        stream = out[0] if isinstance(out, tuple) else out
        if not streams:
            # Differentiate from the first layer's stream on, since parameters have no gradients.
            stream = stream.detach().requires_grad_()
        streams.append(stream)
        return (stream, *out[1:]) if isinstance(out, tuple) else stream

    with ExitStack() as stack:
        for block in reference.blocks:
            stack.callback(block.register_forward_hook(record).remove)
        with torch.enable_grad():
            reference.model(torch.from_numpy(ids).expand(len(rows), -1), use_cache=False)
    final = streams[-1]
    seeds = torch.zeros_like(final)
    seeds[torch.arange(len(rows)), 1:, rows] = 1
    return torch.autograd.grad(final, streams[:-1], seeds)
