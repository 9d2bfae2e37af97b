"""Matrix products in parts so small that BLAS computes each in one thread, for code with threads of
its own: large products would start threads in each of those, which wait for one another for longer
than they compute. OpenBLAS draws the line at 2^18 multiplications."""

from __future__ import annotations

from oriel.precision.rounding.grid import Floats

TILE = 64
"""Rows and columns of a square tile: 2^18 multiplications in a product of two."""
_ROWS, _WIDE = 32, 128


def add_product(sums: Floats, left: Floats, right: Floats) -> None:
    """sums += leftᵀ · right."""
    width = sums.shape[1]
    whole = width - width % _WIDE
    for top in range(0, len(sums), _ROWS):
        for deep in range(0, len(right), TILE):
            factor = left[deep : deep + TILE, top : top + _ROWS].T
            inner, outer = right[deep : deep + TILE], sums[top : top + _ROWS]
            if whole:
                tiles = _side_by_side(outer[:, :whole])
                tiles += factor @ _side_by_side(inner[:, :whole])
            if width > whole:
                outer[:, whole:] += factor @ inner[:, whole:]


def _side_by_side(rows: Floats) -> Floats:
    """(parts, rows, _WIDE): a view of the columns."""
    return rows.reshape(len(rows), -1, _WIDE).transpose(1, 0, 2)
