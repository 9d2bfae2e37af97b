"""Values of an edit's fields as JSON and back: places, positions, numbers. edit_json.py reads whole
edits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import SupportsIndex, TypeAlias, cast

import numpy as np
from numpy.typing import ArrayLike

from oriel.arrays import Array
from oriel.contract.documents import EditTensor, Stretch
from oriel.errors import ContractError

PlacesJson: TypeAlias = int | list[int]
PositionsJson: TypeAlias = int | list[int] | Stretch
NumbersJson: TypeAlias = float | list[float] | EditTensor


def places_to_json(given: object) -> PositionsJson:
    """Return an index, several, or a slice without a step."""
    if isinstance(given, slice):
        edges = {"start": given.start, "stop": given.stop}
        return cast(Stretch, {name: _index(at) for name, at in edges.items() if at is not None})
    if isinstance(given, (Sequence, np.ndarray)) and not isinstance(given, str):
        return [_index(each) for each in given]
    return _index(given)


def places_from_json(given: PositionsJson) -> int | list[int] | slice:
    """Return what keeps the contract's `places` or `positions`."""
    if isinstance(given, dict):
        edges = (given.get("start"), given.get("stop"))
        return slice(*(None if at is None else int(at) for at in edges))
    # JSON has no whole numbers of their own: 2.0 is one.
    return [int(each) for each in given] if isinstance(given, list) else int(given)


def numbers_to_json(given: Array) -> NumbersJson:
    """Return float32 numbers: each is written so that reading it gives the same float32."""
    if given.ndim == 0:
        return float(given)
    values: list[float] = given.reshape(-1).tolist()
    return values if given.ndim == 1 else {"shape": list(given.shape), "values": values}


def numbers_from_json(given: NumbersJson, name: str) -> ArrayLike:
    """Return what keeps the contract's `numbers`. Raises ContractError where a shape doesn't hold
    as many as there are."""
    if not isinstance(given, dict):
        return given
    shape = [int(size) for size in given["shape"]]
    # In Python's whole numbers, which don't overflow.
    count = 1
    for size in shape:
        count *= size
    if count != len(given["values"]):
        raise ContractError(
            f"{name} has another number of values than its shape says",
            got=f"{len(given['values'])}",
            expected=" × ".join(map(str, shape)),
        )
    return np.asarray(given["values"], dtype=np.float64).reshape(shape)


def _index(value: object) -> int:
    return int(cast(SupportsIndex, value))
