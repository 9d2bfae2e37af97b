"""Trains a sparse autoencoder or a transcoder on activations: BatchTopK (Bussmann et al., 2024,
"BatchTopK Sparse Autoencoders") with the auxiliary loss for dead features of Gao et al. (2024,
"Scaling and evaluating sparse autoencoders"). The result has fixed thresholds (jumprelu)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.dictionary_training.parts import Parts, Scaling, Trained

_DEAD_AFTER = 10
"""A feature counts as dead once it was not active in this many times the tokens after which it
would be active once, if all features were active equally often. With the shipped dictionary's
settings that is 10 * 512 / 16 = 320 tokens, fewer than the 1,024 of a step, so that a feature
counts as dead after one silent step."""
_AUXILIARY_WEIGHT = 1 / 32
"""Weight of the auxiliary loss (Gao et al., 2024)."""
_WARM_UP, _DECAY = 0.02, 0.3
"""Shares of the steps in which the learning rate rises, and falls to 0."""
_CALIBRATION_BATCHES = 64
"""Batches whose smallest kept values give the threshold."""


@dataclass(frozen=True)
class TrainSettings:
    """Settings of the dictionary and of the optimizer."""

    features: int
    k: int
    """Number of features that are active in a token, on average."""
    steps: int = 2500
    batch: int = 1024
    """Tokens in each step."""
    rate: float = 3e-3
    seed: int = 0

    def described(self) -> str:
        return (
            f"BatchTopK, k {self.k}, {self.steps} Adam steps of {self.batch} tokens, learning rate "
            f"{self.rate:g}, auxiliary loss for dead features, without passages' first tokens"
        )


def train(
    reads: Tensor,
    writes: Tensor,
    settings: TrainSettings,
    on_step: Callable[[int], None] = lambda _: None,
) -> Trained:
    """Train a dictionary that reads `reads` (tokens, width_in) and rebuilds `writes` (tokens,
    width_out), float32; an autoencoder gets the same tensor twice. The result depends only on the
    arguments and on torch's number of threads.

    on_step: called with the number of each step, from 1, before it. Raises OptionError where the
    activations are all the same or not finite.
    """
    scales = Scaling.of(reads), Scaling.of(writes)
    draw = torch.Generator().manual_seed(settings.seed)
    parts = Parts.initial(reads.shape[1], writes.shape[1], settings.features, draw)
    optimizer = torch.optim.Adam(parts.tensors, lr=settings.rate, betas=(0.9, 0.999))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda at: _rate(at / settings.steps))
    order = _Order(len(reads), draw)
    silent = torch.zeros(settings.features)  # Tokens since each feature was active.
    dead_after = _DEAD_AFTER * settings.features / settings.k
    for step in range(1, settings.steps + 1):
        on_step(step)
        chosen = order.next(settings.batch)
        given, wanted = scales[0].apply(reads[chosen]), scales[1].apply(writes[chosen])
        values = parts.encoded(given)
        features = batch_top(values, settings.k)
        error = wanted - parts.decoded(features)
        loss = error.square().mean()
        dead = silent > dead_after
        loss = loss + _AUXILIARY_WEIGHT * _auxiliary(parts, values, error, dead, settings.k)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        parts.keep_norms_in_gradient()
        optimizer.step()
        schedule.step()
        parts.normalize()
        silent += len(chosen)
        silent[(features > 0).any(0)] = 0
    with torch.no_grad():
        drawn = [order.next(settings.batch) for _ in range(_CALIBRATION_BATCHES)]
        encoded = (parts.encoded(scales[0].apply(reads[chosen])) for chosen in drawn)
        threshold = _threshold(encoded, settings.k)
    return parts.unscaled(threshold, *scales)


def batch_top(values: Tensor, k: int) -> Tensor:
    """Return values >= 0 (tokens, features) with all but the k * tokens greatest set to 0, which
    leaves k features to a token on average."""
    count = min(k * len(values), values.numel())
    kept = values.flatten().topk(count, sorted=False)
    return torch.zeros_like(values).flatten().scatter(0, kept.indices, kept.values).view_as(values)


def _auxiliary(parts: Parts, values: Tensor, error: Tensor, dead: Tensor, k: int) -> Tensor:
    """Return how badly dead features rebuild the error that the others leave, as a share of its
    size; with this loss they come to be of use. values: (tokens, features); dead: (features)."""
    which = dead.nonzero()[:, 0]
    if len(which) == 0:
        return torch.zeros(())
    found = values[:, which]
    # As many as are active elsewhere. Gao et al. take half of the width, but where that is far more
    # than k, each learns a part that is too small to be among a batch's greatest values.
    kept = found.topk(min(len(which), k), dim=1, sorted=False)
    features = torch.zeros_like(found).scatter(1, kept.indices, kept.values)
    left = error.detach()
    missing = (left - features @ parts.decoder[which]).square().mean()
    return missing / left.square().mean().clamp_min(1e-12)


def _rate(done: float) -> float:
    """Return the learning rate as a share of its maximum. done: share of the steps that are over,
    from 0 to 1."""
    return min(1.0, (done + 1e-3) / _WARM_UP, (1 - done) / _DECAY)


def _threshold(batches: Iterable[Tensor], k: int) -> float:
    """Return the mean over batches of the smallest value that is kept (Bussmann et al., 2024); 0
    where no feature is ever active."""
    kept = [each[each > 0] for each in (batch_top(values, k) for values in batches)]
    smallest = [float(each.min()) for each in kept if len(each) > 0]
    return sum(smallest) / max(1, len(smallest))


class _Order:
    """The order in which tokens are drawn: every token once, then every token again."""

    def __init__(self, count: int, draw: torch.Generator) -> None:
        self._count, self._draw = count, draw
        self._left = torch.zeros(0, dtype=torch.int64)

    def next(self, count: int) -> Tensor:
        """Return the indices of the next tokens; of all where there are fewer."""
        count = min(count, self._count)
        while len(self._left) < count:
            self._left = torch.cat([self._left, torch.randperm(self._count, generator=self._draw)])
        found, self._left = self._left[:count], self._left[count:]
        return found
