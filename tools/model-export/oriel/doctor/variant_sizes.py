"""Bytes of each variant before there is one, and the variants that a browser can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import transformers
from torch import nn

from oriel.contract.browser_memory import browser_memory
from oriel.contract.json_value import JsonObject
from oriel.errors import RecipeError
from oriel.graph.attach_weights import place_weights
from oriel.models.model_spec import ModelSpec
from oriel.precision.recipes.recipe import bundled_recipe
from oriel.precision.recipes.weight_uses import WeightUse
from oriel.precision.weights.write_encoded import place_encoded
from oriel.precisions import PRECISIONS, Encoding, Precision

Provider = Literal["wasm", "webgpu"]


@dataclass(frozen=True)
class VariantSize:
    """One variant's weights."""

    name: str
    bytes: int
    """Size of its weights file."""
    read_bytes: int
    """Bytes of the weights as its graphs read them: those of float32 where the file is expanded."""
    memory: int
    """Bytes of WebAssembly's memory that the runtime takes."""
    opens_on: tuple[Provider, ...]
    """The providers that can hold it on a device with enough memory."""

    def to_json(self) -> JsonObject:
        return {
            "name": self.name,
            "bytes": self.bytes,
            "read_bytes": self.read_bytes,
            "wasm_memory": self.memory,
            "opens_on": list(self.opens_on),
        }


def variant_sizes(spec: ModelSpec) -> list[VariantSize]:
    """Return the size of every variant that can be written of this model, in a manifest's order."""
    sizes = encoded_sizes(spec)
    found = []
    for precision in PRECISIONS.values():
        if precision.encoding not in sizes:
            continue
        size = sizes[precision.encoding]
        read = sizes["f32"] if precision.expanded else size
        found.append(_sized(precision, size, read))
    return found


def encoded_sizes(spec: ModelSpec) -> dict[Encoding, int]:
    """Return the bytes of each encoding's weights file; without encodings whose recipe matches
    nothing of the model."""
    layout = place_weights(spec.parameters, transposed=spec.linear)
    uses = _weight_uses(spec)
    sizes: dict[Encoding, int] = {"f32": layout.bytes}
    for encoding in dict.fromkeys(precision.encoding for precision in PRECISIONS.values()):
        if encoding in sizes:
            continue
        try:
            placed = place_encoded(layout, uses, bundled_recipe(encoding))
        except RecipeError:
            continue
        sizes[encoding] = max(weight.values + weight.value_bytes for weight in placed)
    return sizes


def _weight_uses(spec: ModelSpec) -> Mapping[str, WeightUse]:
    """Return how the graphs will read each matrix: products sum over the first axis of the graph's
    (in, out), tables over the second."""
    with torch.device("meta"):
        model: nn.Module = getattr(transformers, spec.architecture.model_class)(spec.config)
    tables = {
        f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.Embedding)
    }
    uses = {}
    for name, shape in spec.parameters.items():
        if len(shape) != 2:
            continue
        read = tuple(reversed(shape)) if name in spec.linear else shape
        is_table = name in tables
        uses[name] = WeightUse(read, 1 if is_table else 0, is_table, not is_table)
    return uses


def _sized(precision: Precision, file_bytes: int, read_bytes: int) -> VariantSize:
    limits = browser_memory()
    memory = math.ceil(read_bytes * limits["runtime_share"][precision.kernels])
    providers: list[Provider] = []
    if max(file_bytes, read_bytes) <= limits["file_bytes"]:
        if memory <= limits["heap_bytes"]:
            providers.append("wasm")
        if precision.kernels not in limits["without_gpu_kernels"]:
            providers.append("webgpu")
    return VariantSize(precision.name, file_bytes, read_bytes, memory, tuple(providers))


def gigabytes(size: int) -> str:
    """Return a size in GB or MB, with one decimal."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
