"""A pass of the model without values: it shows whether every activation of the contract is given in
its shape, and whether attention asks for what the capture doesn't implement."""

from __future__ import annotations

import torch

from oriel.capture.captured_model import capture_empty, example_inputs
from oriel.errors import ArchitectureError
from oriel.models.model_spec import ModelSpec, with_layers

_LAYERS = 2


def try_capture(spec: ModelSpec) -> ArchitectureError | None:
    """Run the first layers on the meta device, and return the error in which an export would end.
    None where there is none, or where a pass without values can't tell."""
    alike = spec.architecture.repeatable(spec.config)
    small = with_layers(spec, min(_LAYERS, spec.shape.layers)) if alike else spec
    try:
        with torch.no_grad(), torch.device("meta"):
            captured = capture_empty(small)
            captured(*example_inputs(small.shape))
    except ArchitectureError as error:
        return error
    except Exception:  # noqa: BLE001 - some code asks for a value, which such a tensor doesn't have
        return None
    return None
