"""ExecuTorch: a program for its runtime on phones and small devices, with XNNPACK's kernels. Its
memory is planned beforehand, so that each dynamic axis has a largest size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import FlatCall, Format, Way, WriteOptions
from oriel.formats.pt2_file import largest_sizes, write_bounded_program
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner

_PACKAGES = ("executorch", "torchao", "ruamel")


def convert(conversion: Conversion) -> None:
    """Lower a program of torch.export to XNNPACK where that has a kernel, and to ExecuTorch's own
    operators elsewhere."""
    import torch
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    program = torch.export.load(conversion.source)
    lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
    with conversion.file.open("wb") as file:
        lowered.to_executorch().write_to_file(file)


def _open(file: Path) -> Runner:
    from executorch.runtime import Runtime

    # The method reads from the program's memory.
    program = Runtime.get().load_program(file)
    method = program.load_method("forward")

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        # The outputs lie in memory that the next run writes to.
        given = [tensor.contiguous() for tensor in inputs]
        return [tensor.clone() for tensor in method.execute(given)] if program else []

    return run


def _bounds(call: FlatCall) -> Sequence[str]:
    return [f"{name} is at most {size}" for name, size in largest_sizes(call).items()]


def _ways(call: FlatCall, _: WriteOptions) -> Sequence[Way]:
    converter = Converter("executorch", _PACKAGES, convert, write_bounded_program, ".pt2")
    name = "XNNPACK, from the program of torch.export"
    return converter.way(name, _bounds), converter.fixed_way(name)


FORMAT = Format(
    "executorch",
    ".pte",
    _PACKAGES,
    _ways,
    _open,
    structure_beside,
    distributions=("executorch", "torchao"),
)
