"""Writes weights from the checkpoint straight into the bundle's data files, in float32, one tensor
at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from oriel.bundle.hashed_writer import HashedFiles
from oriel.bundle.not_finite import NotFinite, count_not_finite, refusal
from oriel.checkpoints.tensors import StoredTensors, tensor_digest, weights_digest
from oriel.graph.attach_weights import PlacedWeight, WeightLayout
from oriel.graph.data_files import names_of_files

_CHUNK = 4 * 1024 * 1024
"""Elements converted and written at a time: 16 MiB of float32."""


@dataclass(frozen=True)
class WrittenWeights:
    """Size and digests of the data files, and the digest of the weights they were made from."""

    bytes: int
    digests: Mapping[str, str]
    """{name of a file: its digest, sha256:…}"""
    weights_digest: str
    """The digest of the checkpoint's tensors: see ACTIVATIONS_CONTRACT.md."""


def write_weights(
    checkpoint: StoredTensors,
    layout: WeightLayout,
    file: Path,
    on_bytes: Callable[[int], None] = lambda _: None,
) -> WrittenWeights:
    """Write every placed weight. file: the first of the data files. `on_bytes` gets the number of
    bytes since its last call.

    Raises CheckpointError where tensors hold values that aren't finite in float32, and names them
    all: after the first nothing is written, the others are only read.
    """
    unusable: list[NotFinite] = []
    rows: dict[str, tuple[str, tuple[int, ...], str]] = {}
    files = [file.with_name(name) for name in names_of_files(file.name, layout.starts)]
    with HashedFiles(files, layout.starts) as writer:

        def put(data: bytes | memoryview) -> None:
            writer.put(data)
            on_bytes(len(data))

        for weight in layout.weights:
            tensor = checkpoint.read(weight.name)
            stored = checkpoint.tensors[weight.name]
            if not unusable:
                on_bytes(writer.pad_to(weight.offset))
                rows[weight.name] = (stored.dtype, stored.shape, tensor_digest(tensor))
                if _put_float32(tensor, weight, put):
                    continue
            # Called all the same, so that a run that is stopped stops here as well.
            on_bytes(0)
            found = count_not_finite(tensor, stored)
            if found is not None:
                unusable.append(found)
    if unusable:
        raise refusal(unusable, len(layout.weights))
    return WrittenWeights(writer.position, writer.digests, weights_digest(rows))


def _put_float32(tensor: Tensor, weight: PlacedWeight, put: Callable[[memoryview], None]) -> bool:
    """Write the tensor's values. Stop and return False at a part with one that isn't finite."""
    if weight.transposed:
        tensor = tensor.t().contiguous()
    for part in torch.split(tensor.reshape(-1), _CHUNK):
        values = part.to(torch.float32)
        if not bool(torch.isfinite(values).all()):
            return False
        put(values.numpy().data.cast("B"))
    return True


def checkpoint_digest(checkpoint: StoredTensors) -> str:
    """Compute the digest of the checkpoint's tensors, read from disk once more."""
    rows = {
        name: (stored.dtype, stored.shape, tensor_digest(checkpoint.read(name)))
        for name, stored in checkpoint.tensors.items()
    }
    return weights_digest(rows)
