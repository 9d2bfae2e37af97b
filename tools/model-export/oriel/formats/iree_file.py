"""IREE: a module compiled for this machine's processor, from the ONNX file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Format
from oriel.formats.onnx_file import write_dynamo
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner

_PACKAGES = ("iree",)
_FUNCTION = "main_graph"
"""The name that the graph has in a file of ours."""


def convert(conversion: Conversion) -> None:
    """Compile an ONNX file."""
    import iree.compiler
    from iree.compiler.tools.import_onnx.__main__ import main, parse_arguments

    with tempfile.TemporaryDirectory() as folder:
        imported = str(Path(folder) / "imported.mlir")
        if main(parse_arguments([str(conversion.source), "-o", imported])):
            raise RuntimeError("iree-import-onnx refuses the file")
        iree.compiler.compile_file(
            imported,
            input_type="onnx",
            target_backends=["llvm-cpu"],
            extra_args=["--iree-llvmcpu-target-cpu=host"],
            output_file=str(conversion.file),
        )


def _open(file: Path) -> Runner:
    import iree.runtime
    import torch

    config = iree.runtime.Config("local-task")
    module = iree.runtime.VmModule.mmap(config.vm_instance, str(file))
    function = iree.runtime.load_vm_module(module, config)[_FUNCTION]

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        found = function(*[tensor.numpy() for tensor in inputs])
        outputs = found if isinstance(found, tuple | list) else (found,)
        return [torch.tensor(output.to_host()) for output in outputs]

    return run


_CONVERTER = Converter("iree", _PACKAGES, convert, write_dynamo, ".onnx")
_WAYS = (_CONVERTER.way("from the ONNX file"), _CONVERTER.fixed_way("from the ONNX file"))

FORMAT = Format(
    "iree",
    ".vmfb",
    _PACKAGES,
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    distributions=("iree-base-compiler", "iree-base-runtime"),
    runtime="IREE",
    provider="local-task",
)
