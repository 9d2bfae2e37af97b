"""A module with its example, ready to be written: run, flattened, named, and with the cases that
verification compares."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from torch import Tensor, nn

from oriel.errors import ModuleError, first_few
from oriel.formats.format import FlatCall, ScriptedCall
from oriel.modules.axes import Axes, output_axes, resolve_axes, sizes_in
from oriel.modules.call import changed_inputs, cloned, flatten_call
from oriel.modules.constants import type_name
from oriel.modules.export_request import ExportRequest, LoadedCheckpoint
from oriel.modules.flat_module import FlatOutputs, flat_module
from oriel.modules.metadata import Signature, TensorRow
from oriel.modules.paths import Path, dotted_names, flat_names, matching, path_text
from oriel.modules.prepare import build_and_load, run_on
from oriel.modules.script_source import script_source
from oriel.modules.second_input import second_input
from oriel.modules.shallow_call import WholeCall, shallow_call
from oriel.modules.size_one import size_one_case
from oriel.modules.slim import LeftOut, NeededWeights, SlimModule, slim, unused_parts, without
from oriel.modules.structure import Flattened, Node, flatten, tensors_of
from oriel.modules.verify_module import Case
from oriel.tracing.layers import TRACED_LAYERS


@dataclass(frozen=True)
class PreparedModule:
    """Everything that formats and metadata need."""

    call: FlatCall
    signature: Signature
    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...]
    notes: tuple[str, ...]
    model_type: str
    method: str
    checkpoint: LoadedCheckpoint | None


def prepare(request: ExportRequest) -> PreparedModule:
    """Run the module on the example and on a second input, and name what goes in and out.

    Raises ModuleError for whatever of the example, the axes, the outputs or the module can't be
    exported.
    """
    module = request.module
    chosen = slim(module) if isinstance(module, nn.Module) else module
    example = _example(chosen, request)
    checkpoint = build_and_load(chosen.module, example.function, example.flat, request.load)
    observed = _observe(example, request)
    signature, call = _signature(example, observed), _flat_call(chosen, example, observed)
    if request.layers > TRACED_LAYERS:
        whole = WholeCall(
            chosen.module,
            chosen.method,
            example.flat,
            example.identifiers,
            observed.chosen,
            request.config,
        )
        call = replace(call, layered=partial(shallow_call, whole, call, request.layers))
    left_out = (*chosen.left_out, *observed.unused)
    return PreparedModule(
        replace(call, output_axes=[row.axes for row in signature.outputs]),
        signature,
        observed.cases,
        left_out,
        (*_notes(left_out, example, request, checkpoint), *filter(None, [observed.note])),
        type_name(type(chosen.module)),
        chosen.method,
        checkpoint,
    )


@dataclass(frozen=True)
class _Example:
    """The flat side of the example's inputs."""

    function: Callable[..., object]
    flat: Flattened
    identifiers: Sequence[str]
    """Names of the inputs, for the signature of a forward."""
    names: Mapping[Path, str]
    """Names of the inputs, in the files."""
    axes: Axes
    largest: Mapping[str, int]
    clone_inputs: bool


def _example(chosen: SlimModule, request: ExportRequest) -> _Example:
    function = getattr(chosen.module, chosen.method)
    flat = flatten_call(request.call.bound_to(function))
    # Copies: the caller's own tensors stay as they are, whatever the module does.
    flat = replace(flat, tensors=tuple(cloned(flat.tensors)))
    paths = list(flat.node.tensors())
    axes = resolve_axes(request.dynamic, paths, flat.tensors)
    identifiers = flat_names(paths, "input")
    names = dotted_names(paths, "input") if request.dotted_names else identifiers
    order = list(identifiers.values())
    return _Example(function, flat, order, names, axes, request.largest, chosen.clone_inputs)


