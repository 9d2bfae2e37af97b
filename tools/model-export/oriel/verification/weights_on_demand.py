"""PyTorch's model whose weights are read when a module computes with them and let go of behind it:
memory holds those of one module at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from oriel.models.expert_weights import read_joined
from oriel.models.load_model import LoadedModel
from oriel.verification.run_reference import Reference

Read = Callable[[str], Tensor]
"""Reads a weight, by the name of the model's parameter, in float32."""


def reference_reading(loaded: LoadedModel, read: Read) -> Reference:
    """Return transformers' own model of the checkpoint, which computes with what `read` gives. It
    is called once for each run of a module that has the weight."""
    # Of one number each, whatever their shape: transformers makes the rest of the model from them.
    # No number twice: it ties a head to the embedding where both hold the same.
    nothing = {
        name: torch.tensor(float(number)).expand(shape)
        for number, (name, shape) in enumerate(loaded.spec.stock_parameters.items())
    }
    reference = Reference(loaded, nothing)
    # A tied weight stands once, by the name that the checkpoint has it under.
    names = {parameter: name for name, parameter in reference.model.named_parameters()}
    for module in reference.model.modules():
        held = {key: names[p] for key, p in module.named_parameters(recurse=False)}
        # The rest is read by nothing.
        own = {key: name for key, name in held.items() if name in loaded.spec.stock_parameters}
        if own:
            _read_on_demand(module, own, read)
    return reference


def _read_on_demand(module: nn.Module, own: dict[str, str], read: Read) -> None:
    """Let a module have its weights while it runs. own: {its parameter: the weight's name}."""
    # Whoever reads them otherwise is told, since nothing can be computed with these.
    absent = {
        key: nn.Parameter(module.get_parameter(key).to("meta"), requires_grad=False) for key in own
    }

    def let_go(*_: object) -> None:
        for key, parameter in absent.items():
            setattr(module, key, parameter)

    def fetch(*_: object) -> None:
        for key, name in own.items():
            weight = read_joined(name, tuple(absent[key].shape), read)
            setattr(module, key, nn.Parameter(weight, requires_grad=False))

    let_go()
    module.register_forward_pre_hook(fetch)
    module.register_forward_hook(let_go, always_call=True)
