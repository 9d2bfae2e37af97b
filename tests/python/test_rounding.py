"""Rounding by itself: bounds that hold for any weights, and objectives worked out apart from the
code that minimizes them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thorough import examples

from oriel.precision.rounding.gptq import Feedback, Moment, cholesky, feedback, part_bounds
from oriel.precision.rounding.grid import Fit, Fitted, Floats, Grid, to_scales
from oriel.precision.rounding.hqq import POWER, fit_hqq
from oriel.precision.rounding.mse import fit_mse
from oriel.precision.rounding.nearest import fit_nearest
from oriel.precision.rounding.round_columns import Rounded, round_columns
from oriel.precision.rounding.small_products import add_product

Doubles = np.ndarray[Any, np.dtype[np.float64]]
GRIDS = [Grid(bits, symmetric) for bits in (4, 8) for symmetric in (True, False)]
FITS: list[Fit] = [fit_nearest, fit_mse, fit_hqq]
SMALLEST = 2.0**-24
"""Of float16."""


@st.composite
def weights(draw: st.DrawFn) -> Floats:
    """(values, groups): of any size that a float16 scale can have, some of them all 0, constant, or
    of one sign."""
    values, groups = draw(st.integers(1, 40)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    found = rng.normal(size=(values, groups)) * 10.0 ** rng.uniform(-9, 5, groups)
    for group in range(groups):
        kind = draw(st.sampled_from(["any", "any", "zero", "constant", "positive", "one"]))
        if kind == "zero":
            found[:, group] = 0
        elif kind == "constant":
            found[:, group] = found[0, group]
        elif kind == "positive":
            found[:, group] = abs(found[:, group])
        elif kind == "one":
            found[1:, group] = 0
    return found.astype(np.float32)


def errors(found: Floats, fitted: Fitted, grid: Grid) -> Doubles:
    """Of each weight, by the definition of what it is quantized to."""
    scales, zeros = fitted.scales.astype(np.float64), fitted.zero_points.astype(np.float64)
    nearest = np.clip(np.rint(found / scales + zeros), 0, 2**grid.bits - 1)
    return (nearest - zeros) * scales - found


@given(weights(), st.sampled_from(FITS))
def test_a_reduced_grid_never_lets_two_products_leave_16_bits(found: Floats, fit: Fit) -> None:
    """Of a signed weight and a uint8 each; nearest still moves none by more than half a step."""
    fitted = fit(found, Grid(8, True, reduced=True))
    values = fitted.quantize(found, Grid(8, True, reduced=True)) - fitted.zero_points
    for weight in (values.min(), values.max()):
        assert -(2**15) <= 2 * 255 * float(weight) < 2**15
    if fit is fit_nearest:
        moved = np.abs(values * fitted.scales - found)
        assert np.all(moved <= np.abs(fitted.scales) * 0.501 + SMALLEST)


@given(weights(), st.sampled_from(GRIDS))
def test_nearest_moves_no_weight_by_more_than_half_a_step(found: Floats, grid: Grid) -> None:
    fitted = fit_nearest(found, grid)
    expanded = fitted.expand(fitted.quantize(found, grid)).astype(np.float64)
    half = np.abs(fitted.scales.astype(np.float64)) / 2
    # What float32 itself loses on the way is beyond that.
    assert (np.abs(expanded - found) <= half * (1 + 1e-4)).all()


@given(weights(), st.sampled_from(GRIDS), st.sampled_from(FITS))
def test_scales_and_zero_points_can_be_written(found: Floats, grid: Grid, fit: Fit) -> None:
    fitted = fit(found, grid)
    assert np.isfinite(fitted.scales).all() and (fitted.scales != 0).all()
    assert np.array_equal(fitted.scales, fitted.scales.astype(np.float16).astype(np.float32))
    assert np.array_equal(fitted.zero_points, fitted.zero_points.astype(np.uint8))
    assert (fitted.zero_points <= 2**grid.bits - 1).all()
    if grid.symmetric:
        assert (fitted.zero_points == 2 ** (grid.bits - 1)).all()


@given(weights(), st.sampled_from(GRIDS), st.sampled_from(FITS))
def test_zero_stays_zero(found: Floats, grid: Grid, fit: Fit) -> None:
    fitted = fit(found, grid)
    assert (fitted.expand(fitted.quantize(found, grid))[found == 0] == 0).all()


@given(weights(), st.sampled_from(GRIDS))
def test_mse_is_never_worse_than_nearest(found: Floats, grid: Grid) -> None:
    ours, plain = (errors(found, fit(found, grid), grid) for fit in (fit_mse, fit_nearest))
    squared = [(one**2).sum(axis=0) for one in (ours, plain)]
    # Sums in float32 may take one for the other where they are equal but for rounding.
    assert (squared[0] <= squared[1] * (1 + 1e-3) + 1e-30).all()


@given(weights(), st.sampled_from(GRIDS))
@settings(deadline=None)
def test_hqq_is_never_worse_than_nearest_and_mse_by_its_own_measure(
    found: Floats, grid: Grid
) -> None:
    sums = [
        (np.abs(errors(found, fit(found, grid), grid)) ** POWER).sum(axis=0)
        for fit in (fit_hqq, fit_mse, fit_nearest)
    ]
    # Where an error is nothing but float32's rounding, its power isn't nothing.
    slack = len(found) * (np.abs(found).max(axis=0) * 1e-6) ** POWER
    for other in sums[1:]:
        assert (sums[0] <= other * (1 + 1e-3) + slack).all()


def test_mse_and_hqq_are_worth_it_on_weights_like_a_models() -> None:
    found = np.random.default_rng(0).standard_t(5, size=(32, 4000)).astype(np.float32)
    for grid in GRIDS[:2]:
        plain = (errors(found, fit_nearest(found, grid), grid) ** 2).sum()
        assert (errors(found, fit_mse(found, grid), grid) ** 2).sum() < 0.95 * plain
        powers = [
            (np.abs(errors(found, fit(found, grid), grid)) ** POWER).sum()
            for fit in (fit_hqq, fit_mse)
        ]
        assert powers[0] < 0.99 * powers[1]


@pytest.mark.parametrize(
    ("wanted", "scale"),
    [
        (0.0, 1.0),
        (1e-30, SMALLEST),
        (-1e-30, -SMALLEST),
        (1.4 * SMALLEST, 2 * SMALLEST),
        (0.5, 0.5),
        (1.00001, 1 + 2.0**-10),
        (-1.00001, -1 - 2.0**-10),
        (1e9, 65504.0),
        (-1e9, -65504.0),
    ],
)
def test_scales_round_away_from_zero_and_stay_finite(wanted: float, scale: float) -> None:
    assert to_scales(np.array([wanted], np.float32)) == np.float32(scale)


# GPTQ.


def inputs(count: int, rng: np.random.Generator) -> Doubles:
    """A model's inputs correlate, and some of them are much larger than others."""
    mixing = rng.normal(size=(count, count)) / np.sqrt(count) + np.eye(count)
    rows: Doubles = rng.normal(size=(4 * count, count)) * rng.lognormal(size=count)
    mixed: Doubles = rows @ mixing
    return mixed


