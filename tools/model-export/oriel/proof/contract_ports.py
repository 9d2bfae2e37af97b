"""The contract's tensors as ports of an artifact."""

from __future__ import annotations

from oriel.contract.activation_names import LENS_KINDS, ModelShape, TensorSpec, all_activations
from oriel.proof.artifact import Port
from oriel.verification.cases import inner_activations

PAST = "past_key_values."
_TEXT_INPUTS = ("input_ids", "attention_mask", "position_ids", "token_type_ids")


def is_text_input(name: str) -> bool:
    """Return whether an input of a graph is of the text or of its past, and no choice of what is
    computed."""
    return name in _TEXT_INPUTS or name.startswith(PAST)


def contract_port(spec: TensorSpec) -> Port:
    """Return a tensor of the contract as a port."""
    return Port(spec.name, spec.dtype, spec.shape)


def inner_ports(shape: ModelShape) -> list[Port]:
    """Return every activation that the model itself computes, in that order."""
    ports = [contract_port(spec) for spec in inner_activations(shape)]
    # The contract's table has logits first, and the model computes them last.
    return sorted(ports, key=lambda port: port.name == "logits")


def lens_ports(shape: ModelShape) -> list[Port]:
    """Return ids and probabilities of every layer's logit lens."""
    return [contract_port(s) for s in all_activations(shape) if s.name.endswith(LENS_KINDS)]
