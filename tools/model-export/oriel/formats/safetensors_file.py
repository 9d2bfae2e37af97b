"""safetensors: the module's tensors by name, and no program. A file is proven by its tensors, which
must be the module's bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import ModuleError
from oriel.formats.format import Expected, FlatCall, Format, Way, WriteOptions
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from oriel.formats.format import Runner


def _write(call: FlatCall, file: Path, _: WriteOptions) -> Sequence[str]:
    from oriel.checkpoints.write_safetensors import write_safetensors

    write_safetensors(call.state(), file)
    return ()


def _check(file: Path, expected: Expected) -> Sequence[str]:
    from oriel.checkpoints.compare_tensors import hold_to
    from oriel.checkpoints.write_safetensors import read_with_aliases

    wanted, _ = read_with_aliases(expected.weights)
    found, aliases = read_with_aliases(file)
    hold_to(found, wanted)
    tied = f", of which {len(aliases)} share the bytes of another" if aliases else ""
    return [f"its {len(found)} tensors are the module's bit for bit{tied}"]


def _open(file: Path) -> Runner:
    raise ModuleError(f"{file.name} can't be called", got="tensors alone, and no program")


FORMAT = Format(
    "safetensors",
    ".safetensors",
    (),
    lambda _, __: (Way("the state dict", _write),),
    _open,
    structure_beside,
    distributions=("safetensors",),
    weights_alone=True,
    check=_check,
    runtime="none: tensors are read",
)
