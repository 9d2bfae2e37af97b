"""Figures of fidelity against hand-computed cases, PyTorch's own functions and drawn noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch.nn import functional as F

from oriel.contract.activation_names import ModelShape, all_activations
from oriel.errors import ContractError
from oriel.fidelity.activations import MAX_ERROR, ActivationSums, Sums
from oriel.fidelity.agreement_curve import KL_GRID, AgreementCurve, agreement_curve
from oriel.fidelity.distributions import (
    MAX_KL,
    MAX_PERPLEXITY,
    Predictions,
    kl_divergence,
    log_softmax,
    perplexity,
    top1_agrees,
    top_shared,
)
from oriel.fidelity.fidelity_bounds import FidelityBounds, fidelity_bounds

Logits = npt.NDArray[np.float32]
SHAPE = ModelShape(
    layers=2, hidden=4, heads=2, kv_heads=2, head_dim=2, intermediate=8, vocab=7, context_length=16
)


def draw(rows: int, vocab: int, seed: int, size: float = 3.0) -> Logits:
    return np.random.default_rng(seed).normal(0, size, (rows, vocab)).astype(np.float32)


def kl(p: Logits, q: Logits) -> npt.NDArray[np.float64]:
    return kl_divergence(log_softmax(p), log_softmax(q))


def figures(ids: npt.NDArray[np.int64], p: Logits, q: Logits) -> Predictions:
    found = Predictions()
    found.add(ids, p, q)
    return found


def test_kl_of_two_tokens_by_hand() -> None:
    # p = (1/2, 1/2), q = (1/4, 3/4): 1/2 ln 2 + 1/2 ln 2/3.
    p = np.log(np.array([[0.5, 0.5]], dtype=np.float32))
    q = np.log(np.array([[0.25, 0.75]], dtype=np.float32))
    by_hand = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert kl(p, q)[0] == pytest.approx(by_hand, rel=1e-6)
    # Not symmetric: this way round it is the reference's distribution that weighs.
    assert kl(q, p)[0] == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5), rel=1e-6)


def test_kl_is_pytorchs() -> None:
    p, q = draw(50, 301, 1), draw(50, 301, 2)
    tp, tq = torch.from_numpy(p).double(), torch.from_numpy(q).double()
    expected = F.kl_div(tq.log_softmax(-1), tp.log_softmax(-1), reduction="none", log_target=True)
    assert np.allclose(kl(p, q), expected.sum(-1).numpy(), rtol=1e-12, atol=0)


def test_kl_of_nearly_the_same_keeps_its_digits() -> None:
    # Two tokens at odds of exp(d): KL = ln cosh(d/2), which is d²/8 for a small d.
    for d in (1e-3, 1e-5, 1e-7):
        p = np.array([[0.0, 0.0]])
        q = np.array([[0.0, d]])
        found = kl_divergence(log_softmax(p), log_softmax(q))[0]
        assert found == pytest.approx(d * d / 8, rel=1e-6)


@settings(deadline=None)
@given(
    arrays(np.float32, (3, 9), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
    arrays(np.float32, (3, 9), elements=st.floats(-(2.0**100), 2.0**100, width=32)),
)
def test_kl_is_finite_and_never_negative(p: Logits, q: Logits) -> None:
    found = kl(p, q)
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert (kl(p, p) == 0).all()


def test_the_same_distribution_is_wholly_faithful() -> None:
    p = draw(40, 30, 3)
    ids = np.arange(40, dtype=np.int64) % 30
    for q in (p, p.copy()):
        same = figures(ids, p, q)
        assert (same.kl_mean, same.kl_p99, same.top1, same.top5) == (0.0, 0.0, 1.0, 1.0)
        assert same.perplexity == same.reference_perplexity
    # A constant on all logits changes no distribution, but for the rounding of the sum.
    shifted = figures(ids, p, p + np.float32(1.0))
    assert shifted.kl_mean < 1e-13
    assert shifted.top5 == 1.0


def test_agreement_is_pytorchs() -> None:
    p, q = draw(200, 50, 4), draw(200, 50, 4) + draw(200, 50, 5, 1.0)
    tp, tq = torch.from_numpy(p), torch.from_numpy(q)
    assert (top1_agrees(p, q) == (tp.argmax(-1) == tq.argmax(-1)).numpy()).all()
    fives = zip(tp.topk(5).indices.tolist(), tq.topk(5).indices.tolist(), strict=True)
    expected = [len(set(a) & set(b)) / 5 for a, b in fives]
    assert top_shared(p, q) == pytest.approx(expected)
    assert 0.2 < np.mean(expected) < 0.9


def test_ties_of_the_reference_are_all_likeliest_and_of_the_variant_one_is() -> None:
    tied = np.array([[2.0, 2.0, 0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    second = np.array([[0.0, 1.0, 0.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    third = np.array([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]], dtype=np.float32)
    assert top1_agrees(tied, second).all()
    assert not top1_agrees(tied, third).any()
    # A variant that finds all alike names one token, and is right by chance alone.
    dead = np.zeros((6, 6), dtype=np.float32)
    one_each = np.eye(6, dtype=np.float32)
    assert top1_agrees(one_each, dead).sum() == 1
    # Of the four tokens that tie for the last places of five, any is as good as another.
    assert top_shared(tied, second) == pytest.approx([1.0])


def test_fewer_than_five_tokens() -> None:
    p, q = draw(5, 3, 6), draw(5, 3, 7)
    assert top_shared(p, q) == pytest.approx(np.ones(5))


def test_perplexity_is_pytorchs_and_the_last_token_has_no_next() -> None:
    p, q = draw(30, 20, 8), draw(30, 20, 9)
    ids = np.random.default_rng(10).integers(0, 20, 30)
    found = figures(ids, p, q)
    for logits, ours in ((p, found.reference_perplexity), (q, found.perplexity)):
        loss = F.cross_entropy(torch.from_numpy(logits[:-1]).double(), torch.from_numpy(ids[1:]))
        assert ours == pytest.approx(math.exp(float(loss)), rel=1e-12)
    assert (found.positions, found.targets) == (30, 29)


def test_passages_weigh_by_their_positions_and_know_nothing_of_each_other() -> None:
    p, q = draw(12, 10, 11), draw(12, 10, 12)
    ids = np.arange(12, dtype=np.int64) % 10
    found = Predictions()
    found.add(ids[:2], p[:2], q[:2])
    found.add(ids[2:], p[2:], q[2:])
    each = kl(p, q)
    assert found.kl_mean == pytest.approx(each.mean(), rel=1e-12)
    assert found.kl_p99 == pytest.approx(float(np.percentile(each, 99)), rel=1e-12)
    # One target less for each passage.
    assert (found.positions, found.targets) == (12, 10)


def test_the_99th_percentile_by_hand() -> None:
    found = Predictions()
    found.kl = [np.arange(101, dtype=np.float64)]
    assert found.kl_p99 == 99.0
    assert found.kl_mean == 50.0


def test_long_rows_are_compared_in_parts() -> None:
    # 5 rows of 600,000 are several parts; no figure may depend on that.
    rng = np.random.default_rng(13)
    p = rng.normal(0, 1, (5, 600_000)).astype(np.float32)
    q = p + rng.normal(0, 0.1, p.shape).astype(np.float32)
    ids = rng.integers(0, 600_000, 5)
    found = figures(ids, p, q)
    assert found.kl_mean == pytest.approx(float(kl(p, q).mean()), rel=1e-12)
    loss = F.cross_entropy(torch.from_numpy(q[:-1]).double(), torch.from_numpy(ids[1:]))
    assert found.perplexity == pytest.approx(math.exp(float(loss)), rel=1e-9)


def test_figures_stay_inside_their_schema() -> None:
    assert perplexity(1e9) == MAX_PERPLEXITY
    assert perplexity(0.0) == 1.0
    far = np.array([[0.0, -1e38]], dtype=np.float32)
    assert figures(np.zeros(1, dtype=np.int64), far, far[:, ::-1].copy()).kl_mean == MAX_KL


def test_expected_agreement_is_that_of_gumbel_noise() -> None:
    bound = 0.02
    p = draw(1, 12, 14, 0.5)
    rng = np.random.default_rng(15)
    scale = math.sqrt(12 * bound) / math.pi
    noise = rng.gumbel(0, scale, (200_000, 12))
    kept = ((p + noise).argmax(-1) == p.argmax()).mean()
    assert agreement_curve([p]).at(bound) == pytest.approx(kept, abs=0.005)
    # And such noise makes the KL it is named for, where a distribution is flat.
    flat = np.zeros((200, 1000), dtype=np.float32)
    noisy = (flat + rng.gumbel(0, scale, flat.shape)).astype(np.float32)
    assert kl(flat, noisy).mean() == pytest.approx(bound, rel=0.15)


def test_expected_agreement_is_near_that_of_other_noise_too() -> None:
    # What rounding does to logits isn't Gumbel's, nor independent of the token: normal noise of the
    # same KL changes about as many first places.
    rng = np.random.default_rng(19)
    p = draw(4000, 60, 20, 1.0)
    noisy = (p + rng.normal(0, 0.2, p.shape)).astype(np.float32)
    agreed = top1_agrees(p, noisy).mean()
    assert 0.7 < agreed < 0.95
    curve = agreement_curve([p[:1500], p[1500:]])
    assert curve.at(float(kl(p, noisy).mean())) == pytest.approx(agreed, abs=0.03)


def test_expected_agreement_of_two_tokens_by_hand() -> None:
    # Differences of Gumbel noise are logistic.
    p = np.array([[0.3, 0.0]], dtype=np.float32)
    scale = math.sqrt(12 * 0.05) / math.pi
    curve = agreement_curve([p])
    assert curve.at(0.05) == pytest.approx(1 / (1 + math.exp(-0.3 / scale)), rel=1e-6)
    assert curve.at(0.0) == 1.0
    assert curve.at(100.0) == curve.at(1.0)
    middle = curve.at(0.2)
    assert curve.at(0.1) > middle > curve.at(0.3)


def test_what_agreement_is_held_to() -> None:
    flat, peaked = draw(200, 400, 16, 0.3), draw(200, 400, 17, 30.0)
    undecided, decided = agreement_curve([flat]), agreement_curve([peaked])
    bounds = fidelity_bounds("int8")
    # Agreement that keeps the precision's own bound is held to that.
    assert undecided.fair(bounds, 0.98) == bounds
    # A model that finds many tokens alike can't keep it at the KL that it is allowed.
    at_most = undecided.at(0.01)
    assert at_most < 0.9
    assert undecided.fair(bounds, 0.5) == FidelityBounds(0.01, at_most)
    # One that is sure of its tokens has no such excuse.
    assert decided.fair(bounds, 0.5) == bounds
    hardly = AgreementCurve((0.01, 1.0), (0.8, 0.1), uncertainty=0.6)
    assert hardly.fair(bounds, 0.5) == FidelityBounds(0.01, 0.8)
    assert replace(hardly, uncertainty=0.4).fair(bounds, 0.5) == bounds


def test_uncertainty_is_pytorchs_entropy() -> None:
    p = draw(30, 50, 21, 2.0)
    log_p = torch.from_numpy(p).double().log_softmax(-1)
    entropy = float(-(log_p.exp() * log_p).sum(-1).mean())
    assert agreement_curve([p[:10], p[10:]]).uncertainty == pytest.approx(
        entropy / math.log(50), rel=1e-6
    )
    assert agreement_curve([np.zeros((3, 7), np.float32)]).uncertainty == pytest.approx(1.0)
    assert agreement_curve([np.zeros((3, 1), np.float32)]).uncertainty == 0.0


def test_every_bound_of_kl_is_on_the_grid() -> None:
    names = ("fp32", "f16", "fp16", "q8", "int8", "int8_static", "q4", "int4")
    assert {fidelity_bounds(name).kl_mean for name in names} <= set(KL_GRID)


def test_bounds_of_the_precisions() -> None:
    for precision in ("q8", "int8", "int8_static"):
        assert fidelity_bounds(precision) == FidelityBounds(0.01, 0.97)
    for precision in ("q4", "int4"):
        assert fidelity_bounds(precision) == FidelityBounds(0.05, 0.92)
    for precision in ("f16", "fp16"):
        assert fidelity_bounds(precision).top1 == 0.999
    with pytest.raises(ContractError, match="no bounds are set for the precision int3"):
        fidelity_bounds("int3")


def test_relative_error_and_cosine_by_hand() -> None:
    sums = Sums()
    sums.add(np.array([3.0, 0.0]), np.array([3.0, 1.0]))
    sums.add(np.array([[0.0], [4.0]]), np.array([[0.0], [4.0]]))
    # The reference is (3, 0, 0, 4), of norm 5; the variant differs by 1 in one place.
    assert sums.relative_error == pytest.approx(0.2)
    assert sums.cosine == pytest.approx(25 / (5 * math.sqrt(26)))
    opposite = Sums()
    opposite.add(np.array([1.0, 2.0]), np.array([-1.0, -2.0]))
    assert [opposite.relative_error, opposite.cosine] == pytest.approx([2.0, -1.0])


def test_errors_of_zeros() -> None:
    both, one, other = Sums(), Sums(), Sums()
    both.add(np.zeros(3), np.zeros(3))
    assert (both.relative_error, both.cosine) == (0.0, 1.0)
    one.add(np.zeros(3), np.ones(3))
    assert (one.relative_error, one.cosine) == (MAX_ERROR, 0.0)
    other.add(np.ones(3), np.zeros(3))
    assert (other.relative_error, other.cosine) == (1.0, 0.0)


def activation_sums() -> ActivationSums:
    return ActivationSums({spec.name: spec for spec in all_activations(SHAPE)}, SHAPE)


def test_cosine_is_pytorchs() -> None:
    rng = np.random.default_rng(18)
    sums = activation_sums()
    parts = [rng.normal(size=(2, 1, n, 4)).astype(np.float32) for n in (5, 9)]
    for want, got in parts:
        sums.add("layer_1_mlp_output", want, got)
    want, got = (
        torch.from_numpy(np.concatenate([p[i][:, 1:].ravel() for p in parts])).double()
        for i in (0, 1)
    )
    (row,) = sums.results()
    assert (row.kind, row.layer) == ("mlp_output", 1)
    assert row.cosine == pytest.approx(float(F.cosine_similarity(want, got, dim=0)), rel=1e-12)
    assert row.relative_error == pytest.approx(float((got - want).norm() / want.norm()), rel=1e-12)


def test_masked_scores_and_the_first_position_are_left_out() -> None:
    lowest = np.finfo(np.float32).min
    seen = np.tri(3, dtype=bool)
    want = np.where(seen, np.float32(2.0), lowest)[None, None].repeat(2, 1)
    # PyTorch's own scores, before any mask.
    got = np.where(seen, np.float32(2.0), np.float32(-7.0))[None, None].repeat(2, 1)
    got[:, :, 0, 0] = 1000.0
    sums = activation_sums()
    sums.add("layer_0_attn_scores", want, got)
    (row,) = sums.results()
    assert (row.relative_error, row.cosine) == (0.0, 1.0)
    got[:, :, 2, 1] = 3.0
    sums = activation_sums()
    sums.add("layer_0_attn_scores", want, got)
    # Of 2 heads and the 5 seen scores of the last two rows, one in each head is off by 1.
    assert sums.results()[0].relative_error == pytest.approx(math.sqrt(2 / (10 * 4)))


def test_a_single_position_counts() -> None:
    sums = activation_sums()
    sums.add("final_norm", np.ones((1, 1, 4)), np.full((1, 1, 4), 1.5))
    (row,) = sums.results()
    assert row.layer is None
    assert row.relative_error == pytest.approx(0.5)
