"""ONNX: by torch's exporter over torch.export (dynamo), of two layers where all are alike
(repeated_onnx.py), else by the one over TorchScript (classic). The opset that counts is the one in
the file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.contract.library_files import data_file
from oriel.errors import GraphError
from oriel.formats.finish_onnx import STRUCTURE, finish_graph, opset_of
from oriel.formats.format import (
    FlatCall,
    Format,
    Way,
    WriteOptions,
    fixed_branches,
    quiet_exporters,
)
from oriel.formats.pt2_file import dynamic_shapes
from oriel.formats.repeated_onnx import REPEATED, write_repeated
from oriel.formats.single_onnx_file import MAX_ONE_FILE, put_weights_inside, without_graph
from oriel.resting_collector import uncollected

if TYPE_CHECKING:
    import onnx
    from torch import Tensor

    from oriel.formats.format import Runner

_LOWEST_DYNAMO = 18
"""Asked for a lower opset, dynamo writes this one and says nothing."""
_DEFAULT_CLASSIC = 18


def _dynamo(named: bool, convert: bool = False) -> Way:
    name = "dynamo" if named else "dynamo, sizes as torch finds them"

    def write(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
        import torch

        asked = options.opset
        lowest = asked if asked is None else max(asked, _LOWEST_DYNAMO)
        with torch.no_grad(), quiet_exporters(), call.slimmed(), uncollected():
            program = torch.onnx.export(
                call.module,
                tuple(tensor.clone() for tensor in call.inputs),
                dynamo=True,
                dynamic_shapes=dynamic_shapes(call, named),
                input_names=list(call.input_names),
                output_names=list(call.output_names),
                opset_version=lowest,
                verbose=False,
            )
            assert program is not None
            # Else the exporter makes two more copies of all weights in memory.
            program.save(file, external_data=True)
        _name_data(file)
        if convert and asked is not None:
            _convert(file, asked)
        _finish(call, file, options)
        data = file.with_name(data_file(file.name))
        if data.exists() and data.stat().st_size <= MAX_ONE_FILE:
            put_weights_inside(file, data)
        return ()

    return Way(f"{name}, converted to the opset" if convert else name, write)


def write_dynamo(call: FlatCall, file: Path, options: WriteOptions) -> None:
    """Write the ONNX file that other formats are made from."""
    _dynamo(named=True).write(call, file, options)


def _classic(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
    import torch

    names = [*call.input_names, *call.output_names]
    axes = dict(zip(names, [*call.axes, *call.output_axes], strict=True))
    with tempfile.TemporaryDirectory(dir=file.parent) as folder:
        written = Path(folder) / file.name
        with (
            torch.no_grad(),
            quiet_exporters(),
            _plain_operators(),
            call.slimmed(),
            fixed_branches() as fixed,
        ):
            torch.onnx.export(
                call.module,
                tuple(tensor.clone() for tensor in call.inputs),
                str(written),
                dynamo=False,
                input_names=list(call.input_names),
                output_names=list(call.output_names),
                dynamic_axes={name: dict(named) for name, named in axes.items() if named},
                opset_version=options.opset or _DEFAULT_CLASSIC,
            )
        _take_with_weights(written, file)
    _finish(call, file, options)
    return fixed


@contextmanager
def _plain_operators() -> Iterator[None]:
    """Record attention as plain operators: in eval mode torch has one fused operator for a whole
    encoder layer, which the classic exporter can't write."""
    import torch

    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def _take_with_weights(written: Path, file: Path) -> None:
    """Move a graph to its place. Where it is too large for one file, the exporter has put each
    tensor into a file beside it: these become one."""
    import onnx

    if len(list(written.parent.iterdir())) == 1:
        written.replace(file)
        return
    model = onnx.load(written)
    onnx.save(model, file, save_as_external_data=True, location=data_file(file.name))


def _name_data(file: Path) -> None:
    """Give weights that dynamo put into a file of their own the name that other libraries look
    for."""
    import onnx

    written = file.with_name(f"{file.name}.data")
    if not written.exists():
        return
    model = onnx.load(file, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = data_file(file.name)
    written.replace(file.with_name(data_file(file.name)))
    onnx.save(model, file)


def _convert(file: Path, opset: int) -> None:
    import onnx
    from onnx import version_converter

    # Weights in a file of their own stay there, under their places in it.
    model = onnx.load(file, load_external_data=False)
    newer = opset_of(model)
    model = version_converter.convert_version(model, opset)
    for node in model.graph.node:
        if node.domain in ("", "ai.onnx"):
            _drop_newer_attributes(node, newer or opset, opset)
    onnx.save(model, file)


def _drop_newer_attributes(node: onnx.NodeProto, newer: int, opset: int) -> None:
    """Remove the attributes that the operator doesn't have yet in the older opset, which the
    converter leaves there. Raises GraphError for one that isn't at its default."""
    import onnx

    known = onnx.defs.get_schema(node.op_type, opset).attributes
    added = onnx.defs.get_schema(node.op_type, newer).attributes
    for attribute in [each for each in node.attribute if each.name not in known]:
        if attribute.name not in added or added[attribute.name].default_value != attribute:
            raise GraphError(
                f"{node.op_type} can't be written in the opset",
                got=f"its attribute {attribute.name}, which is newer",
                expected=f"an attribute of opset {opset}",
            )
        node.attribute.remove(attribute)


def _finish(call: FlatCall, file: Path, options: WriteOptions) -> None:
    import onnx

    model = onnx.load(file, load_external_data=False)
    finish_graph(call, model, options)
    onnx.save(model, file)


def _opset(file: Path) -> int | None:
    return opset_of(without_graph(file))


def _structure(file: Path) -> str | None:
    import onnx

    props = onnx.load(file, load_external_data=False).metadata_props
    return next((entry.value for entry in props if entry.key == STRUCTURE), None)


def _ways(call: FlatCall, options: WriteOptions) -> Sequence[Way]:
    classic = Way("classic", _classic)
    if options.opset is not None and options.opset < _LOWEST_DYNAMO:
        return (classic, _dynamo(named=True, convert=True))
    repeated = [] if call.layered is None else [Way(REPEATED, write_repeated)]
    related = [_dynamo(named=False)] if any(call.axes) else []
    return (*repeated, _dynamo(named=True), *related, classic)


def _open(file: Path) -> Runner:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        return [torch.from_numpy(value) for value in session.run(None, feed)]

    return run


FORMAT = Format(
    "onnx",
    ".onnx",
    ("onnx", "onnxruntime", "onnxscript"),
    _ways,
    _open,
    _structure,
    _opset,
    distributions=("onnx", "onnxruntime", "onnxscript"),
    runtime="ONNX Runtime",
    provider="CPUExecutionProvider",
)
