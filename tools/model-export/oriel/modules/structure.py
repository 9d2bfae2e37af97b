"""The structure of nested values: taking the tensors out of one, putting others in their place, and
holding a further value to the structure of the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import torch
from torch import Tensor

from oriel.errors import ModuleError, first_few
from oriel.modules.constants import constant_text, literal_of, type_name
from oriel.modules.paths import Path, path_text

Kind = Literal[
    "tensor", "constant", "dict", "list", "tuple", "namedtuple", "dataclass", "model_output"
]
Types = Mapping[str, type]
"""{module:qualified name: class} of the classes that a structure may be rebuilt with."""

_MAX_DEPTH = 12
"""Levels of containers. A metadata file spends two levels of JSON on each, and readers allow 32."""
_PLAIN_TYPES = {"builtins:dict", "builtins:list", "builtins:tuple", "collections:OrderedDict"}


@dataclass(frozen=True)
class Node:
    """One value of a structure: a tensor's place, a constant, or a container."""

    kind: Kind
    path: Path
    type: str
    """module:qualified name of its class."""
    keys: tuple[str | int, ...] = ()
    """Keys of a container, in the order in which it was first given; positions for sequences."""
    children: tuple[Node, ...] = ()
    text: str = ""
    """The part of a constant that is compared."""
    value: object = None
    """The constant: the object itself, where it was flattened in this process or is a literal."""

    def tensors(self) -> Iterator[Path]:
        """Yield the paths of the tensors, in the order of the flat signature."""
        if self.kind == "tensor":
            yield self.path
        for child in self.children:
            yield from child.tensors()

    def constants(self) -> Iterator[Node]:
        """Yield the nodes of the constants."""
        if self.kind == "constant":
            yield self
        for child in self.children:
            yield from child.constants()


@dataclass(frozen=True)
class Flattened:
    """A value taken apart."""

    node: Node
    tensors: tuple[Tensor, ...]
    types: Types
    """The caller's own classes among its containers."""


def flatten(value: object) -> Flattened:
    """Take a nested value apart: tensors in order, everything else as its structure.

    Dicts, lists, tuples, named tuples, dataclasses, transformers' ModelOutput and classes derived
    from these are containers; whatever else isn't a tensor is a constant. Raises ModuleError for
    containers that hold themselves or are nested too deeply, keys that are no text and no number,
    and tensors that aren't dense.
    """
    tensors: list[Tensor] = []
    types: dict[str, type] = {}
    node = _flatten(value, (), tensors, types)
    return Flattened(node, tuple(tensors), types)


def _flatten(value: object, path: Path, tensors: list[Tensor], types: dict[str, type]) -> Node:
    name = type_name(type(value))
    if isinstance(value, Tensor):
        _check_dense(value, path)
        tensors.append(value)
        return Node("tensor", path, name)
    parts = container_parts(value)
    if parts is None:
        return Node("constant", path, name, text=constant_text(value), value=value)
    if len(path) >= _MAX_DEPTH:
        raise ModuleError(
            f"{path_text(path[:4])} is nested too deeply, or holds itself",
            expected=f"at most {_MAX_DEPTH} levels of containers",
            next_step="pass the inner values as arguments of their own.",
        )
    kind, items = parts
    if name not in _PLAIN_TYPES:
        types[name] = type(value)
    keys: list[str | int] = []
    children = []
    for key, child in items.items():
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise ModuleError(
                f"a key of {path_text(path)} can't stand in a file",
                got=f"{key!r}, a {type(key).__name__}",
                expected="text or a whole number",
                next_step="rename the key.",
            )
        keys.append(key)
        children.append(_flatten(child, (*path, key), tensors, types))
    return Node(kind, path, name, tuple(keys), tuple(children))


