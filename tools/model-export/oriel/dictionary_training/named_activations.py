"""Activations of a model by the names that the command takes, KIND:LAYER."""

from __future__ import annotations

from oriel.contract.activation_names import ModelShape, kinds
from oriel.contract.dictionaries import row_spec, row_width
from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.hook_names import dictionary_kinds, read_activation
from oriel.errors import OptionError


def activation_of(flag: str, text: str, shape: ModelShape) -> DictionaryActivation:
    """Return the activation that KIND:LAYER names. Raises OptionError where the text is another, or
    the model doesn't have the activation. flag: the flag that gave the text."""
    activation = read_activation(flag, text)
    if activation["layer"] >= shape.layers:
        raise OptionError(
            f"{flag} names a layer that the model doesn't have",
            got=text,
            expected=f"a layer from 0 to {shape.layers - 1}",
        )
    if row_spec(activation, shape) is None:
        there = [kind for kind in dictionary_kinds() if kinds()[kind].present_in(shape)]
        raise OptionError(
            f"the model has no {activation['kind']}",
            got=f"{flag} {text}",
            expected=f"one of {', '.join(there)}",
            next_step=f"choose another activation with {flag}.",
        )
    return activation


def width_of(activation: DictionaryActivation, shape: ModelShape) -> int:
    """Return the width of an activation's rows."""
    spec = row_spec(activation, shape)
    assert spec is not None
    return row_width(spec)
