"""A look at the layers of a module before any trace: which list holds them, and that all are the
same but for their weights and their number."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.tracing.layers import TRACED_LAYERS, LayersDiffer

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
_OWN = frozenset(vars(nn.Module()))
"""Attributes of every module, such as its parameters and hooks."""
_NOT_READ = frozenset({"name_or_path"})
"""The folder in which transformers found a model: no code goes by it."""


def layer_list(module: nn.Module, layers: int) -> tuple[str, nn.ModuleList]:
    """Return the path of the one list of so many layers, and the list. Raises LayersDiffer where
    there is none, or several."""
    found = [
        (name, part)
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == layers
    ]
    if len(found) != 1:
        many = f"{len(found)} lists" if found else "no list"
        raise LayersDiffer(f"{many} of {layers} layers")
    return found[0]


def check_config(config: JsonObject | None, layers: int) -> None:
    """Raise LayersDiffer for a config with a list of something for each layer, such as its kind of
    attention, that isn't the same for all."""
    for name, value in (config or {}).items():
        if isinstance(value, dict):
            check_config(value, layers)
        elif isinstance(value, list) and len(value) == layers and _varies(value):
            raise LayersDiffer(f"{name} in the config")


def _varies(values: Sequence[JsonValue]) -> bool:
    return any(value != values[0] for value in values)


def check_alike(module: nn.Module, blocks: nn.ModuleList) -> None:
    """Raise LayersDiffer unless each further layer is what the last traced one is: the same
    classes, settings and sizes of weights, none of which is another layer's too."""
    last = TRACED_LAYERS - 1
    _check_unshared(module, blocks)
    for at in range(TRACED_LAYERS, len(blocks)):
        _check_pair(blocks[last], blocks[at], at - last, f"layers {last} and {at}")


def _check_unshared(module: nn.Module, blocks: nn.ModuleList) -> None:
    owner: dict[int, str] = {}
    names = {id(block): str(at) for at, block in enumerate(blocks)}
    inside: dict[int, str] = {}
    for block in blocks:
        for part in block.modules():
            if inside.setdefault(id(part), names[id(block)]) != names[id(block)]:
                raise LayersDiffer("two layers share a part")
    for part in module.modules():
        place = inside.get(id(part), "outside")
        for tensor in part.parameters(recurse=False):
            if owner.setdefault(id(tensor), place) != place:
                raise LayersDiffer("a layer shares a weight")


def _check_pair(one: nn.Module, other: nn.Module, apart: int, which: str) -> None:
    parts, others = dict(one.named_modules()), dict(other.named_modules())
    if parts.keys() != others.keys():
        raise LayersDiffer(f"parts of {which}")
    for name, part in parts.items():
        where = f"{name or 'settings'} of {which}"
        twin = others[name]
        if type(part) is not type(twin):
            raise LayersDiffer(f"the class of {where}")
        if _sizes(part) != _sizes(twin):
            raise LayersDiffer(f"the weights' sizes in {where}")
        _check_settings(part, twin, apart, where)


def _sizes(part: nn.Module) -> list[tuple[str, torch.Size | None, torch.dtype | None]]:
    held = [*part._parameters.items(), *part._buffers.items()]
    return [(n, None, None) if t is None else (n, t.shape, t.dtype) for n, t in held]


def _check_settings(part: nn.Module, twin: nn.Module, apart: int, where: str) -> None:
    ours, theirs = _settings(part), _settings(twin)
    if ours.keys() != theirs.keys():
        raise LayersDiffer(f"the attributes of {where}")
    for name, value in ours.items():
        if not _same(value, theirs[name], apart):
            raise LayersDiffer(f"{name} of {where}")


def _settings(part: nn.Module) -> dict[str, object]:
    return {name: value for name, value in vars(part).items() if name not in _OWN}


def plain_settings(module: nn.Module) -> list[tuple[str, str, str]]:
    """Return (part, attribute, value) of all that a module's code may go by and that has a value to
    show, the attention that transformers chose among it."""
    found = []
    for name, part in module.named_modules():
        held = _settings(part)
        chosen = getattr(held.get("config"), "_attn_implementation", None)
        rows = {**held, "_attn_implementation": chosen}
        shown = [key for key, value in rows.items() if key not in _NOT_READ and _is_plain(value)]
        found += [(name, key, repr(rows[key])) for key in shown]
    return found


def _is_plain(value: object) -> bool:
    if isinstance(value, (tuple, list)):
        return all(map(_is_plain, value))
    return isinstance(value, _PLAIN)


def _same(value: object, twin: object, apart: int) -> bool:
    """Return whether two attributes are the same. A number may be the layer's own: what code does
    with that is seen between the traced layers."""
    if value is twin:
        return True
    if type(value) is not type(twin):
        return False
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(twin, int):
        return value in (twin, twin - apart)
    if isinstance(value, _PLAIN):
        return value == twin
    if isinstance(value, (tuple, list)) and isinstance(twin, (tuple, list)):
        return len(value) == len(twin) and all(map(_equal, value, twin))
    return _equal(value, twin)


def _equal(value: object, twin: object) -> bool:
    """Return whether two objects are equal; those that can't say so aren't."""
    try:
        return bool(value == twin)
    except Exception:  # noqa: BLE001 - an object of anyone's class
        return False
