"""Weights from the checkpoint straight into the bundle's one data file, in float32, a tensor at a
time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oriel.errors import CheckpointError
from oriel.graph.attach_weights import PlacedWeight, WeightLayout
from oriel.models.checkpoint import Checkpoint, tensor_digest, weights_digest

_CHUNK = 4 * 1024 * 1024
"""Elements converted and written at a time: 16 MiB of float32."""


@dataclass(frozen=True)
class WrittenWeights:
    """What the data file holds, and what it was made of."""

    bytes: int
    digest: str
    """Of the file, sha256:…"""
    weights_digest: str
    """Of the checkpoint's tensors: see ACTIVATIONS_CONTRACT.md."""


def write_weights(
    checkpoint: Checkpoint,
    layout: WeightLayout,
    file: Path,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> WrittenWeights:
    """Write every placed weight; `on_bytes` hears how many bytes were written since it last did.

    Raises CheckpointError for a tensor that holds NaN or infinity.
    """
    rows: dict[str, tuple[str, tuple[int, ...], str]] = {}
    digest = hashlib.sha256()
    position = 0
    with file.open("wb") as out:

        def put(data: bytes | memoryview) -> None:
            nonlocal position
            out.write(data)
            digest.update(data)
            position += len(data)
            on_bytes(len(data))

        for weight in layout.weights:
            put(b"\0" * (weight.offset - position))
            tensor = checkpoint.read(weight.name)
            stored = checkpoint.tensors[weight.name]
            rows[weight.name] = (stored.dtype, stored.shape, tensor_digest(tensor))
            _put_float32(tensor, weight, put)
    return WrittenWeights(position, f"sha256:{digest.hexdigest()}", weights_digest(rows))


def _put_float32(tensor: Tensor, weight: PlacedWeight, put: Callable[[memoryview], None]) -> None:
    if weight.transposed:
        tensor = tensor.t().contiguous()
    for part in torch.split(tensor.reshape(-1), _CHUNK):
        values = part.to(torch.float32)
        if not bool(torch.isfinite(values).all()):
            raise CheckpointError(
                f"{weight.name} holds NaN or infinity",
                expected="finite weights",
                next_step="download the checkpoint again, or train it anew.",
            )
        put(values.numpy().data.cast("B"))


def checkpoint_digest(checkpoint: Checkpoint) -> str:
    """The digest of the checkpoint's tensors, read from disk once more."""
    rows = {
        name: (stored.dtype, stored.shape, tensor_digest(checkpoint.read(name)))
        for name, stored in checkpoint.tensors.items()
    }
    return weights_digest(rows)
