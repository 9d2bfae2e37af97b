"""The matrices of experts, under the two sets of names that they have. transformers joins those of
a layer's experts to two tensors. Most checkpoints have one tensor for each matrix, and so has a
graph, whose kernels read matrices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oriel.checkpoints.tensors import StoredTensor

Shape = tuple[int, ...]

_JOINED = re.compile(r"(?P<experts>.+\.experts)\.(?P<kinds>gate_up|down)_proj")
_KINDS = {"gate_up": ("gate", "up"), "down": ("down",)}


@dataclass(frozen=True)
class ExpertMatrix:
    """One matrix of a joined tensor: its own name, and its place."""

    name: str
    expert: int
    rows: slice


def expert_matrices(name: str, shape: Shape) -> list[ExpertMatrix]:
    """Return the matrices that a tensor of this name and shape, (experts, rows, columns), holds;
    none where it isn't joined. Rows of `gate` stand before those of `up`."""
    match = _JOINED.fullmatch(name)
    kinds = _KINDS[match["kinds"]] if match else ()
    if match is None or len(shape) != 3 or shape[1] % len(kinds):
        return []
    rows = shape[1] // len(kinds)
    return [
        ExpertMatrix(
            f"{match['experts']}.{expert}.{kind}_proj.weight",
            expert,
            slice(at * rows, (at + 1) * rows),
        )
        for expert in range(shape[0])
        for at, kind in enumerate(kinds)
    ]


def separate_shapes(parameters: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return parameters with the matrices of experts in the place of joined tensors."""
    separate: dict[str, Shape] = {}
    for name, shape in parameters.items():
        matrices = expert_matrices(name, shape)
        separate |= {m.name: (m.rows.stop - m.rows.start, *shape[2:]) for m in matrices}
        if not matrices:
            separate[name] = shape
    return separate


def separate_stored(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return stored tensors with parts of the joined ones in their place."""
    return dict(_separated(tensors))


def _separated(tensors: Mapping[str, StoredTensor]) -> Iterator[tuple[str, StoredTensor]]:
    for key, stored in tensors.items():
        matrices = expert_matrices(key, stored.shape)
        for matrix in matrices:
            rows = matrix.rows
            shape = (rows.stop - rows.start, stored.shape[2])
            yield matrix.name, replace(stored, shape=shape, part=(matrix.expert, rows))
        if not matrices:
            yield key, stored


def read_joined(name: str, shape: Shape, read: Callable[[str], Tensor]) -> Tensor:
    """Return a parameter of transformers, joined from the matrices that `read` gives by name where
    it holds several."""
    matrices = expert_matrices(name, shape)
    if not matrices:
        return read(name)
    first = read(matrices[0].name)
    joined = torch.empty(shape, dtype=first.dtype)
    for matrix in matrices:
        joined[matrix.expert, matrix.rows] = first if matrix is matrices[0] else read(matrix.name)
    return joined


def separate_tensors(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return views of the parameters of transformers, by the names of separate matrices."""
    views: dict[str, Tensor] = {}
    for name, tensor in parameters.items():
        matrices = expert_matrices(name, tuple(tensor.shape))
        views |= {m.name: tensor[m.expert, m.rows] for m in matrices}
        if not matrices:
            views[name] = tensor
    return views
