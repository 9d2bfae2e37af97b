"""The parameters that a config's model has, asked of transformers without making a single
weight."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from oriel.models.architectures import Architecture


def shapeless_model(config: Any, architecture: Architecture) -> nn.Module:
    """The model with parameters that have a shape and no storage."""
    with torch.device("meta"):
        model = getattr(transformers, architecture.model_class)(config)
    model.tie_weights()
    made: nn.Module = model
    return made


def expected_parameters(config: Any, architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """{parameter: shape}; a tied weight stands once, under the token embedding's name."""
    model = shapeless_model(config, architecture)
    return {name: tuple(p.shape) for name, p in model.named_parameters()}
