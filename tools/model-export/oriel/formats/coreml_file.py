"""Core ML: an ML program in float32 with its weights, a folder. Only macOS runs it; elsewhere its
inputs, outputs and weights are held to the module's."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import ModuleError, first_few
from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import Expected, Format, TensorType
from oriel.formats.largest_sizes import bound_notes
from oriel.formats.pt2_file import program_writer
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from coremltools.converters.mil import Program
    from coremltools.proto import Model_pb2
    from numpy.typing import NDArray
    from torch import Tensor

    from oriel.formats.format import Runner

_PACKAGES = ("coremltools", "cattrs", "pyaml")
_STORED = {"int64": "int32", "bool": "float32", "float64": "float32"}
"""{dtype: what inputs and outputs have in its place}: Core ML has no such arrays."""
_DATE = "com.github.apple.coremltools.conversion_date"
_CHANGE_WEIGHTS = ("common::fuse_conv_batchnorm", "common::fuse_conv_scale")
"""Steps that multiply weights with others. Without them each weight can be found in the file; Core
ML joins such operators itself where it compiles a file."""


def convert(conversion: Conversion) -> None:
    """Convert a program of torch.export, and put the example's sizes into its description."""
    import coremltools
    import torch

    from oriel.formats.coreml_operators import in_known_operators

    program = torch.export.load(conversion.source)
    (example, _) = program.example_inputs or ((), {})
    pipeline = coremltools.PassPipeline()
    pipeline.remove_passes(_CHANGE_WEIGHTS)
    model = coremltools.convert(
        in_known_operators(program),
        outputs=[coremltools.TensorType(name=_own_name(name)) for name in conversion.output_names],
        minimum_deployment_target=coremltools.target.iOS17,
        compute_precision=coremltools.precision.FLOAT32,
        pass_pipeline=pipeline,
        skip_model_load=True,
    )
    spec = model.get_spec()
    for row, tensor in zip(spec.description.input, example, strict=True):
        array = row.type.multiArrayType
        array.shape[:] = tensor.shape
        for sizes in array.shapeRange.sizeRanges:
            # torch.export allows none at all, for which Core ML makes no array.
            sizes.lowerBound = max(sizes.lowerBound, 1)
    spec.description.metadata.userDefined.pop(_DATE, None)
    made = coremltools.models.MLModel(spec, weights_dir=model.weights_dir, skip_model_load=True)
    made.save(str(conversion.file))


def _open(file: Path) -> Runner:
    import coremltools
    import torch

    model = coremltools.models.MLModel(str(file))
    description = model.get_spec().description
    names = [row.name for row in description.input]

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        found = model.predict({n: t.numpy() for n, t in zip(names, inputs, strict=True)})
        return [torch.tensor(found[row.name]) for row in description.output]

    return run


def _unrunnable() -> str | None:
    if sys.platform == "darwin":
        return None
    return f"Core ML runs on macOS alone, and this is {platform.system()}: no output was compared"


def _check(file: Path, expected: Expected) -> Sequence[str]:
    import coremltools
    from coremltools.converters.mil.frontend.milproto.load import load

    model = coremltools.models.MLModel(str(file), skip_model_load=True)
    spec = model.get_spec()
    program = load(spec, spec.specificationVersion, file_weights_dir=model.weights_dir)
    (function,) = program.functions.values()
    operators = [each for each in function.operations if each.op_type != "const"]
    _hold_description(spec, expected)
    made = {each.name: each for each in function.outputs}
    for output in expected.outputs:
        sizes = made[_own_name(output.name)].shape
        _hold_shape(output, [size if isinstance(size, int) else None for size in sizes])
    return [
        f"coremltools reads it: {len(operators)} operators",
        f"its inputs and outputs ({len(expected.inputs)} and {len(expected.outputs)}) have the "
        f"module's names, sizes and dtypes{_stored_otherwise(expected)}",
        _hold_weights(list(_constants(program)), expected),
    ]


