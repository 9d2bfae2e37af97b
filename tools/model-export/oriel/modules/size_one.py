"""A case of verification with size 1 on dynamic axes: a batch of one is the commonest call, and the
size that exporters are likeliest to take for a constant."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from oriel.errors import ModuleError
from oriel.modules.axes import Axes
from oriel.modules.call import cloned
from oriel.modules.second_input import second_input
from oriel.modules.verify_module import Case


def size_one_case(
    run: Callable[[Sequence[Tensor]], Sequence[Tensor]],
    example: Case,
    axes: Axes,
    others: Mapping[str, int],
) -> Case | str | None:
    """Return a case with 1 on every dynamic axis; where the module doesn't take that, with 1 on the
    first axis alone; where it doesn't take that either, the reason. None without dynamic axes.

    run: the module, from flat inputs to the chosen outputs. others: sizes for the other axes.
    A module may need more than one of something: that it fails is no fault of a file's.
    """
    first, *rest = axes.sizes or [None]
    if first is None:
        return None
    reason = ""
    for sizes in (dict.fromkeys(axes.sizes, 1), {**others, first: 1})[: 1 + bool(rest)]:
        name = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
        inputs = second_input(example.inputs, axes, sizes)
        try:
            outputs = run(inputs)
        except ModuleError as error:
            reason = reason or f"size 1 isn't verified: with {name}, {error.what}; {error.got}"
            continue
        if [tensor.dim() for tensor in outputs] == [tensor.dim() for tensor in example.outputs]:
            return Case(f"size 1 ({name})", inputs, cloned(outputs))
        reason = reason or f"size 1 isn't verified: with {name}, the outputs lose an axis"
    return reason
