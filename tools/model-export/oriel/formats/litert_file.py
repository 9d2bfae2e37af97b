"""LiteRT, formerly TensorFlow Lite: files of fixed sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Format
from oriel.formats.pt2_file import program_writer
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner

_PACKAGES = ("litert_torch", "ai_edge_litert")


def convert(conversion: Conversion) -> None:
    """Convert a program of torch.export, whose inputs have their sizes in it."""
    import litert_torch
    import torch

    program = torch.export.load(conversion.source)
    values = {node.name: node.meta["val"] for node in program.graph.find_nodes(op="placeholder")}
    given = [values[name] for name in program.graph_signature.user_inputs]
    inputs = tuple(torch.zeros(value.shape, dtype=value.dtype) for value in given)
    litert_torch.convert(program.module(), inputs).export(str(conversion.file))


def _open(file: Path) -> Runner:
    import torch
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(file))
    runner = interpreter.get_signature_runner()
    details = runner.get_input_details()
    arguments = sorted(details, key=_position)
    results = sorted(runner.get_output_details(), key=_position)

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        given = {
            name: tensor.numpy().astype(details[name]["dtype"])
            for name, tensor in zip(arguments, inputs, strict=True)
        }
        found = runner(**given)
        return [torch.tensor(found[name]) for name in results]

    return run


def _position(name: str) -> int:
    """Return the number that a name such as args_1 ends with."""
    return int(name.rpartition("_")[2])


_CONVERTER = Converter("litert", _PACKAGES, convert, program_writer(), ".pt2")
_WAYS = (_CONVERTER.fixed_way("from the program of torch.export"),)

FORMAT = Format(
    "litert",
    ".tflite",
    _PACKAGES,
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    distributions=("litert-torch", "ai-edge-litert"),
    runtime="LiteRT",
    provider="CPU",
)