@dataclass(frozen=True)
class _Observed:
    """Findings of two runs of the module."""

    output: Node
    """The structure that a caller gets back: the module's own, or a dict of the chosen tensors."""
    paths: list[Path]
    """Names of the chosen tensors, in the module's own output."""
    names: Mapping[Path, str]
    """Names of the chosen tensors, in the files."""
    chosen: FlatOutputs
    cases: tuple[Case, ...]
    """The example, a second input, one of size 1 where the module takes that, and the request's."""
    sizes: Mapping[str, int]
    """The second input's size of each dynamic axis."""
    note: str | None
    """The reason for having no case of size 1."""
    unused: list[LeftOut]
    """Parts that the chosen outputs don't depend on."""
    unread: list[LeftOut]
    """Those of them that no operator reads: a run works without their weights."""


def _observe(example: _Example, request: ExportRequest) -> _Observed:
    module = _owner(example.function)
    weights = NeededWeights(module)
    with weights:
        output = _checked_run(example, example.flat.tensors, "the example")
    flat_output = flatten(output)
    picks = _picks(flat_output.node, request)
    paths = [list(flat_output.node.tensors())[at] for at in picks]
    chosen = FlatOutputs(flat_output.node, picks, example.clone_inputs)
    inputs = _second_tensors(example, request)
    sizes = sizes_in(example.axes, inputs)
    name = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
    name = f"a second input ({name or 'other values'})"
    first = [flat_output.tensors[at] for at in picks]
    weights.need(first)
    with weights:
        output = _checked_run(example, inputs, name)
    outputs = chosen.of(output, check_constants=request.outputs is None)
    weights.need(outputs)
    cases: tuple[Case, ...] = (
        Case("the example", example.flat.tensors, cloned(first)),
        Case(name, inputs, cloned(outputs)),
    )

    def run(tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        output = _checked_run(example, tensors, "an input of size 1")
        return chosen.of(output, check_constants=request.outputs is None)

    one = size_one_case(run, cases[0], example.axes, sizes)
    cases = (*cases, one) if isinstance(one, Case) else cases
    cases = (*cases, *_further_cases(example, request, chosen))
    structure = flat_output.node
    if request.outputs is not None:
        structure = _dict_of(paths)
        paths = list(structure.tensors())
    unused = unused_parts(module, weights.has), unused_parts(module, weights.was_read)
    note = one if isinstance(one, str) else None
    name_of = dotted_names if request.dotted_names else flat_names
    names = name_of(paths, "output", example.names.values())
    return _Observed(structure, paths, names, chosen, cases, sizes, note, *unused)


def _further_cases(example: _Example, request: ExportRequest, chosen: FlatOutputs) -> list[Case]:
    """Return the request's own cases, with what the module makes of them."""
    cases = []
    for name, arguments in request.cases.items():
        bound = arguments.bound_to(example.function)
        tensors = cloned(tensors_of(example.flat.node, bound, f"the case {name}"))
        sizes_in(example.axes, tensors)
        output = _checked_run(example, tensors, f"the case {name}")
        outputs = chosen.of(output, check_constants=request.outputs is None)
        cases.append(Case(name, tensors, cloned(outputs)))
    return cases


def _owner(function: Callable[..., object]) -> nn.Module:
    owner = getattr(function, "__self__", None)
    return owner if isinstance(owner, nn.Module) else nn.Module()


def _checked_run(example: _Example, tensors: Sequence[Tensor], what: str) -> object:
    """Run the module on copies. Raises ModuleError where it changes them, unless the files are to
    work on copies too."""
    copies = cloned(tensors)
    output = run_on(example.function, example.flat, copies, what)
    changed = changed_inputs(replace(example.flat, tensors=tuple(tensors)), copies)
    if changed and not example.clone_inputs:
        raise ModuleError(
            "the module changes its inputs",
            got=f"other values in {first_few(changed)} after the call",
            expected="inputs that stay as they are: of the formats, some would change the "
            "caller's tensors and some not",
            next_step="clone them in the module, or export with clone_inputs=True.",
        )
    return output


def _picks(node: Node, request: ExportRequest) -> list[int]:
    """Return the positions of the chosen tensors, pattern by pattern."""
    paths = list(node.tensors())
    if not paths:
        raise ModuleError(
            "the module returns no tensor",
            got=node.text or node.type,
            expected="one tensor at least",
            next_step="export a method that returns one.",
        )
    picks: list[int] = []
    for pattern in request.patterns:
        found = matching(pattern, paths, "no output is called that")
        picks += [at for at in found if at not in picks]
    return picks


def _dict_of(paths: Sequence[Path]) -> Node:
    """Return the structure of a dict that has the chosen tensors under their paths' texts."""
    keys = tuple(path_text(path) for path in paths)
    children = tuple(Node("tensor", (key,), "torch:Tensor") for key in keys)
    return Node("dict", (), "builtins:dict", keys, children)


def _second_tensors(example: _Example, request: ExportRequest) -> list[Tensor]:
    if request.second is None:
        return second_input(example.flat.tensors, example.axes, example.axes.second_sizes())
    arguments = request.second.bound_to(example.function)
    tensors = cloned(tensors_of(example.flat.node, arguments, "the second input"))
    same = [
        n for n, size in sizes_in(example.axes, tensors).items() if size == example.axes.sizes[n]
    ]
    if same:
        raise ModuleError(
            "the second input has the example's size on a dynamic axis",
            got=f"{first_few(same)} {example.axes.sizes[same[0]]} in both",
            expected="another size, or nothing is proven about the axis",
        )
    return tensors


def _signature(example: _Example, observed: _Observed) -> Signature:
    first, second = (list(case.outputs) for case in observed.cases[:2])
    names = observed.names
    axes = output_axes(first, second, example.axes, observed.sizes)
    inputs = zip(example.names.items(), example.flat.tensors, example.axes.of_tensors, strict=True)
    outputs = zip(observed.paths, first, axes, strict=True)
    return Signature(
        [TensorRow(path, name, tensor, own) for (path, name), tensor, own in inputs],
        [TensorRow(path, names[path], tensor, own) for path, tensor, own in outputs],
        example.flat.node,
        observed.output,
        list(inspect.signature(example.function).parameters.values()),
    )


def _flat_call(chosen: SlimModule, example: _Example, observed: _Observed) -> FlatCall:
    names = example.identifiers
    source = partial(script_source, example.flat.node, names, chosen.method, observed.chosen)
    return FlatCall(
        flat_module(chosen.module, chosen.method, example.flat, names, observed.chosen),
        example.flat.tensors,
        list(example.names.values()),
        [observed.names[path] for path in observed.paths],
        example.axes.of_tensors,
        [{} for _ in observed.paths],
        ScriptedCall(chosen.module, source),
        partial(without, chosen.module, observed.unread),
        chosen.module.state_dict,
        example.largest,
        [part.name for part in observed.unread],
    )


def _notes(
    left_out: Sequence[LeftOut],
    example: _Example,
    request: ExportRequest,
    checkpoint: LoadedCheckpoint | None,
) -> Iterator[str]:
    if left_out:
        saved = sum(part.bytes for part in left_out)
        named = first_few([f"{part.name} ({part.bytes:,} bytes)" for part in left_out], 4)
        yield f"left out, as the chosen outputs don't need it: {named}; {saved:,} bytes saved"
    if checkpoint is not None and checkpoint.unused:
        names = first_few(list(checkpoint.unused))
        saved = sum(checkpoint.unused.values())
        yield f"of {checkpoint.file.name}, as the spec says: {names}; {saved:,} bytes left out"
    if checkpoint is not None and checkpoint.foreign:
        names = first_few(list(checkpoint.foreign), 8)
        yield f"of {checkpoint.file.name}, objects that the model doesn't need: {names}"
    plain = {name for axes in request.dynamic.values() for name in axes.values()}
    own = [name for name in example.axes.sizes if name not in plain]
    if own:
        yield f"sizes differ between tensors, so that each has an axis of its own: {first_few(own)}"
    if example.clone_inputs:
        yield "the files work on copies of their inputs"
