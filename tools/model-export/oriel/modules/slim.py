"""Slim wrappers: one submodule or method of a module, without the parts that the chosen outputs
don't need."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from oriel.errors import ModuleError, first_few
from oriel.modules.paths import matches


@dataclass(frozen=True)
class LeftOut:
    """A part of a module that isn't in the files."""

    name: str
    tensors: int
    bytes: int


@dataclass(frozen=True)
class SlimModule:
    """A part of a module to export, and how it is called. Made by `slim`."""

    module: nn.Module
    method: str
    clone_inputs: bool
    left_out: tuple[LeftOut, ...]


def slim(
    module: nn.Module,
    *,
    submodule: str = "",
    method: str = "forward",
    drop: Sequence[str] = (),
    clone_inputs: bool = False,
) -> SlimModule:
    """Choose what of a module is exported.

    submodule: its name, such as `generator_A`; everything else is left out. method: called instead
    of forward. drop: patterns of names of submodules of the whole that must not be needed, such as
    `phase2.*`: they are taken out of the module.
    clone_inputs: let the files work on copies of their inputs, for a module that changes its own.
    Raises ModuleError for names that the module doesn't have.
    """
    parts = [name for name, _ in module.named_modules()]
    if submodule not in parts:
        raise _unknown(f"the module has no submodule {submodule}", parts[1:])
    left = [row for pattern in drop for row in _drop(module, pattern)]
    left += [_sum(name, child) for name, child in _beside(module, submodule)]
    chosen = module.get_submodule(submodule)
    if not callable(getattr(chosen, method, None)):
        methods = [n for n in vars(type(chosen)) if not n.startswith("_")]
        raise _unknown(f"{type(chosen).__name__} has no method {method}", methods)
    return SlimModule(chosen, method, clone_inputs, tuple(row for row in left if row.tensors))


def _unknown(what: str, known: Sequence[str]) -> ModuleError:
    return ModuleError(what, expected=f"one of {first_few(known, 8)}" if known else None)


def _beside(module: nn.Module, submodule: str) -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts that lie neither above the submodule nor in it."""
    way = submodule.split(".") if submodule else []
    at, above = module, ""
    for step in way:
        for name, child in at.named_children():
            if name != step:
                yield f"{above}{name}", child
        at, above = at.get_submodule(step), f"{above}{step}."


def has_parts(module: nn.Module, pattern: str) -> bool:
    """Return whether a pattern matches some submodule, or one that was dropped."""
    return bool(_matching(module, pattern))


def _matching(module: nn.Module, pattern: str) -> list[str]:
    return [n for n, _ in module.named_modules() if n and matches(pattern, tuple(n.split(".")))]


def _drop(module: nn.Module, pattern: str) -> list[LeftOut]:
    names = _matching(module, pattern)
    # The outermost ones: what is in them goes with them.
    names = [n for n in names if not any(n.startswith(f"{other}.") for other in names)]
    if not names:
        known = [name for name, _ in module.named_children()]
        raise _unknown(f"the pattern of parts to drop matches nothing: {pattern}", known)
    rows = []
    for name in names:
        rows.append(_sum(name, module.get_submodule(name)))
        parent, _, last = name.rpartition(".")
        setattr(module.get_submodule(parent), last, _Dropped(name))
    return rows


class _Dropped(nn.Module):
    """Stands where a part was dropped."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._dropped_name = name

    def forward(self, *_: object, **__: object) -> None:
        raise ModuleError(
            f"the part {self._dropped_name} was dropped, but the chosen outputs need it",
            next_step="choose other outputs, or keep the part.",
        )


def _sum(name: str, module: nn.Module) -> LeftOut:
    tensors = list(module.state_dict().values())
    return LeftOut(name, len(tensors), sum(map(_bytes, tensors)))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


