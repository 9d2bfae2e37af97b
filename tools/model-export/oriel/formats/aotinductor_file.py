"""AOTInductor: a program of torch.export compiled to a library for this machine's processor, which
torch loads without the model's code."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import ModuleError
from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Format
from oriel.formats.pt2_file import program_writer
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner

_COMPILERS = ("g++", "clang++")


def convert(conversion: Conversion) -> None:
    """Compile a program of torch.export. Raises ModuleError where there is no C++ compiler."""
    import torch

    if not any(shutil.which(name) for name in _COMPILERS):
        raise ModuleError(
            "there is no C++ compiler", expected=" or ".join(_COMPILERS), next_step="install one."
        )
    program = torch.export.load(conversion.source)
    torch._inductor.aoti_compile_and_package(program, package_path=str(conversion.file))


def _open(file: Path) -> Runner:
    import torch
    import torch._inductor

    compiled = torch._inductor.aoti_load_package(str(file))

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            outputs: Sequence[Tensor] = compiled(*inputs)
        return outputs

    return run


_NAME = "from the program of torch.export"
_NAMED = Converter("aotinductor", (), convert, program_writer(), ".pt2")
_RELATED = Converter("aotinductor", (), convert, program_writer(named=False), ".pt2")
_WAYS = (
    _NAMED.way(_NAME),
    _RELATED.way(f"{_NAME}, sizes as torch finds them"),
    _NAMED.fixed_way(_NAME),
)

FORMAT = Format(
    "aotinductor",
    ".aoti.pt2",
    (),
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    runtime="AOTInductor",
)
