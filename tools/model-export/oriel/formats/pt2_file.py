"""PT2: torch.export's archive of a program and its weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.archive import read_entry
from oriel.formats.format import FlatCall, Format, Way, WriteOptions, quiet_exporters
from oriel.formats.largest_sizes import largest_sizes
from oriel.formats.size_names import is_sum, size_of, terms_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from oriel.formats.format import Runner

STRUCTURE = "oriel.json"
"""The extra file inside the archive that tells what the flat names stand for."""


def dynamic_shapes(
    call: FlatCall, named: bool = True, bounded: bool = False
) -> tuple[Mapping[int, object] | None, ...]:
    """Return torch.export's description of the dynamic axes. named: axes of one name must have one
    size; otherwise torch finds out which depend on which. bounded: each has a largest size."""
    from torch.export import Dim

    largest = largest_sizes(call)
    sizes = {name: Dim(name, max=size if bounded else None) for name, size in largest.items()}

    def described(name: str) -> object:
        if not named:
            return Dim.DYNAMIC
        if not is_sum(name):
            return sizes[name]
        # torch has no way to be told of a sum, and finds it.
        return Dim.AUTO(max=size_of(name, largest)) if bounded else Dim.AUTO

    return tuple(
        {axis: described(name) for axis, name in axes.items()} or None for axes in call.axes
    )


def export_program(
    call: FlatCall, strict: bool, named: bool = True, bounded: bool = False
) -> torch.export.ExportedProgram:
    """Trace a module with torch.export. strict: through TorchDynamo, which reads the code."""
    import torch

    with torch.no_grad(), quiet_exporters(), call.slimmed():
        program = torch.export.export(
            call.module,
            tuple(tensor.clone() for tensor in call.inputs),
            dynamic_shapes=dynamic_shapes(call, named, bounded),
            strict=strict,
        )
    if named:
        _widen_sums(program, call)
    return program


def _widen_sums(program: torch.export.ExportedProgram, call: FlatCall) -> None:
    """Let a sum begin at the sum of what its terms begin at: torch keeps the 2 + 2 that it traced
    with, though each term may be 1 or 0."""
    from torch.utils._sympy.value_ranges import ValueRanges

    values = {node.name: node.meta["val"] for node in program.graph.find_nodes(op="placeholder")}
    shapes = [values[name].shape for name in program.graph_signature.user_inputs]
    symbols = {
        name: shape[axis].node.expr
        for shape, axes in zip(shapes, call.axes, strict=True)
        for axis, name in axes.items()
        if not isinstance(shape[axis], int)
    }
    ranges = program.range_constraints
    for name, symbol in symbols.items():
        if is_sum(name) and symbol in ranges:
            lowest = sum(int(ranges[symbols[term]].lower) for term in terms_of(name))
            ranges[symbol] = ValueRanges(lowest, ranges[symbol].upper)


def program_writer(
    named: bool = True, bounded: bool = False
) -> Callable[[FlatCall, Path, WriteOptions], None]:
    """Return what writes the program that other formats are made from. named, bounded: as in
    dynamic_shapes."""

    def write(call: FlatCall, file: Path, _: WriteOptions) -> None:
        import torch

        torch.export.save(export_program(call, False, named, bounded), file)

    return write


def _drop_unused_weights(program: torch.export.ExportedProgram) -> None:
    """Remove weights that no node reads once dead ones are gone: torch.export keeps all that the
    module has."""
    graph, specs = program.graph_module.graph, program.graph_signature.input_specs
    graph.eliminate_dead_code()
    for node, spec in list(zip(graph.find_nodes(op="placeholder"), list(specs), strict=True)):
        is_weight = spec.kind.name in ("PARAMETER", "BUFFER") and spec.target is not None
        if is_weight and not node.users:
            graph.erase_node(node)
            specs.remove(spec)
            program.state_dict.pop(spec.target, None)
            program.constants.pop(spec.target, None)
    program.graph_module.recompile()


def _way(name: str, strict: bool, named: bool) -> Way:
    def write(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
        import torch

        program = export_program(call, strict, named)
        # It would travel in the file, and nobody asked for that.
        program.example_inputs = None
        _drop_unused_weights(program)
        for node in program.graph.nodes:
            # Traces of the caller's source code, with its paths.
            node.meta.pop("stack_trace", None)
        torch.export.save(program, file, extra_files={STRUCTURE: options.structure})
        return ()

    return Way(name, write)


def _open(file: Path) -> Runner:
    import torch

    program = torch.export.load(file).module()

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            outputs: Sequence[Tensor] = program(*inputs)
        return outputs

    return run


def _structure(file: Path) -> str | None:
    return read_entry(file, f"extra/{STRUCTURE}")


def _ways(call: FlatCall, _: WriteOptions) -> Sequence[Way]:
    first = _way("torch.export", strict=False, named=True)
    related = _way("torch.export, sizes as torch finds them", strict=False, named=False)
    last = _way("torch.export, strict", strict=True, named=True)
    return (first, related, last) if any(call.axes) else (first, last)


FORMAT = Format(
    "pt2",
    ".pt2",
    (),
    _ways,
    _open,
    _structure,
    runtime="PyTorch, exported program",
)
