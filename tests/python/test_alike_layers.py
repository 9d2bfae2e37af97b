"""Layers are looked at before two of them are traced for all: whatever differs is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from oriel.modules.alike_layers import check_alike, check_config, layer_list, plain_settings
from oriel.tracing.layers import LayersDiffer


class Layer(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number
        self.window = 128
        self.scale = 0.5
        self.sizes = [2, 3]
        self.line = nn.Linear(3, 3)
        self.register_buffer("count", torch.zeros(2))


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.layers = nn.ModuleList(Layer(at) for at in range(4))


@pytest.fixture
def model() -> Any:
    return Model()


def check(model: Any) -> None:
    path, layers = layer_list(model, 4)
    assert path == "layers"
    check_alike(model, layers)


def test_a_layer_s_own_number_is_no_difference(model: Any) -> None:
    check(model)


def test_values_of_weights_and_buffers_are_no_difference(model: Any) -> None:
    model.layers[3].line.weight.data.fill_(7)
    model.layers[2].count.fill_(7)
    check(model)


class Other(nn.Linear):
    pass


CHANGES: dict[str, tuple[Callable[[Any], None], str]] = {
    "number": (lambda m: setattr(m.layers[3], "number", 7), "number of settings of layers 1 and 3"),
    "window": (lambda m: setattr(m.layers[2], "window", 64), "window of"),
    "scale": (lambda m: setattr(m.layers[2], "scale", 0.25), "scale of"),
    "inner list": (lambda m: m.layers[2].sizes.append(1), "sizes of"),
    "kind": (lambda m: setattr(m.layers[2], "sizes", None), "sizes of"),
    "another attribute": (lambda m: setattr(m.layers[2], "extra", 1), "the attributes of"),
    "class": (lambda m: setattr(m.layers[3], "line", Other(3, 3)), "the class of line"),
    "no bias": (lambda m: setattr(m.layers[3].line, "bias", None), "weights' sizes in line"),
    "size": (lambda m: setattr(m.layers[3], "line", nn.Linear(3, 4)), "line of layers 1 and 3"),
    "part": (lambda m: setattr(m.layers[3], "more", nn.Linear(3, 3)), "parts of layers 1 and 3"),
    "object": (lambda m: setattr(m.layers[2], "scale", object()), "scale of"),
    "weight of another": (
        lambda m: setattr(m.layers[3].line, "weight", m.layers[1].line.weight),
        "shares a weight",
    ),
    "weight of none": (
        lambda m: setattr(m.layers[3].line, "weight", m.first.weight),
        "shares a weight",
    ),
    "part of another": (
        lambda m: setattr(m.layers[3], "line", m.layers[2].line),
        "share a part",
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_difference_is_named(name: str, model: Any) -> None:
    change, said = CHANGES[name]
    change(model)
    with pytest.raises(LayersDiffer, match=said):
        check(model)


def test_a_list_of_the_length_is_needed_and_only_one(model: Any) -> None:
    with pytest.raises(LayersDiffer, match="no list of 5 layers"):
        layer_list(model, 5)
    model.more = nn.ModuleList(nn.Linear(1, 1) for _ in range(4))
    with pytest.raises(LayersDiffer, match="2 lists of 4 layers"):
        layer_list(model, 4)


def test_a_config_that_tells_layers_apart() -> None:
    check_config({"layer_types": ["full"] * 4, "sizes": [1, 2, 3]}, 4)
    check_config(None, 4)
    for config in (
        {"layer_types": ["full", "full", "full", "window"]},
        {"text": {"a": [1, 1, 2, 1]}},
    ):
        with pytest.raises(LayersDiffer, match="in the config"):
            check_config(config, 4)  # type: ignore[arg-type]


def test_plain_settings_show_what_code_goes_by(model: Any) -> None:
    before = plain_settings(model)
    assert ("layers.2", "window", "128") in before and ("layers.2", "sizes", "[2, 3]") in before
    # An object without a value to show would make each process's another.
    model.layers[2].thing = object()
    assert plain_settings(model) == before
    model.layers[2].window = 64
    assert plain_settings(model) != before
