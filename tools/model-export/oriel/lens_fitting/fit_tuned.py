"""The tuned lens (Belrose et al., 2023, "Eliciting Latent Predictions from Transformers with the
Tuned Lens"): for each layer an affine map, such that the final norm and the unembedding read in the
mapped stream what the model says in the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.lens_fitting.streams import Readout, Streams, divergence, mean_divergence

_CHECKED = 8
"""One in so many tokens is left out of the steps, to choose among the maps on the way."""
_CHOICES = 5
"""Number of times at which a map is measured, the identity among them."""


@dataclass(frozen=True)
class TunedSettings:
    """Settings of the optimizer."""

    steps: int = 400
    tokens: int = 256
    """Tokens of a step."""
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
    """Fit the map of each layer but the last. on_layer gets the layer that is fitted next.

    A map begins as the identity, which is the logit lens, and the best of those on the way is kept,
    measured on tokens that no step saw: it isn't worse than the logit lens on these.
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
"""A layer's stream and the final one: (tokens, hidden) each."""


def _fit_layer(
    used: Pair, held: Pair, readout: Readout, settings: TunedSettings, draw: torch.Generator
) -> Affine:
    stream, final = used
    hidden = stream.shape[-1]
    # The map is fitted in units of the stream's size, so that one learning rate suits all layers;
    # the first position's stream, which trained models let grow huge, doesn't set it.
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
