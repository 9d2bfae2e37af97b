"""ExecuTorch: a program for its runtime on phones and small devices, with XNNPACK's kernels. Its
memory is planned beforehand, so that each dynamic axis has a largest size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Format
from oriel.formats.largest_sizes import bound_notes
from oriel.formats.pt2_file import program_writer
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
    from executorch.exir import EdgeCompileConfig, to_edge_transform_and_lower

    program = torch.export.load(conversion.source)
    # Its check takes the parts of a split for a list as long as the first axis, which thereby
    # becomes a constant in the whole file, such as the batch in GPT-2's.
    unchecked = EdgeCompileConfig(_check_ir_validity=False)
    lowered = to_edge_transform_and_lower(
        program, partitioner=[XnnpackPartitioner()], compile_config=unchecked
    )
    with conversion.file.open("wb") as file:
        lowered.to_executorch().write_to_file(file)


def _open(file: Path) -> Runner:
    from executorch.runtime import Runtime

    program = Runtime.get().load_program(file)
    method = program.load_method("forward")

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        # Named here so that it lives as long: the method reads from its memory.
        _ = program
        # The outputs lie in memory that the next run writes to.
        return [t.clone() for t in method.execute([tensor.contiguous() for tensor in inputs])]

    return run


_NAME = "XNNPACK, from the program of torch.export"
_CONVERTER = Converter("executorch", _PACKAGES, convert, program_writer(bounded=True), ".pt2")
_WAYS = (_CONVERTER.way(_NAME, bound_notes), _CONVERTER.fixed_way(_NAME))

FORMAT = Format(
    "executorch",
    ".pte",
    _PACKAGES,
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    distributions=("executorch", "torchao"),
    runtime="ExecuTorch",
    provider="XNNPACK",
)
