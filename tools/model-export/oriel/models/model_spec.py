"""A model as its config describes it: architecture, sizes, parameters. It travels as one value from
loading to tracing; the weights are the checkpoint's."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import nn

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures import Architecture
from oriel.models.expert_weights import separate_shapes

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class ModelSpec:
    """A model without its weights."""

    config: PreTrainedConfig
    """transformers' config of it, which nobody may change: make_spec and with_layers copy it."""
    architecture: Architecture
    shape: ModelShape
    parameters: Mapping[str, tuple[int, ...]]
    """{name: shape}, in the model's own order. A tied weight stands once, under the token
    embedding's name."""
    linear: frozenset[str]
    """The parameters of these that are matrices of nn.Linear, which holds them as (out, in)."""
    stock_parameters: Mapping[str, tuple[int, ...]]
    """{name: shape} as transformers has them: experts' matrices joined to one tensor."""

    @property
    def ties_embeddings(self) -> bool:
        """True if the config says that head and token embedding are one weight."""
        tied = bool(getattr(self.config, "tie_word_embeddings", False))
        return tied and self.architecture.classifier is None


def make_spec(config: PreTrainedConfig, architecture: Architecture, shape: ModelShape) -> ModelSpec:
    """Ask transformers which parameters such a model has, without making a single weight."""
    # Imported here: a run that only checks flags need not wait for it.
    import transformers

    config = copy.deepcopy(config)
    with torch.device("meta"):
        model: nn.Module = getattr(transformers, architecture.model_class)(config)
    model.tie_weights()  # type: ignore[operator]
    stock = {name: tuple(p.shape) for name, p in model.named_parameters()}
    parameters = separate_shapes(stock)
    for name, read in architecture.copied_weights:
        if read in parameters:
            del parameters[name], stock[name]
    matrices = {
        f"{name}.weight" for name, module in model.named_modules() if isinstance(module, nn.Linear)
    }
    matrices |= parameters.keys() - stock.keys()
    if architecture.router is not None:
        routers = f".{architecture.router}.weight"
        matrices |= {name for name in parameters if name.endswith(routers)}
    linear = frozenset(matrices & set(parameters))
    return ModelSpec(config, architecture, shape, parameters, linear, stock)


def with_own_head(spec: ModelSpec) -> ModelSpec:
    """Return the spec of the same model with a head that is a weight of its own."""
    config = copy.deepcopy(spec.config)
    config.tie_word_embeddings = False
    return make_spec(config, spec.architecture, spec.shape)


def with_layers(spec: ModelSpec, layers: int) -> ModelSpec:
    """Return the spec of the same model with its first layers alone."""
    config = copy.deepcopy(spec.config)
    if isinstance(getattr(config, "layer_types", None), list):
        config.layer_types = config.layer_types[:layers]
    config.num_hidden_layers = layers
    dropped = tuple(
        f"{spec.architecture.blocks}.{layer}." for layer in range(layers, spec.shape.layers)
    )
    return ModelSpec(
        config,
        spec.architecture,
        replace(spec.shape, layers=layers),
        {name: s for name, s in spec.parameters.items() if not name.startswith(dropped)},
        frozenset(name for name in spec.linear if not name.startswith(dropped)),
        {n: s for n, s in spec.stock_parameters.items() if not n.startswith(dropped)},
    )
