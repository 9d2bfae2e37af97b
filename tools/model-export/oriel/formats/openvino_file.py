"""OpenVINO: its own model of two files, an `.xml` graph and `.bin` weights in float32."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Format, Int8Form
from oriel.formats.openvino_int8 import RECIPE, compressor_paths, write_int8
from oriel.formats.pt2_file import program_writer
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner

_PACKAGES = ("openvino",)
_PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}
"""Its default computes in bfloat16 where the processor can, and is 4.5e-3 off."""


def convert(conversion: Conversion) -> None:
    """Convert a program of torch.export."""
    import openvino
    import torch

    model = openvino.convert_model(torch.export.load(conversion.source))
    for port, name in zip(model.inputs, conversion.input_names, strict=True):
        port.get_tensor().set_names({name})
    for port, name in zip(model.outputs, conversion.output_names, strict=True):
        port.get_tensor().add_names({name})
    openvino.save_model(model, conversion.file, compress_to_fp16=False)


def _open(file: Path) -> Runner:
    import openvino
    import torch

    compiled = openvino.Core().compile_model(file, "CPU", _PRECISION)

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        results = compiled([tensor.numpy() for tensor in inputs])
        return [torch.tensor(results[port]) for port in compiled.outputs]

    return run


_NAME = "from the program of torch.export"
_NAMED = Converter("openvino", _PACKAGES, convert, program_writer(), ".pt2")
_RELATED = Converter("openvino", _PACKAGES, convert, program_writer(named=False), ".pt2")
_WAYS = (
    _NAMED.way(_NAME),
    _RELATED.way(f"{_NAME}, sizes as torch finds them"),
    _NAMED.fixed_way(_NAME),
)

FORMAT = Format(
    "openvino",
    ".xml",
    _PACKAGES,
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    beside=(".bin",),
    distributions=("openvino",),
    runtime="OpenVINO",
    provider="CPU",
    int8=Int8Form(RECIPE, write_int8, compressor_paths),
)
