"""TorchScript: compiled from the module's code where its compiler reads that, else traced; frozen
in either case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import ModuleError
from oriel.formats.archive import read_entry
from oriel.formats.format import (
    FlatCall,
    Format,
    Way,
    WriteOptions,
    fixed_branches,
    quiet_exporters,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from oriel.formats.format import Runner

STRUCTURE = "oriel.json"


def _script(call: FlatCall) -> torch.jit.ScriptModule:
    """Compile the module, and a forward of flat tensors around it."""
    import torch
    from torch import nn

    if call.script is None:
        raise ModuleError("this call can't be compiled", got="a method other than forward")
    source = call.script.source()
    # A class of its own: torch keeps what it compiled for a class, and a second module of the same
    # parts would find a forward there already.
    outer: nn.Module = type("Outer", (nn.Module,), {})()
    outer.add_module("model", call.script.module)
    made: torch.jit.ScriptModule = torch.jit.script(outer.eval())
    made.define(source)
    return made


def _trace(call: FlatCall) -> torch.jit.ScriptModule:
    """Record a run. torch's own check compares the graphs of two runs, which for a right encoder
    layer may differ in their kernels, and refuses it: verification compares numbers instead."""
    import torch

    inputs = tuple(tensor.clone() for tensor in call.inputs)
    with call.slimmed():
        made: torch.jit.ScriptModule = torch.jit.trace(  # type: ignore[no-untyped-call]
            call.module, inputs, check_trace=False
        )
    return made


def _way(name: str, make: Callable[[FlatCall], torch.jit.ScriptModule], freeze: bool) -> Way:
    def write(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
        import torch

        with torch.no_grad(), quiet_exporters(), fixed_branches() as fixed:
            made = make(call).eval()
            if freeze:
                made = torch.jit.freeze(made)
            torch.jit.save(made, str(file), _extra_files={STRUCTURE: options.structure})
        return fixed

    return Way(name, write)


def _open(file: Path) -> Runner:
    import torch

    with quiet_exporters():
        loaded = torch.jit.load(str(file), map_location="cpu").eval()  # type: ignore[no-untyped-call]

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            outputs: Sequence[Tensor] = loaded(*inputs)
        return outputs

    return run


def _structure(file: Path) -> str | None:
    return read_entry(file, f"extra/{STRUCTURE}")


_WAYS = (
    _way("script, freeze", _script, freeze=True),
    _way("trace, freeze", _trace, freeze=True),
    _way("trace", _trace, freeze=False),
)

FORMAT = Format(
    "ts",
    ".ts",
    (),
    lambda _, __: _WAYS,
    _open,
    _structure,
    runtime="TorchScript",
    note="PyTorch calls TorchScript deprecated, and torch.export its successor: the format pt2",
)
