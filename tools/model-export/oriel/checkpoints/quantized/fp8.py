"""Fine-grained fp8 as transformers stores it: matrices of float8 with a scale for each block of
rows and columns, or one for all, in `weight_scale_inv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod

import torch
from torch import Tensor

from oriel.checkpoints.tensors import DecodedTensor, StoredTensor
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError

_SCALE = "_scale_inv"
_FLOAT8 = ("F8_E4M3", "F8_E5M2")
# Activations are rounded with these by kernels of some GPUs alone.
_OF_ACTIVATIONS = (".activation_scale", ".input_scale")


def decode_fp8(stored: Mapping[str, StoredTensor], settings: JsonObject) -> dict[str, StoredTensor]:
    """Return the tensors with a plain weight in place of each of float8 that has scales."""
    block = _block(settings)
    plain = {key: tensor for key, tensor in stored.items() if not key.endswith(_OF_ACTIVATIONS)}
    for key, tensor in stored.items():
        if tensor.dtype not in _FLOAT8 or f"{key}{_SCALE}" not in stored:
            continue
        scales = plain.pop(f"{key}{_SCALE}")
        plain[key] = _matrix(key, tensor, scales, block)
    return plain


def _block(settings: JsonObject) -> tuple[int, int] | None:
    said = settings.get("weight_block_size", [128, 128])
    if said is None:
        return None
    if isinstance(said, list) and len(said) == 2:
        rows, columns = said
        if isinstance(rows, int) and isinstance(columns, int) and min(rows, columns) > 0:
            return rows, columns
    raise CheckpointError(
        "the quantization's weight_block_size can't be read",
        got=repr(said)[:60],
        expected="two whole numbers, or null",
        next_step="correct quantization_config in config.json, or download it again.",
    )


def _matrix(
    key: str, tensor: StoredTensor, scales: StoredTensor, block: tuple[int, int] | None
) -> DecodedTensor:
    grid: tuple[int, ...] = ()
    if block is not None and len(tensor.shape) == 2:
        grid = (-(-tensor.shape[0] // block[0]), -(-tensor.shape[1] // block[1]))
    if scales.shape != grid and prod(scales.shape) != 1:
        raise CheckpointError(
            f"{key}{_SCALE} has the wrong shape",
            got=str(list(scales.shape)),
            expected=f"{list(grid)}, a scale for each block" if grid else "one scale",
            next_step="check that quantization_config in config.json belongs to the checkpoint.",
        )
    decode = partial(_decode, block=block if scales.shape == grid else None)
    return DecodedTensor(
        tensor.file, key, "F32", tensor.shape, parts=(tensor, scales), decode=decode
    )


def _decode(tensors: Sequence[Tensor], block: tuple[int, int] | None) -> Tensor:
    """Return the weight times its scales, float32, in its own shape."""
    weight, scales = tensors[0].to(torch.float32), tensors[1]
    # Some store powers of two as their biased exponents alone.
    wide = torch.exp2(scales.float() - 127) if scales.dtype == torch.uint8 else scales.float()
    if block is None:
        return weight * wide.reshape(())
    wide = wide.repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
    return weight * wide[: weight.shape[0], : weight.shape[1]]
