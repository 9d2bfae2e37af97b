"""Fits the tuned lens (Belrose et al., 2023, "Eliciting Latent Predictions from Transformers with
the Tuned Lens"): for each layer an affine map, after which the final norm and the unembedding
predict what the model predicts from its last layer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.lens_fitting.streams import Readout, Streams, divergence, mean_divergence

_CHECKED = 8
"""One in this many tokens is kept out of training, to choose among the maps."""
_CHOICES = 5
"""Number of times that a map is measured on these tokens, including the identity."""


@dataclass(frozen=True)
class TunedSettings:
    """Settings of the optimizer."""

    steps: int = 400
    tokens: int = 256
    """Tokens in each step's batch."""
    rate: float = 2e-3
    seed: int = 0

    def described(self) -> str:
        return (
            f"Adam from the identity, {self.steps} steps of {self.tokens} tokens for each layer, "
            f"learning rate {self.rate:g} falling to 0 by a cosine"
        )


Affine = tuple[Tensor, Tensor]
"""Weight (hidden, hidden) and bias (hidden): stream + stream @ weight + bias."""


def fit_tuned(
    streams: Streams,
    readout: Readout,
    settings: TunedSettings,
    on_layer: Callable[[int], None] = lambda _: None,
) -> list[Affine]:
    """Fit the map of each layer but the last. on_layer: called with each layer before it is fitted.

    A map starts as the identity, which is the logit lens. The result is the map with the smallest
    divergence on tokens that were kept out of training, so it is never worse than the logit lens on
    these.
    """
    checked = len(streams.final) // _CHECKED
    held, used = streams.part(0, checked), streams.part(checked, len(streams.final))
    found: list[Affine] = []
    for layer, stream in enumerate(used.layers):
        on_layer(layer)
        draw = torch.Generator().manual_seed(settings.seed * 4096 + layer)
        found.append(
            _fit_layer(
                (stream, used.final), (held.layers[layer], held.final), readout, settings, draw
            )
        )
    return found


Pair = tuple[Tensor, Tensor]
"""A layer's stream and the final stream, (tokens, hidden) each."""


def _fit_layer(
    used: Pair, held: Pair, readout: Readout, settings: TunedSettings, draw: torch.Generator
) -> Affine:
    stream, final = used
    hidden = stream.shape[-1]
    # The map is fitted to a stream scaled to unit size, so that one learning rate suits all layers.
    # The scale is a median, so the first position's very large values don't set it.
    size = stream.square().mean(-1).sqrt().median().clamp_min(1e-6)
    weight = torch.zeros(hidden, hidden, requires_grad=True)
    bias = torch.zeros(hidden, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 + 0.5 * math.cos(math.pi * step / settings.steps)
    )

    def mapped(part: Tensor) -> Tensor:
        return part + part @ weight + bias * size

    def measured() -> float:
        with torch.no_grad():
            return mean_divergence(readout, mapped(held[0]), held[1])

    best, kept = measured(), (weight.detach().clone(), bias.detach().clone())
    every = max(1, settings.steps // (_CHOICES - 1))
    for step in range(1, settings.steps + 1):
        chosen = torch.randint(len(stream), (settings.tokens,), generator=draw)
        with torch.no_grad():
            models = readout.log_probs(final[chosen])
        loss = divergence(readout.log_probs(mapped(stream[chosen])), models).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % every == 0:
            now = measured()
            if now < best:
                best, kept = now, (weight.detach().clone(), bias.detach().clone())
    return kept[0], kept[1] * size
