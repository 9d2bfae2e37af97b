"""Errors of outputs against hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch

from oriel.modules.compare_outputs import compare_outputs


def test_a_wrong_scale_shows_in_the_ratio_of_norms() -> None:
    want = torch.tensor([3.0, 4.0])
    (found,) = compare_outputs(["y"], [want * 3.5], [want])
    assert found.norm_ratio == pytest.approx(3.5)
    assert found.absolute == pytest.approx(10.0)
    assert found.relative == pytest.approx(2.5)
    assert not found.passed


def test_a_ratio_to_zero_is_none() -> None:
    (found,) = compare_outputs(["y"], [torch.ones(2)], [torch.zeros(2)])
    assert found.norm_ratio is None


def test_infinite_values_at_the_same_places_leave_the_ratio_of_the_others() -> None:
    want = torch.tensor([1.0, -math.inf, 2.0])
    (found,) = compare_outputs(["y"], [want.clone()], [want])
    assert found.passed
    assert found.norm_ratio == 1.0


def test_a_given_bound_is_for_floats_alone() -> None:
    floats, numbers = torch.tensor([1.0, 2.0]), torch.tensor([1, 2])
    got = [floats * 1.2, numbers + torch.tensor([0, 1])]
    found = compare_outputs(["y", "ids"], got, [floats, numbers], bound=0.5)
    assert [row.passed for row in found] == [True, False]
    assert [row.bound for row in found] == [0.5, 0.0]
