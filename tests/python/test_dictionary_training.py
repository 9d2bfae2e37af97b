"""Tests how dictionaries are trained: a planted dictionary is found again, the loss keeps the sizes
that were asked for, and the result depends on the seed alone."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from oriel.dictionary_training.batch_topk import TrainSettings, batch_top, train
from oriel.dictionary_training.parts import Trained
from oriel.errors import OptionError

WIDTH, PLANTED, ACTIVE = 20, 30, 3


def planted(tokens: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return activations (tokens, WIDTH) that are sums of ACTIVE planted directions, far from 0 and
    large, the directions (PLANTED, WIDTH) and the amounts (tokens, PLANTED)."""
    draw = torch.Generator().manual_seed(11)
    directions = torch.randn(PLANTED, WIDTH, generator=draw)
    directions /= directions.norm(dim=1, keepdim=True)
    chosen = torch.rand(tokens, PLANTED, generator=draw).topk(ACTIVE, dim=1).indices
    sizes = 40 * (1 + torch.rand(tokens, ACTIVE, generator=draw))
    amounts = torch.zeros(tokens, PLANTED).scatter(1, chosen, sizes)
    return amounts @ directions + 70, directions, amounts


def features_of(found: Trained, rows: Tensor) -> Tensor:
    sums = rows @ found.encoder_weight + found.encoder_bias
    return torch.where(sums > found.threshold, sums, 0)


def rebuilt_by(found: Trained, rows: Tensor) -> Tensor:
    return features_of(found, rows) @ found.decoder_weight + found.decoder_bias


SETTINGS = TrainSettings(features=36, k=ACTIVE, steps=600, batch=256, rate=1e-2, seed=1)


def test_a_planted_dictionary_is_found_again() -> None:
    rows, directions, amounts = planted(8192)
    found = train(rows, rows, SETTINGS)
    torch.testing.assert_close(found.decoder_weight.norm(dim=1), torch.ones(36))
    cosines = directions @ found.decoder_weight.T
    best, which = cosines.max(dim=1)
    assert (best > 0.95).all(), best
    # Each has a feature of its own, with its amounts in the units of the activations.
    assert len(set(which.tolist())) == PLANTED
    features = features_of(found, rows)[:, which]
    together = torch.corrcoef(torch.cat([features.T, amounts.T]))[:PLANTED, PLANTED:].diagonal()
    assert (together > 0.9).all(), together
    active = features_of(found, rows) > 0
    assert abs(float(active.float().sum(1).mean()) - ACTIVE) < 0.5


def test_a_transcoder_rebuilds_what_it_does_not_read() -> None:
    """What is read and what is written differ in width and units."""
    rows, _, amounts = planted(8192)
    draw = torch.Generator().manual_seed(4)
    others = amounts @ torch.randn(PLANTED, 13, generator=draw) / 1000 - 5
    found = train(rows, others, SETTINGS)
    assert found.encoder_weight.shape == (WIDTH, 36) and found.decoder_weight.shape == (36, 13)
    missing = (others - rebuilt_by(found, rows)).square().sum()
    assert missing < 0.1 * (others - others.mean(0)).square().sum()


def test_the_seed_alone_decides() -> None:
    rows, _, _ = planted(1024)
    short = TrainSettings(features=36, k=ACTIVE, steps=20, batch=256, seed=1)
    first, again = train(rows, rows, short), train(rows, rows, short)
    other = train(rows, rows, TrainSettings(features=36, k=ACTIVE, steps=20, batch=256, seed=2))
    for name in Trained.__annotations__:
        assert torch.equal(getattr(first, name), getattr(again, name)), name
    assert not torch.equal(first.decoder_weight, other.decoder_weight)


def test_the_greatest_of_a_batch_are_kept() -> None:
    values = torch.tensor([[5.0, 4.0, 3.0], [2.0, 1.0, 0.0]])
    assert batch_top(values, 1).tolist() == [[5.0, 4.0, 0.0], [0.0, 0.0, 0.0]]
    assert batch_top(values, 9).tolist() == values.tolist()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (torch.full((100, 5), 3.0), "equal activations"),
        (torch.full((100, 5), torch.nan), "activations that are not finite"),
    ],
)
def test_what_holds_nothing_is_refused(rows: Tensor, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        train(rows, rows, TrainSettings(features=6, k=2, steps=2))