def moments_of(rows: Doubles) -> list[Moment]:
    moment = (rows.T @ rows / len(rows)).astype(np.float32)
    return [
        Moment(start, moment[start:stop, start:stop]) for start, stop in part_bounds(rows.shape[1])
    ]


def expanded(rounded: Rounded, block: int) -> Doubles:
    index = np.arange(len(rounded.values)) // block
    zeros = rounded.zero_points[index].astype(np.float64)
    return (rounded.values - zeros) * rounded.scales[index].astype(np.float64)


def by_the_paper(columns: Floats, moment: Doubles, scales: Floats) -> Doubles:
    """Algorithm 1 of Frantar et al. without its blocks: the inverse's Cholesky factor, and each
    error spread over what is left. Symmetric, 4 bits, a given scale for each column."""
    left = columns.astype(np.float64)
    upper = np.linalg.cholesky(np.linalg.inv(moment)).T
    found = np.empty_like(left)
    for row in range(len(left)):
        found[row] = np.clip(np.rint(left[row] / scales), -8, 7) * scales
        error = (left[row] - found[row]) / upper[row, row]
        left[row + 1 :] -= upper[row, row + 1 :, None] * error
    return found


def test_gptq_is_that_of_its_paper() -> None:
    rng = np.random.default_rng(1)
    columns = rng.normal(size=(96, 150)).astype(np.float32)
    moment = moments_of(inputs(96, rng))[0]
    damped = moment.matrix.astype(np.float64)
    damped += np.eye(96) * 0.05 * np.diag(damped).mean()
    rounded = round_columns(columns, 96, Grid(4, True), fit_nearest, [feedback(moment)])
    scales = rounded.scales[0].astype(np.float32)
    wanted = by_the_paper(columns, damped, scales)
    differences = np.abs(expanded(rounded, 96) - wanted) > 1e-6
    # float32 decides a tie otherwise than float64 once in a while, and all below follows.
    assert differences.any(axis=0).mean() < 0.03


