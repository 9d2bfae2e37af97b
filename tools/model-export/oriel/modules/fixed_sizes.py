"""The cases of a file that takes the example's sizes alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from oriel.formats.format import FlatCall
from oriel.formats.size_names import is_sum
from oriel.modules.axes import Axes
from oriel.modules.call import cloned
from oriel.modules.second_input import second_input
from oriel.modules.verify_module import Case


def fixed_size_cases(call: FlatCall, cases: Sequence[Case]) -> list[Case]:
    """Return the example, and another input of its sizes: rows drawn from it, with noise."""
    sizes = {
        name: tensor.shape[axis]
        for tensor, axes in zip(call.inputs, call.axes, strict=True)
        for axis, name in axes.items()
        if not is_sum(name)
    }
    inputs = second_input(call.inputs, Axes(tuple(call.axes), sizes), sizes)
    with torch.no_grad():
        outputs = call.module(*cloned(inputs))
    return [cases[0], Case("other values in the example's sizes", inputs, cloned(outputs))]