def _own_name(name: str) -> str:
    """Return Core ML's name of a tensor, which is an identifier: past_key_values_0_key."""
    return re.sub(r"\W", "_", name)


def _stored_otherwise(expected: Expected) -> str:
    """Name the dtypes that Core ML has no arrays of."""
    dtypes = {row.dtype for row in (*expected.inputs, *expected.outputs)}
    changed = [f"{_STORED[dtype]} for {dtype}" for dtype in sorted(dtypes & _STORED.keys())]
    return f", {' and '.join(changed)}" if changed else ""


def _hold_description(spec: Model_pb2.Model, expected: Expected) -> None:
    for what, rows, wanted in (
        ("inputs", spec.description.input, expected.inputs),
        ("outputs", spec.description.output, expected.outputs),
    ):
        names = [row.name for row in rows]
        if names != [_own_name(row.name) for row in wanted]:
            raise ModuleError(
                f"its {what} have other names",
                got=first_few(names),
                expected=first_few([_own_name(row.name) for row in wanted]),
            )
        for row, tensor in zip(rows, wanted, strict=True):
            array = row.type.multiArrayType
            dtype = array.ArrayDataType.Name(array.dataType).lower()
            stored = _STORED.get(tensor.dtype, tensor.dtype)
            if dtype != stored:
                raise ModuleError(f"{tensor.name} has another dtype", got=dtype, expected=stored)
            if what == "inputs":
                ranges = [(r.lowerBound, r.upperBound) for r in array.shapeRange.sizeRanges]
                fixed = [(size, size) for size in array.shape]
                sizes = [low if low == high else None for low, high in ranges or fixed]
                _hold_shape(tensor, sizes)


def _hold_shape(tensor: TensorType, found: Sequence[int | None]) -> None:
    """Compare sizes; None is one that may change."""
    wanted = [None if axis in tensor.axes else size for axis, size in enumerate(tensor.shape)]
    if list(found) != wanted:
        raise ModuleError(f"{tensor.name} has other sizes", got=str(found), expected=str(wanted))


def _constants(program: Program) -> Iterator[NDArray[np.generic]]:
    import numpy as np

    for function in program.functions.values():
        for operator in function.operations:
            if operator.op_type == "const":
                yield np.asarray(operator.outputs[0].val)


def _hold_weights(constants: Sequence[NDArray[np.generic]], expected: Expected) -> str:
    """Find each float weight among the constants by its bytes, as it is or transposed: a reshaped
    one has the same bytes."""
    from safetensors import safe_open

    held = {constant.tobytes() for constant in constants}
    missing, count, zeros = [], 0, 0
    with safe_open(expected.weights, framework="np") as weights:
        for name in weights.keys():  # noqa: SIM118
            weight = weights.get_tensor(name)
            if weight.dtype.kind != "f":
                continue
            if weight.tobytes() in held or weight.T.tobytes() in held:
                count += 1
            elif weight.any():
                missing.append(name)
            else:
                # coremltools drops the addition of a bias that is zero.
                zeros += 1
    if missing:
        raise ModuleError(
            "weights of the module are not among its constants",
            got=first_few(missing),
            expected="each of the module's, bit for bit",
        )
    but = f"; {zeros} of zeros alone are gone" if zeros else ""
    return f"all {count} weights are among its constants bit for bit{but}"


_CONVERTER = Converter("coreml", _PACKAGES, convert, program_writer(bounded=True), ".pt2")
_NAME = "ML program, from the program of torch.export"
_WAYS = (_CONVERTER.way(_NAME, bound_notes), _CONVERTER.fixed_way(_NAME))

FORMAT = Format(
    "coreml",
    ".mlpackage",
    _PACKAGES,
    lambda _, __: _WAYS,
    _open,
    structure_beside,
    distributions=("coremltools",),
    is_folder=True,
    unrunnable=_unrunnable,
    check=_check,
    runtime="Core ML",
)
