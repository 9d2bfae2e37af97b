"""A program of torch.export in the operators that coremltools can convert: transformers make their
masks of a few that it lacks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def in_known_operators(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """Return a program that computes the same."""
    aten = torch.ops.aten
    made: torch.export.ExportedProgram = program.run_decompositions(
        {
            aten.new_ones.default: _new_ones,
            aten.diff.default: _differences,
            aten.where.ScalarOther: _choose,
            aten.where.ScalarSelf: _choose,
        }
    )
    # Not as a decomposition: torch computes logical_and by this operator, and would never end.
    for node in made.graph.find_nodes(op="call_function", target=aten.__and__.Tensor):
        if node.meta["val"].dtype == torch.bool:
            node.target = aten.logical_and.default
    # As a decomposition, torch puts it back.
    for node in made.graph.find_nodes(op="call_function", target=aten.alias.default):
        node.target = aten.clone.default
    made.graph_module.recompile()
    return made


def _new_ones(
    like: Tensor, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: object
) -> Tensor:
    dtype = dtype or like.dtype
    return torch.full(size, True if dtype == torch.bool else 1, dtype=dtype)


def _differences(
    x: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
) -> Tensor:
    x = torch.cat([part for part in (prepend, x, append) if part is not None], dim)
    for _ in range(n):
        later, sooner = x.narrow(dim, 1, x.shape[dim] - 1), x.narrow(dim, 0, x.shape[dim] - 1)
        x = torch.logical_xor(later, sooner) if x.dtype == torch.bool else later - sooner
    return x


def _choose(condition: Tensor, one: Tensor | float, other: Tensor | float) -> Tensor:
    dtype = torch.result_type(one, other)
    values = [x if isinstance(x, Tensor) else torch.full((), x, dtype=dtype) for x in (one, other)]
    # Of unequal sizes coremltools takes those of one of them.
    first, second = values
    shape = (condition.to(torch.int) + first + second).shape
    return torch.where(condition.expand(shape), first.expand(shape), second.expand(shape))
