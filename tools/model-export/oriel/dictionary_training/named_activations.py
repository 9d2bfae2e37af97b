"""Activations of a model by the names that the command takes, KIND:LAYER."""

from __future__ import annotations

import re
from typing import cast, get_args, get_type_hints

from oriel.contract.activation_names import ModelShape
from oriel.contract.dictionaries import row_spec, row_width
from oriel.contract.documents import DictionaryActivation
from oriel.errors import OptionError


def parse_activation(text: str, shape: ModelShape, flag: str) -> DictionaryActivation:
    """Return the activation that KIND:LAYER names. Raises OptionError where the text is another, or
    the model doesn't have the activation. flag: the flag that gave the text."""
    known: tuple[str, ...] = get_args(get_type_hints(DictionaryActivation)["kind"])
    found = re.fullmatch(r"([a-z_]{1,40}):(0|[1-9][0-9]{0,3})", text)
    if found is None or found.group(1) not in known:
        raise OptionError(
            f"{flag} names no activation that a dictionary can have",
            got=repr(text[:80]),
            expected=f"KIND:LAYER, such as mlp_output:0, with a kind of {', '.join(known)}",
        )
    kind, layer = found.group(1), int(found.group(2))
    activation = cast(DictionaryActivation, {"kind": kind, "layer": layer})
    if layer >= shape.layers:
        raise OptionError(
            f"{flag} names a layer that the model doesn't have",
            got=text,
            expected=f"a layer from 0 to {shape.layers - 1}",
        )
    if row_spec(activation, shape) is None:
        raise OptionError(f"the model has no {kind}", got=f"{flag} {text}")
    return activation


def width_of(activation: DictionaryActivation, shape: ModelShape) -> int:
    """Return the width of an activation's rows."""
    spec = row_spec(activation, shape)
    assert spec is not None
    return row_width(spec)
