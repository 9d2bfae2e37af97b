"""TensorRT: an engine for this machine's GPU, built of the ONNX file in float32 without TF32. Where
there is no GPU, the ONNX file to build it of stands in its place, and is run by ONNX Runtime."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import GraphError
from oriel.formats.convert_program import Conversion, Converter
from oriel.formats.format import FlatCall, Format, Way, WriteOptions
from oriel.formats.largest_sizes import bound_notes
from oriel.formats.onnx_file import write_dynamo
from oriel.formats.structure_beside import structure_beside

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner


def has_gpu() -> bool:
    """Return whether NVIDIA's driver is here, without importing torch."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def convert(conversion: Conversion) -> None:
    """Build an engine, whose profile has the smallest, the example's and the largest sizes."""
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse_from_file(str(conversion.source)):
        raise GraphError("TensorRT can't read the ONNX file", got=str(parser.get_error(0)))
    config = builder.create_builder_config()
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    for name, sizes in zip(conversion.input_names, conversion.ranges, strict=True):
        profile.set_shape(name, *(tuple(each) for each in sizes))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise GraphError("TensorRT builds no engine of the ONNX file")
    conversion.file.write_bytes(bytes(plan))


def _open(file: Path) -> Runner:
    import tensorrt
    import torch

    logger = tensorrt.Logger(tensorrt.Logger.ERROR)
    # torch makes the GPU's context, in which the engine must live.
    torch.zeros(1, device="cuda")
    runtime = tensorrt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(file.read_bytes())
    context = engine.create_execution_context()
    names = [engine.get_tensor_name(at) for at in range(engine.num_io_tensors)]
    given = [n for n in names if engine.get_tensor_mode(n) == tensorrt.TensorIOMode.INPUT]
    dtypes = {
        tensorrt.float32: torch.float32,
        tensorrt.float16: torch.float16,
        tensorrt.int64: torch.int64,
        tensorrt.int32: torch.int32,
        tensorrt.bool: torch.bool,
    }

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        # Named here so that it lives as long: the engine needs its runtime.
        _ = runtime
        held = {n: t.cuda().contiguous() for n, t in zip(given, inputs, strict=True)}
        for name, tensor in held.items():
            if not context.set_input_shape(name, tuple(tensor.shape)):
                raise GraphError("the engine doesn't take such sizes", got=str(list(tensor.shape)))
        for name in names[len(given) :]:
            shape = tuple(context.get_tensor_shape(name))
            dtype = dtypes[engine.get_tensor_dtype(name)]
            held[name] = torch.empty(shape, dtype=dtype, device="cuda")
        for name, tensor in held.items():
            context.set_tensor_address(name, tensor.data_ptr())
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        if not context.execute_async_v3(stream.cuda_stream):
            raise GraphError("the engine fails")
        stream.synchronize()
        return [held[name].cpu() for name in names[len(given) :]]

    return run


def _unrunnable() -> str | None:
    import torch

    if has_gpu() and torch.cuda.is_available():
        return None
    got = "torch here is without CUDA" if has_gpu() else "this machine has none"
    return (
        f"an engine is built and run on an NVIDIA GPU, and {got}: the ONNX file to build it of was "
        "written, and run by ONNX Runtime"
    )


def _write_onnx(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
    write_dynamo(call, file, options)
    return ()


_NAME = "from the ONNX file"
_PACKAGES = ("tensorrt",) if has_gpu() else ()
_CONVERTER = Converter("tensorrt", _PACKAGES, convert, write_dynamo, ".onnx")
_ENGINE = (_CONVERTER.way(_NAME, bound_notes), _CONVERTER.fixed_way(_NAME))
_ONNX = (Way("the ONNX file to build an engine of", _write_onnx, written_as="onnx"),)


def _ways(_: FlatCall, __: WriteOptions) -> Sequence[Way]:
    return _ENGINE if _unrunnable() is None else _ONNX


FORMAT = Format(
    "tensorrt",
    ".engine",
    _PACKAGES,
    _ways,
    _open,
    structure_beside,
    distributions=("tensorrt",),
    unrunnable=_unrunnable,
    in_all=has_gpu(),
    runtime="TensorRT",
)
