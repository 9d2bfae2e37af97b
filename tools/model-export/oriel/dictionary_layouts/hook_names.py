"""Activations of dictionaries by their hooks in TransformerLens, through the contract's table of
names in other libraries, and as KIND:LAYER."""

from __future__ import annotations

import re
from functools import cache
from typing import cast, get_args, get_type_hints

from oriel.contract.activation_names import contract_table
from oriel.contract.documents import DictionaryActivation
from oriel.errors import BundleError, OptionError

_HOOK = re.compile(r"blocks\.(0|[1-9][0-9]{0,3})\.([a-z0-9_.]{1,80})")


@cache
def dictionary_kinds() -> tuple[str, ...]:
    """Return the kinds of activations that a dictionary may read or write."""
    return get_args(get_type_hints(DictionaryActivation)["kind"])


def dictionary_activation(kind: str, layer: int) -> DictionaryActivation:
    """Return the document of an activation, of one of `dictionary_kinds`."""
    return cast(DictionaryActivation, {"kind": kind, "layer": layer})


def read_activation(option: str, text: str) -> DictionaryActivation:
    """Return the activation that KIND:LAYER names. Raises OptionError for any other text.
    option: the one that has the text."""
    found = re.fullmatch(r"([a-z_]{1,40}):(0|[1-9][0-9]{0,3})", text)
    if found is None or found.group(1) not in dictionary_kinds():
        raise OptionError(
            f"{option} names no activation that a dictionary can read or write",
            got=repr(text[:80]),
            expected=f"KIND:LAYER, such as resid_post:3, of {', '.join(dictionary_kinds())}",
        )
    return dictionary_activation(found.group(1), int(found.group(2)))


def activation_of_hook(hook: str, name: str) -> DictionaryActivation:
    """Return the activation that a hook of TransformerLens sees. Raises BundleError for a hook
    without a name in the contract. name: the dictionary's in errors."""
    found = _HOOK.fullmatch(hook)
    kind = _kinds_by_hook().get(found.group(2)) if found else None
    if found is None or kind is None:
        raise unnamed_activation(name, hook, f"a hook of a block: {', '.join(_kinds_by_hook())}")
    return dictionary_activation(kind, int(found.group(1)))


def unnamed_activation(name: str, hook: str, expected: str) -> BundleError:
    """Return the error of a dictionary whose hook has no name in the contract."""
    return BundleError(
        f"the dictionary {name} is of an activation that the contract doesn't have",
        got=repr(hook[:80]),
        expected=expected,
        next_step="choose a dictionary of one of these.",
    )


@cache
def _kinds_by_hook() -> dict[str, str]:
    """Return {name of a hook in its block: kind}."""
    made: dict[str, str] = {}
    for row in contract_table()["activations"]:
        peer = row["peers"]["transformer_lens_3"]
        if peer is not None and row["kind"] in dictionary_kinds():
            made[peer["name"].removeprefix("blocks.{L}.")] = row["kind"]
    return made