class NeededWeights(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows a module's weights through the operators of its runs, to find those that an output
    depends on: also weights that are passed to a function without calling the module that owns
    them, and those that decide a branch by their values."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        held = module.state_dict(keep_vars=True).values()
        self._weights = {_storage(tensor) for tensor in held}
        self._sources: dict[int, frozenset[int]] = {}
        """{storage: storages of the weights that its values come from}."""
        self.read: set[int] = set()
        """Storages of the weights that some operator read."""
        self._needed: set[int] = set()

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        inputs = _storages((args, kwargs or {}))
        sources = frozenset[int]().union(*(self._sources_of(pointer) for pointer in inputs))
        self.read |= inputs & self._weights
        result = func(*args, **(kwargs or {}))
        outputs = _storages(result)
        schema = getattr(func, "_schema", None)
        if schema is not None and schema.is_mutable:
            outputs = outputs | inputs
        for pointer in outputs:
            # A storage that no input has may stand where a freed one was: it begins anew.
            before = self._sources_of(pointer) if pointer in inputs else frozenset()
            self._sources[pointer] = before | sources
        if not outputs:
            # A number for Python, as of .item(): it may decide anything that follows.
            self._needed |= sources
        return result

    def _sources_of(self, pointer: int) -> frozenset[int]:
        own = frozenset([pointer]) if pointer in self._weights else frozenset[int]()
        return self._sources.get(pointer, frozenset()) | own

    def need(self, outputs: Sequence[Tensor]) -> None:
        """Count the weights that these results of a run depend on as needed."""
        for tensor in outputs:
            self._needed |= self._sources_of(_storage(tensor))

    def has(self, tensor: Tensor) -> bool:
        """Return whether a weight is needed; True for one without values."""
        return tensor.numel() == 0 or _storage(tensor) in self._needed

    def was_read(self, tensor: Tensor) -> bool:
        """Return whether some operator read a weight, though maybe for nothing."""
        return tensor.numel() == 0 or _storage(tensor) in self.read


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _storages(value: object) -> set[int]:
    leaves = tree_leaves(value)
    return {
        _storage(leaf)
        for leaf in leaves
        if isinstance(leaf, Tensor) and leaf.layout == torch.strided and leaf.numel()
    }


def unused_parts(module: nn.Module, is_used: Callable[[Tensor], bool]) -> list[LeftOut]:
    """Return the outermost submodules of which no tensor is used, and single parameters that
    aren't. Buffers of parts that are used stay: they are counters, and small."""
    rows: list[LeftOut] = []

    def walk(at: nn.Module, name: str) -> None:
        held = list(at.state_dict(keep_vars=True).values())
        if held and not any(is_used(tensor) for tensor in held):
            rows.append(_sum(name, at))
            return
        for own, parameter in at.named_parameters(recurse=False):
            if not is_used(parameter):
                rows.append(LeftOut(f"{name}.{own}".lstrip("."), 1, _bytes(parameter)))
        for own, child in at.named_children():
            walk(child, f"{name}.{own}".lstrip("."))

    walk(module, "")
    return rows


_Held = tuple[MutableMapping[str, Tensor | None], str, Tensor | None]


def _held(tensors: object) -> list[_Held]:
    """Return a part's own tensors, each with the dict that holds it and its key there."""
    held = cast(MutableMapping[str, Tensor | None], tensors)
    return [(held, key, value) for key, value in held.items()]


@contextmanager
def without(module: nn.Module, parts: Sequence[LeftOut]) -> Iterator[None]:
    """Take the weights of parts away while the block runs."""
    taken: list[_Held] = []
    named = dict(module.named_modules())
    try:
        for part in parts:
            if part.name in named:
                for inner in named[part.name].modules():
                    taken += _held(inner._parameters) + _held(inner._buffers)
            else:
                parent, _, last = part.name.rpartition(".")
                taken += [row for row in _held(named[parent]._parameters) if row[1] == last]
        for held, key, _ in taken:
            held[key] = None
        yield
    finally:
        for held, key, value in taken:
            held[key] = value
