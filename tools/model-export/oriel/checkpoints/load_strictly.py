"""Loading tensors into a module so that none is missing, left over, skipped or changed."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from oriel.errors import CheckpointError, first_few


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor], prefix: str = "") -> None:
    """Load a state dict into a module, all of it or nothing.

    prefix: take the tensors whose names begin with it, without it. Raises CheckpointError, which
    names the tensors, where one is missing, unexpected, of another shape, would lose digits in the
    module's dtype, or was skipped by the module's own loading; the module is unchanged by all but
    the last.
    """
    taken = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    if prefix and not taken:
        raise CheckpointError(
            f"no tensor's name begins with {prefix!r}",
            got=first_few(list(tensors)) or "no tensor",
            next_step="name a prefix that the checkpoint has.",
        )
    _refuse_lazy(module)
    wanted = {
        name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)
    }
    taken = _with_tied(module, taken)
    _check_names(module, taken, wanted)
    for name, tensor in taken.items():
        _check_fits(name, tensor, wanted[name])
    module.load_state_dict(taken, strict=True)
    _check_taken(module, taken)


def _refuse_lazy(module: nn.Module) -> None:
    lazy = [
        name
        for name, value in (*module.named_parameters(), *module.named_buffers())
        if is_lazy(value)
    ]
    if lazy:
        raise CheckpointError(
            f"{type(module).__name__} isn't built yet",
            got=f"{first_few(lazy)} without a shape",
            expected="a module whose parts exist before it is loaded",
            next_step="run it once on example inputs first.",
        )


def _with_tied(module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Add the names that a file leaves out because another name has the same tensor, and refuse
    two values for one."""
    groups: dict[int, list[str]] = {}
    for name, value in module.named_parameters(remove_duplicate=False):
        groups.setdefault(id(value), []).append(name)
    whole = dict(tensors)
    for names in groups.values():
        given = [name for name in names if name in tensors]
        if len(names) == 1 or not given:
            continue
        for name in given[1:]:
            if not _same(tensors[name], tensors[given[0]]):
                raise CheckpointError(
                    f"{given[0]} and {name} are one tensor in {type(module).__name__}",
                    got="two different values for it",
                    next_step="untie them in the module, or load the checkpoint that belongs "
                    "to it.",
                )
        whole.update(dict.fromkeys(names, tensors[given[0]]))
    return whole


def _check_names(
    module: nn.Module, tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> None:
    missing = sorted(wanted.keys() - tensors.keys())
    unexpected = sorted(tensors.keys() - wanted.keys())
    if not missing and not unexpected:
        return
    found = [
        *([f"no {first_few(missing)}"] if missing else []),
        *([f"{first_few(unexpected)}, which the module lacks"] if unexpected else []),
    ]
    raise CheckpointError(
        f"the checkpoint is of another model than {type(module).__name__}",
        got=", and ".join(found),
        expected=f"exactly its {len(wanted)} tensors",
        next_step="build the module with the settings that it was trained with; parts that it "
        "builds on its first call must be built before."
        if unexpected
        else "load the checkpoint that belongs to it.",
    )


def _check_fits(name: str, tensor: Tensor, wanted: Tensor) -> None:
    if tensor.shape != wanted.shape:
        raise CheckpointError(
            f"{name} has another shape than in the module",
            got=str(tuple(tensor.shape)),
            expected=str(tuple(wanted.shape)),
            next_step="build the module with the settings that it was trained with.",
        )
    if torch.promote_types(tensor.dtype, wanted.dtype) != wanted.dtype:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{name} would lose digits",
            got=kind,
            expected=str(wanted.dtype).removeprefix("torch."),
            next_step=f"convert the module first: module.to(torch.{kind}).",
        )


def _check_taken(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Compare what the module holds now: a class may override how it loads, and skip tensors."""
    now = module.state_dict()
    skipped = [
        name
        for name, tensor in tensors.items()
        if not _same(tensor.to(now[name].dtype), now[name].cpu())
    ]
    if skipped:
        raise CheckpointError(
            f"{type(module).__name__} skipped tensors while it loaded them",
            got=first_few(skipped),
            expected="every tensor of the checkpoint in its place",
            next_step="see its _load_from_state_dict.",
        )


def _same(one: Tensor, other: Tensor) -> bool:
    """Return whether two tensors have the same values, NaN in the same places."""
    if one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    return bool(torch.allclose(one, other, rtol=0, atol=0, equal_nan=True))
