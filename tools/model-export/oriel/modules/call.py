"""A call of a module: its arguments by the names of the parameters, with defaults, and back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from oriel.errors import ModuleError, reason_of
from oriel.modules.paths import path_text
from oriel.modules.structure import Flattened, Node, flatten, rebuild


@dataclass(frozen=True)
class CallArguments:
    """The arguments of a call of a module."""

    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] | None = None

    def bound_to(self, function: Callable[..., object]) -> dict[str, object]:
        """Return the arguments by parameter name, those that have a default and weren't given
        included. Raises ModuleError where they don't fit the function's parameters."""
        try:
            bound = inspect.signature(function).bind(*self.args, **(self.kwargs or {}))
        except TypeError as error:
            raise ModuleError(
                "the example inputs don't fit the module",
                got=reason_of(error),
                expected=f"{_name_of(function)}{inspect.signature(function)}",
                next_step="give args as a tuple, or kwargs as a dict by name.",
            ) from error
        bound.apply_defaults()
        return dict(bound.arguments)


def _name_of(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)


def call_with(function: Callable[..., object], arguments: Mapping[str, object]) -> object:
    """Call a function with arguments by parameter name, as `bound_to` returns them.

    Arguments that have a default go by keyword: decorators, such as those of transformers, add some
    of these by keyword too. Those without go by position, as hooks expect them.
    """
    signature = inspect.signature(function)
    bound = inspect.BoundArguments(signature, dict(arguments))
    args, kwargs = list(bound.args), dict(bound.kwargs)
    kinds = [each.kind for each in signature.parameters.values()]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        by_position = list(signature.parameters.values())[: len(args)]
        while by_position and _may_go_by_keyword(by_position[-1]):
            kwargs[by_position.pop().name] = args.pop()
    owner = getattr(function, "__self__", None)
    if isinstance(owner, nn.Module) and function == owner.forward:
        # Through the module itself, for its hooks: weight norms of old work by them.
        return owner(*args, **kwargs)
    return function(*args, **kwargs)


def _may_go_by_keyword(parameter: inspect.Parameter) -> bool:
    by_either = parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
    return by_either and parameter.default is not inspect.Parameter.empty


def flatten_call(arguments: Mapping[str, object]) -> Flattened:
    """Take the arguments of a call apart. Raises ModuleError for tensors without values, a call
    without tensors, and objects that hide tensors."""
    flat = flatten(dict(arguments))
    for path, tensor in zip(flat.node.tensors(), flat.tensors, strict=True):
        if tensor.numel() == 0:
            raise ModuleError(
                f"the example input {path_text(path)} has no values",
                got=f"the shape {list(tensor.shape)}",
                expected="at least one value in every dimension",
                next_step="give an example with some: an empty one proves nothing.",
            )
    if not flat.tensors:
        raise ModuleError(
            "the example inputs hold no tensor",
            got=", ".join(f"{c.text or c.type}" for c in flat.node.constants()) or "nothing",
            expected="one tensor at least",
            next_step="pass a number that varies as a tensor.",
        )
    for constant in flat.node.constants():
        hidden = _hidden_tensor(constant)
        if hidden is not None:
            raise ModuleError(
                f"the object at {path_text(constant.path)} hides a tensor",
                got=f"{constant.type} with {hidden}",
                expected="tensors in dicts, lists, tuples and dataclasses",
                next_step="pass the tensor by itself, and make the object in the module.",
            )
    return flat


def _hidden_tensor(constant: Node) -> str | None:
    """Return the name of an attribute that is a tensor, or holds one in a list or a dict."""
    try:
        attributes = vars(constant.value)
    except TypeError:
        return None
    if isinstance(constant.value, nn.Module | type):
        return None
    for name, value in attributes.items():
        inner = value.values() if isinstance(value, dict) else value
        items = list(inner) if isinstance(inner, list | tuple | type({}.values())) else [inner]
        if any(isinstance(item, Tensor) for item in items):
            return name
    return None


def cloned(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return copies with storage of their own, on the CPU, without gradients."""
    return [tensor.detach().to("cpu", copy=True) for tensor in tensors]


def changed_inputs(flat: Flattened, after: Sequence[Tensor]) -> list[str]:
    """Return the paths of the tensors that aren't those of `flat` any more."""
    rows = zip(flat.node.tensors(), flat.tensors, after, strict=True)
    return [path_text(path) for path, old, new in rows if not _same(old.detach().cpu(), new)]


def _same(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    # NaN isn't equal to itself.
    here = one.isnan()
    return torch.equal(here, other.isnan()) and torch.equal(one[~here], other[~here])


def run_flat(function: Callable[..., object], flat: Flattened, tensors: Sequence[Tensor]) -> object:
    """Call a module's function with an example in which these tensors stand."""
    arguments = rebuild(flat.node, tensors, flat.types)
    assert isinstance(arguments, dict)
    return call_with(function, arguments)
