"""A pass of the model without values: it shows whether every activation of the contract is given in
its shape, and whether attention asks for what the capture doesn't implement."""

from __future__ import annotations

import torch

from oriel.capture.captured_model import capture_empty, example_inputs
from oriel.capture.failed_pass import asks_for_a_value, failed_pass, few_layers
from oriel.errors import ArchitectureError
from oriel.models.model_spec import ModelSpec


def try_capture(spec: ModelSpec) -> ArchitectureError | None:
    """Run the first layers on the meta device, and return the error in which an export would end.
    None where there is none, or where a pass without values can't tell."""
    small = few_layers(spec)
    try:
        with torch.no_grad(), torch.device("meta"):
            captured = capture_empty(small)
            captured(*example_inputs(small.shape))
    except ArchitectureError as error:
        return error
    except Exception as error:  # noqa: BLE001 - an untrusted config may raise any
        return None if asks_for_a_value(error) else failed_pass(spec, error)
    return None