@pytest.mark.parametrize("block", [16, 32, 64, 256])
@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_gptq_changes_products_less_than_nearest_does(grid: Grid, block: int) -> None:
    rng = np.random.default_rng(block)
    columns = rng.normal(size=(300, 40)).astype(np.float32)
    rows = inputs(300, rng)
    feedbacks = [feedback(moment) for moment in moments_of(rows)]
    ours = round_columns(columns, block, grid, fit_mse, feedbacks)
    plain = round_columns(columns, block, grid, fit_nearest)
    errors = [
        (((expanded(rounded, block) - columns).T @ rows.T) ** 2).sum(axis=1)
        for rounded in (ours, plain)
    ]
    assert (errors[0] <= errors[1]).all()
    assert errors[0].sum() < 0.6 * errors[1].sum()


def test_inputs_that_have_nothing_to_do_with_each_other_give_no_feedback() -> None:
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(70, 30)).astype(np.float32)
    moment = Moment(0, np.diag(rng.lognormal(size=70)).astype(np.float32))
    for grid in GRIDS:
        ours = round_columns(columns, 32, grid, fit_mse, [feedback(moment)])
        plain = round_columns(columns, 32, grid, fit_mse)
        assert np.array_equal(ours.values, plain.values)


def test_gptq_survives_inputs_that_never_vary() -> None:
    columns = np.random.default_rng(4).normal(size=(64, 30)).astype(np.float32)
    for moment in (np.zeros((64, 64)), np.ones((64, 64)), np.diag(np.eye(64)[5]) * 1e-12):
        made = feedback(Moment(0, moment.astype(np.float32)))
        rounded = round_columns(columns, 32, Grid(4, True), fit_mse, [made])
        assert np.isfinite(expanded(rounded, 32)).all()
        assert np.abs(expanded(rounded, 32)).max() < 3 * np.abs(columns).max()


def test_a_wide_input_is_taken_in_parts_that_are_independent() -> None:
    """Of 1,600 inputs, rounding one part's columns is not moved by another part's errors."""
    rng = np.random.default_rng(5)
    columns = rng.normal(size=(1600, 12)).astype(np.float32)
    feedbacks = [feedback(moment) for moment in moments_of(inputs(1600, rng))]
    whole = round_columns(columns, 32, Grid(4, True), fit_mse, feedbacks)
    assert len(feedbacks) > 1
    for part in feedbacks:
        alone = round_columns(
            columns[part.start : part.stop],
            32,
            Grid(4, True),
            fit_mse,
            [Feedback(0, part.matrix)],
        )
        assert np.array_equal(alone.values, whole.values[part.start : part.stop])


@pytest.mark.parametrize("count", [1, 16, 100, 255, 256, 768, 769, 1024, 3072, 8192, 11008])
def test_parts_cover_all_inputs_and_begin_with_a_block(count: int) -> None:
    bounds = part_bounds(count)
    assert bounds[0][0] == 0 and bounds[-1][1] == count
    assert all(one[1] == other[0] for one, other in pairwise(bounds))
    assert all(start % 256 == 0 and 0 < stop - start <= 768 for start, stop in bounds)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 200])
def test_the_factor_is_choleskys(size: int) -> None:
    rows = inputs(size, np.random.default_rng(size))
    matrix = rows.T @ rows + np.eye(size)
    wanted = np.linalg.cholesky(matrix)
    assert np.allclose(cholesky(matrix), wanted, rtol=1e-9, atol=1e-9 * np.abs(wanted).max())


@given(st.integers(1, 70), st.integers(1, 150), st.integers(1, 300), st.integers(0, 2**32 - 1))
@settings(deadline=None, max_examples=examples(30))
def test_products_in_parts_are_products(rows: int, deep: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    left = rng.normal(size=(deep, rows + 3)).astype(np.float32)[:, 2:-1]
    right = rng.normal(size=(deep, width)).astype(np.float32)
    sums = rng.normal(size=(rows, width)).astype(np.float32)
    wanted = sums + left.T.astype(np.float64) @ right
    add_product(sums, left, right)
    assert np.allclose(sums, wanted, atol=1e-4)
