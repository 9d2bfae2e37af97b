"""Converts a program of torch.export to ONNX, without torch's pass of decompositions where it has
nothing to do.

torch.onnx.export first decomposes the operators that have no ONNX function, for which it traces the
whole program again: a third of an export's time. Of such operators the models that we trace have
casts and a few more, which are renamed here. A program with any other one, or with one that changes
a tensor in place, is decomposed as always.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node

_RENAMED: dict[object, Callable[..., object]] = {
    torch.ops.aten.__and__.Tensor: torch.ops.aten.bitwise_and.Tensor,
    torch.ops.aten.__or__.Tensor: torch.ops.aten.bitwise_or.Tensor,
    # Of a constant that was made in the model's code; no number of it changes.
    torch.ops.aten.detach_.default: torch.ops.aten.detach.default,
}
"""Operators, and the ones that torch's decompositions write in their place."""


def program_to_onnx(trace: Callable[[], ExportedProgram], opset: int) -> ir.Model:
    """Return the ONNX graph of the program that `trace` returns, which is changed. It is called
    once more where the program has to be decomposed."""
    program = trace()
    graphs = [each for each in program.graph_module.modules() if isinstance(each, GraphModule)]
    for graph in graphs:
        _rename(graph)
    if all(map(_is_functional, graphs)):
        # The method that the exporter calls for the pass.
        setattr(program, "run_decompositions", lambda *_: program)  # noqa: B010
        try:
            return _convert(program, opset)
        except torch.onnx.OnnxExporterError:
            # An operator without an ONNX function; where decomposing doesn't help, that says so.
            pass
        program = trace()
    return _convert(program, opset)


def _convert(program: ExportedProgram, opset: int) -> ir.Model:
    exported = torch.onnx.export(
        program, dynamo=True, opset_version=opset, optimize=False, verbose=False
    )
    assert exported is not None
    return exported.model


def _calls(module: GraphModule) -> list[Node]:
    return [node for node in module.graph.nodes if node.op == "call_function"]


def _is_functional(module: GraphModule) -> bool:
    """Return whether no operator changes a tensor in place; decomposing rewrites those."""
    schemas = (getattr(node.target, "_schema", None) for node in _calls(module))
    return not any(schema is not None and schema.is_mutable for schema in schemas)


def _rename(module: GraphModule) -> None:
    """Write the operators that have no ONNX function, or a longer one, by those that decomposing
    would leave."""
    lengths: dict[object, Node] = {}
    for node in _calls(module):
        packet = getattr(node.target, "overloadpacket", None)
        if packet is torch.ops.aten.sym_size:
            lengths.setdefault(node.meta["val"].node.expr, node)
        elif packet is torch.ops.aten.to:
            # Of a dtype, a device or both: all tensors are on one device.
            node.target = torch.ops.prims.convert_element_type.default
            node.args, node.kwargs = (node.args[0], node.meta["val"].dtype), {}
        elif packet is torch.ops.aten.flatten:
            _write_reshape(node, lengths)
        elif node.target in _RENAMED:
            node.target = _RENAMED[node.target]
    module.recompile()


def _write_reshape(node: Node, lengths: dict[object, Node]) -> None:
    """Write Tensor.flatten(…) as a reshape, where the graph has measured its lengths before; -1
    stands for one that it has not."""
    shape: list[int | Node] = [
        length if isinstance(length, int) else lengths.get(length.node.expr, -1)
        for length in node.meta["val"].shape
    ]
    if shape.count(-1) <= 1:
        node.target = torch.ops.aten.reshape.default
        node.args, node.kwargs = (node.args[0], shape), {}
