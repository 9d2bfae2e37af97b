"""Decoders of quantized checkpoints, by the quant_method of their config: each gives the plain
matrices that the packed ones stand for. To add one, add a file here and one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from oriel.checkpoints.quantized.awq import decode_awq
from oriel.checkpoints.quantized.fp8 import decode_fp8
from oriel.checkpoints.quantized.gptq import decode_gptq
from oriel.checkpoints.tensors import StoredTensor
from oriel.contract.json_value import JsonObject

Decode = Callable[[Mapping[str, StoredTensor], JsonObject], dict[str, StoredTensor]]
"""Takes the stored tensors and the quantization's settings, and returns the tensors of the plain
model. Raises CheckpointError for a form that it doesn't know."""

DECODERS: dict[str, Decode] = {
    "awq": decode_awq,
    "fp8": decode_fp8,
    "gptq": decode_gptq,
}

__all__ = ["DECODERS", "Decode"]