def container_parts(value: object) -> tuple[Kind, dict[object, object]] | None:
    """Return a container's kind and its parts by key or position; None for any other value."""
    if isinstance(value, dict):
        is_output = dataclasses.is_dataclass(value)
        return ("model_output" if is_output else "dict"), dict(value.items())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return "dataclass", {name: getattr(value, name) for name in names if hasattr(value, name)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return "namedtuple", dict(zip(value._fields, value, strict=True))
    if isinstance(value, list | tuple):
        kind: Kind = "list" if isinstance(value, list) else "tuple"
        # Not dict[…](…), a call that TorchDynamo can't trace through.
        positions: dict[object, object] = dict(enumerate(value))
        return kind, positions
    if hasattr(value, "keys") and hasattr(value, "data") and isinstance(value.data, dict):
        # UserDict and what is derived from it, such as transformers' BatchEncoding.
        return "dict", dict(value.data)
    return None


def _check_dense(tensor: Tensor, path: Path) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise ModuleError(
            f"{path_text(path)} is no dense tensor",
            got=str(tensor.layout).removeprefix("torch."),
            expected="dense values",
            next_step="pass its parts as tensors, and join them in the module.",
        )


def rebuild(node: Node, tensors: Sequence[Tensor], types: Types) -> object:
    """Return a value of that structure with these tensors. A class of the caller's that isn't in
    `types` becomes a plain dict or tuple. Constants are those of the node."""
    left = iter(tensors)
    return _rebuild(node, left, types)


def _rebuild(node: Node, left: Iterator[Tensor], types: Types) -> object:
    if node.kind == "tensor":
        return next(left)
    if node.kind == "constant":
        return node.value
    parts = {
        key: _rebuild(child, left, types)
        for key, child in zip(node.keys, node.children, strict=True)
    }
    own: Callable[..., object] | None = types.get(node.type)
    if own is None:
        if node.kind == "list":
            return list(parts.values())
        return tuple(parts.values()) if node.kind in ("tuple", "namedtuple") else parts
    if node.kind == "dataclass":
        return _dataclass_of(types[node.type], parts)
    if node.kind in ("namedtuple", "model_output"):
        return own(**{str(key): part for key, part in parts.items()})
    return own(parts) if node.kind == "dict" else own(parts.values())


def _dataclass_of(own: type, parts: Mapping[str | int, object]) -> object:
    later = {field.name for field in dataclasses.fields(own) if not field.init}
    made: object = own(**{str(name): part for name, part in parts.items() if name not in later})
    for name in later & parts.keys():
        object.__setattr__(made, str(name), parts[name])
    return made


def tensors_of(node: Node, value: object, what: str, check_constants: bool = True) -> list[Tensor]:
    """Return the tensors of a further value, in the order of `node`, whatever the order of its
    dicts. what: 'the input' or 'the output', for messages.

    Raises ModuleError, naming the path, where the value has another structure: a part missing or
    too many, a tensor where a constant was or the other way round, another constant.
    """
    found: list[Tensor] = []
    _collect(node, value, found, _Check(what, check_constants))
    return found


@dataclass(frozen=True)
class _Check:
    what: str
    constants: bool

    def refuse(self, node: Node, got: str, expected: str) -> NoReturn:
        raise ModuleError(
            f"{self.what} doesn't match what was exported, at {path_text(node.path)}",
            got=got,
            expected=expected,
            next_step="pass it as in the example, or export the module again with this one.",
        )


def _collect(node: Node, value: object, found: list[Tensor], check: _Check) -> None:
    if value is node:
        # A call that leaves a parameter out means the constant that was exported.
        if any(node.tensors()):
            check.refuse(node, "nothing", "an argument")
        return
    if node.kind == "tensor":
        if not isinstance(value, Tensor):
            check.refuse(node, _described(value), "a tensor")
        found.append(value)
        return
    if node.kind == "constant":
        if isinstance(value, Tensor):
            check.refuse(node, "a tensor", f"{node.text or node.type}, as exported")
        if check.constants:
            _check_constant(node, value, check)
        return
    parts = container_parts(value)
    if parts is None or not _same_kind(node.kind, parts[0]):
        check.refuse(node, _described(value), f"a {node.kind.replace('_', ' ')}")
    _, items = parts
    absent = [str(key) for key in node.keys if key not in items]
    extra = [str(key) for key in items if key not in node.keys]
    if absent or extra:
        got = f"{len(items)} parts" if node.kind in ("list", "tuple") else None
        said = [f"no {first_few(absent)}"] * bool(absent) + [f"also {first_few(extra)}"] * bool(
            extra
        )
        check.refuse(node, got or " and ".join(said), _expected_parts(node))
    for key, child in zip(node.keys, node.children, strict=True):
        _collect(child, items[key], found, check)


def _same_kind(kind: Kind, given: Kind) -> bool:
    """Return whether a value may be given as that kind: whoever hasn't the caller's classes passes
    a dict for a dataclass, and a tuple for a list."""
    by_key = ("dict", "dataclass", "model_output", "namedtuple")
    return kind == given or (kind in by_key and given in by_key)


def _expected_parts(node: Node) -> str:
    if node.kind in ("list", "tuple"):
        return f"{len(node.keys)} parts"
    return f"the keys {first_few([str(key) for key in node.keys], 8)}"


def _check_constant(node: Node, value: object, check: _Check) -> None:
    name, text = type_name(type(value)), constant_text(value)
    if name != node.type or text != node.text:
        got = text if name == node.type and text else f"{text or 'an object'} ({name})"
        check.refuse(node, got, f"{node.text or node.type}, as exported")


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor {list(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"


def constant_node(path: Path, type_of: str, text: str) -> Node:
    """Return the node of a constant that was read from a file."""
    return Node("constant", path, type_of, text=text, value=literal_of(type_of, text))
