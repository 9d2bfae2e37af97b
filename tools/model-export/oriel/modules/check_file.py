"""Checks of a file that nothing can run here, in a fresh process that has the file, its expected
inputs and outputs, and the module's tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from oriel.checkpoints.write_safetensors import write_safetensors
from oriel.formats import formats_by_name
from oriel.formats.format import FlatCall
from oriel.modules.run_file import ExpectedRow, Request, TensorRow, ask_fresh_process

_WEIGHTS = "weights.safetensors"


def check_file(
    format_name: str, file: Path, call: FlatCall, outputs: Sequence[Tensor], fixed_sizes: bool
) -> list[str]:
    """Return what was compared. Raises ModuleError where the file can't be read or differs.

    outputs: the module's own on the example. fixed_sizes: the file takes its sizes alone.
    """
    with tempfile.TemporaryDirectory(prefix="oriel-check-") as name:
        folder = Path(name).resolve()
        weights = folder / _WEIGHTS
        state = call.state()
        if not formats_by_name()[format_name].weights_alone:
            state = {name: t for name, t in state.items() if not _is_in(call.unread, name)}
        write_safetensors(state, weights)
        expected: ExpectedRow = {
            "inputs": [
                _row(*row, fixed_sizes)
                for row in zip(call.input_names, call.inputs, call.axes, strict=True)
            ],
            "outputs": [
                _row(*row, fixed_sizes)
                for row in zip(call.output_names, outputs, call.output_axes, strict=True)
            ],
            "weights": str(weights),
        }
        request: Request = {
            "format": format_name,
            "file": str(file.resolve()),
            "expected": expected,
        }
        return ask_fresh_process(folder, request)["checks"]


def _is_in(parts: Sequence[str], name: str) -> bool:
    return any(name == part or part == "" or name.startswith(f"{part}.") for part in parts)


def _row(name: str, tensor: Tensor, axes: Mapping[int, str], fixed_sizes: bool) -> TensorRow:
    return {
        "name": name,
        "shape": list(tensor.shape),
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "axes": {} if fixed_sizes else {str(axis): each for axis, each in axes.items()},
    }
