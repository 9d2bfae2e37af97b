"""Tells which tensors of a checkpoint belong to which of its networks: found by the prefixes of
their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from oriel.errors import CheckpointError, OptionError, first_few

Role = Literal["generator", "discriminator", "other"]
Direction = Literal["A_to_B", "B_to_A"]
DIRECTIONS: tuple[Direction, ...] = ("A_to_B", "B_to_A")

LOOSE = "other_tensors"
"""The component of tensors that belong to no network."""


@dataclass(frozen=True)
class Component:
    """One network's tensors."""

    name: str
    """Stands in file names: letters, digits, '_', '-' and '.'."""
    prefix: str
    """The prefix of its tensors' names in the checkpoint, such as 'generator_A_to_B.'."""
    tensors: dict[str, Tensor]
    """By their names in the network's own state dict."""

    @property
    def role(self) -> Role:
        """Return what the name says the network is."""
        return _role(self.name)

    @property
    def direction(self) -> Direction | None:
        """Return which domain a generator takes and which it gives, where its name says so."""
        match = re.search(r"([AB])(?:_?to_?|_?2_?|_)?([AB])$", self.name, re.IGNORECASE)
        if match is not None and match[1].upper() != match[2].upper():
            return "A_to_B" if match[1].upper() == "A" else "B_to_A"
        # Where a generator is called after one domain, it is the one that it takes.
        match = re.search(r"_([AB])$", self.name)
        return None if match is None else "A_to_B" if match[1] == "A" else "B_to_A"

    @property
    def bytes(self) -> int:
        """Number of bytes of all its values."""
        return sum(tensor.nbytes for tensor in self.tensors.values())


def find_components(tensors: Mapping[str, Tensor], chosen: Sequence[str] = ()) -> list[Component]:
    """Sort every tensor into exactly one component, in the order of the checkpoint.

    chosen: prefixes that are components, instead of those found. Raises OptionError for one that no
    tensor has, CheckpointError where two components would share a file name.
    """
    prefixes = [f"{prefix.rstrip('.')}." for prefix in chosen] or _find_prefixes(tensors)
    inside: dict[str, dict[str, Tensor]] = {prefix: {} for prefix in prefixes}
    loose: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        # The longest: one component may lie in another.
        prefix = max((p for p in prefixes if name.startswith(p)), key=len, default=None)
        if prefix is None:
            loose[name] = tensor
        else:
            inside[prefix][name.removeprefix(prefix)] = tensor
    for prefix, found in inside.items():
        if not found:
            raise OptionError(
                f"no tensor's name begins with {prefix}",
                got=first_few(list(tensors)),
                next_step="name prefixes that the checkpoint has.",
            )
    components = [_component(prefix, found) for prefix, found in inside.items()]
    if loose:
        components.append(Component(LOOSE, "", loose))
    _refuse_shared_names(components)
    return components


_WRAPPERS = ("model", "module", "net", "network", "gan", "_orig_mod")
"""Prefixes that programs put around all of their networks."""
_INNER_WRAPPERS = ("_orig_mod.", "module.")
"""Prefixes that torch.compile and DataParallel put around one network."""


def _find_prefixes(tensors: Mapping[str, Tensor]) -> list[str]:
    around = ""
    while True:
        firsts = _first_parts(tensors, around)
        if len(firsts) != 1 or firsts[0] not in _WRAPPERS:
            break
        below = _first_parts(tensors, f"{around}{firsts[0]}.")
        # Numbers below are the layers of one network, not networks.
        if not below or all(part.isdigit() for part in below):
            break
        around += f"{firsts[0]}."
    prefixes: list[str] = []
    for first in firsts:
        prefix = f"{around}{first}."
        below = _first_parts(tensors, prefix)
        several = first.endswith("s") and _role(first[:-1]) != "other"
        prefixes += [f"{prefix}{part}." for part in below] if several else [prefix]
    return prefixes


def _first_parts(names: Iterable[str], prefix: str) -> list[str]:
    """Return the different parts that follow a prefix, up to a dot; tensors right there are
    none."""
    rests = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    return list(dict.fromkeys(rest.partition(".")[0] for rest in rests if "." in rest))


def _role(name: str) -> Role:
    """Return what a name such as netG_A, gen_AB, D_B or discriminator says."""
    if re.search(r"(?:^|_)(?:net)?(?:d|dis|disc|discriminator|critic)s?(?:_|\d|$)", name, re.I):
        return "discriminator"
    if re.search(r"(?:^|_)(?:net)?(?:g|gen|generator)s?(?:_|\d|$)", name, re.I):
        return "generator"
    return "other"


def _component(prefix: str, found: dict[str, Tensor]) -> Component:
    for wrapper in _INNER_WRAPPERS:
        if all(name.startswith(wrapper) for name in found):
            prefix += wrapper
            found = {name.removeprefix(wrapper): tensor for name, tensor in found.items()}
    bare = prefix
    for wrapper in _INNER_WRAPPERS:
        bare = bare.removesuffix(wrapper) or bare
    parts = bare.rstrip(".").split(".")
    while len(parts) > 1 and parts[0] in _WRAPPERS:
        parts.pop(0)
    # A checkpoint is anyone's text: no separator of folders, nothing hidden, nothing endless.
    safe = re.sub(r"[^A-Za-z0-9_-]", "_", "_".join(parts))[:100]
    return Component(safe or "unnamed", prefix, found)


def _refuse_shared_names(components: Sequence[Component]) -> None:
    seen: dict[str, str] = {}
    for component in components:
        # Some file systems take A and a for one name.
        key = component.name.lower()
        if key in seen:
            raise CheckpointError(
                "two networks would be written to one file",
                got=f"{seen[key]!r} and {component.prefix!r} as {component.name}.safetensors",
                next_step="name the networks to write with --components.",
            )
        seen[key] = component.prefix
