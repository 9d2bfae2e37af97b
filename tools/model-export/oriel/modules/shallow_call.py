"""A call of a module's first layers alone, with unset weights: enough to trace what the others
repeat."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from oriel.contract.json_value import JsonObject
from oriel.formats.format import FlatCall, LayeredCall
from oriel.modules.alike_layers import check_alike, check_config, layer_list, plain_settings
from oriel.modules.constants import type_name
from oriel.modules.flat_module import FlatOutputs, flat_module
from oriel.modules.paths import Path
from oriel.modules.structure import Flattened, Node
from oriel.tracing.layers import STREAM_IN, TRACED_LAYERS, LayersDiffer, stream_after


@dataclass(frozen=True)
class WholeCall:
    """A module with all its layers, and how it is called."""

    module: nn.Module
    method: str
    inputs: Flattened
    identifiers: Sequence[str]
    """Names of the inputs, for the signature of a forward."""
    outputs: FlatOutputs
    config: JsonObject | None


def shallow_call(
    whole: WholeCall, call: FlatCall, layers: int, kept: int = TRACED_LAYERS
) -> LayeredCall:
    """Return the call of the first `kept` layers of a module that has `layers`. Raises LayersDiffer
    where the module has no list of so many, or a look at them shows that they differ."""
    path, blocks = layer_list(whole.module, layers)
    check_config(whole.config, layers)
    check_alike(whole.module, blocks)
    module = _without_layers(whole.module, path, kept)
    node = _shortened(whole.inputs.node, layers, kept)
    at = _positions(whole.inputs.node, node)
    inputs = Flattened(node, tuple(call.inputs[i] for i in at), whole.inputs.types)
    outputs = _outputs(whole.outputs, layers, kept)
    streams = _Streams(module.get_submodule(path), outputs)
    identifiers = [whole.identifiers[i] for i in at]
    flat = flat_module(module, whole.method, inputs, identifiers, streams)
    names = dict(zip(_chosen_paths(whole.outputs), call.output_names, strict=True))
    shallow = replace(
        call,
        module=flat,
        inputs=inputs.tensors,
        input_names=[call.input_names[i] for i in at],
        output_names=[
            STREAM_IN,
            *map(stream_after, range(kept)),
            *(names[each] for each in _chosen_paths(outputs)),
        ],
        axes=[call.axes[i] for i in at],
        layered=None,
    )
    return LayeredCall(shallow, layers, f"model.{path}", _kept_under(whole, flat))


def _without_layers(module: nn.Module, path: str, kept: int) -> nn.Module:
    """Return a copy that has the first layers of a list alone, unset parameters of its own and true
    buffers; a tensor with two names stays one tensor."""
    blocks = module.get_submodule(path)
    assert isinstance(blocks, nn.ModuleList)
    dropped = {id(tensor) for block in blocks[kept:] for tensor in block.parameters()}
    # Memory that nobody writes to takes no room.
    memo: dict[int, object] = {
        id(tensor): nn.Parameter(torch.empty_like(tensor), requires_grad=False)
        for tensor in module.parameters()
        if id(tensor) not in dropped
    }
    short = nn.ModuleList()
    memo[id(blocks)] = short
    short.extend(copy.deepcopy(block, memo) for block in blocks[:kept])
    copied = copy.deepcopy(module, memo).eval()
    if any(type(part).__module__.startswith("transformers.") for part in copied.modules()):
        from oriel.capture.plain_matrices import replace_old_forms

        replace_old_forms(copied)
    return copied


def _shortened(node: Node, layers: int, kept: int) -> Node:
    """Return a structure whose lists of one value a layer have those of the first layers."""
    children = node.children
    if node.kind in ("list", "tuple") and len(children) == layers:
        children = children[:kept]
    children = tuple(_shortened(child, layers, kept) for child in children)
    return replace(node, keys=node.keys[: len(children)], children=children)


def _positions(whole: Node, short: Node) -> list[int]:
    """Return the positions, among the tensors of the whole structure, of those of the short one."""
    left = set(short.tensors())
    return [at for at, path in enumerate(whole.tensors()) if path in left]


def _outputs(whole: FlatOutputs, layers: int, kept: int) -> FlatOutputs:
    node = _shortened(whole.node, layers, kept)
    places = {path: at for at, path in enumerate(node.tensors())}
    picks = [places[path] for path in _chosen_paths(whole) if path in places]
    return FlatOutputs(node, picks, whole.clone_inputs)


def _chosen_paths(outputs: FlatOutputs) -> list[Path]:
    paths = list(outputs.node.tensors())
    return [paths[at] for at in outputs.picks]


class _Streams(FlatOutputs):
    """The chosen outputs behind what goes into the first layer and what each layer hands on."""

    def __init__(self, blocks: nn.Module, outputs: FlatOutputs) -> None:
        super().__init__(outputs.node, outputs.picks, outputs.clone_inputs)
        self._layers = len(list(blocks.children()))
        self._seen: list[Tensor] = []
        for at, block in enumerate(blocks.children()):
            if at == 0:
                block.register_forward_pre_hook(self._enter, with_kwargs=True)
            block.register_forward_hook(self._leave)

    def _enter(self, _: nn.Module, given: tuple[object, ...], named: Mapping[str, object]) -> None:
        self._seen = [_tensor(given[0] if given else named.get("hidden_states"))]

    def _leave(self, _: nn.Module, _given: tuple[object, ...], output: object) -> None:
        self._seen.append(_tensor(output[0] if isinstance(output, tuple) else output))

    def of(self, value: object, check_constants: bool = False) -> tuple[Tensor, ...]:
        if len(self._seen) != self._layers + 1:
            raise LayersDiffer(f"{len(self._seen) - 1} runs of {self._layers} layers")
        return (*self._seen, *super().of(value, check_constants))


def _tensor(value: object) -> Tensor:
    if not isinstance(value, Tensor):
        raise LayersDiffer(f"a layer hands on a {type(value).__name__}")
    return value


def _kept_under(whole: WholeCall, module: nn.Module) -> dict[str, object] | None:
    """Return what decides the graph of a model of transformers, whose version decides its code."""
    parts = {type(each).__module__.partition(".")[0] for each in whole.module.modules()}
    if whole.config is None or not parts <= {"transformers", "torch", "oriel"}:
        return None
    return {
        "class": [type_name(type(each)) for each in module.modules()],
        "method": whole.method,
        "settings": plain_settings(module),
        "config": whole.config,
        "parameters": [(n, list(p.shape), str(p.dtype)) for n, p in module.named_parameters()],
        "buffers": [
            (n, list(b.shape), str(b.dtype), _digest(b)) for n, b in module.named_buffers()
        ],
        "inputs_structure": repr(whole.inputs.node),
    }


def _digest(tensor: Tensor) -> str:
    held = tensor.detach().contiguous().view(-1).view(torch.uint8).numpy()
    return hashlib.sha256(held.tobytes()).hexdigest()
