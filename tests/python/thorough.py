"""Selects the tests that `make test` leaves to `make test-thorough`: nine tenths of the property
tests' examples, and models similar to ones that are tested anyway."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

THOROUGH = os.environ.get("ORIEL_THOROUGH") == "1"


def examples(every: int) -> int:
    """Return how many of so many examples to draw; rare cases need a few at least."""
    return every if THOROUGH else max(10, every // 10)


def further(*values: object) -> ParameterSet:
    """Return a case of a parametrized test that runs only in the thorough run."""
    left = pytest.mark.skipif(not THOROUGH, reason="make test-thorough runs it")
    return pytest.param(*values, marks=left)
