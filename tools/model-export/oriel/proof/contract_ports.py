"""The contract's tensors as ports of an artifact."""

from __future__ import annotations

from oriel.contract.activation_names import ModelShape, TensorSpec
from oriel.proof.artifact import Port
from oriel.verification.cases import inner_activations


def contract_port(spec: TensorSpec) -> Port:
    """Return a tensor of the contract as a port."""
    return Port(spec.name, spec.dtype, spec.shape)


def inner_ports(shape: ModelShape) -> list[Port]:
    """Return every activation that the model itself computes, in that order. The logit lens' are
    not among them: two tokens that are as likely may change places there."""
    ports = [contract_port(spec) for spec in inner_activations(shape)]
    # The contract's table has logits first, and the model computes them last.
    return sorted(ports, key=lambda port: port.name == "logits")
