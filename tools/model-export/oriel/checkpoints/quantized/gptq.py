"""GPTQ's matrices as AutoGPTQ and GPTQModel store them: numbers of 2, 3, 4 or 8 bits packed along
the inputs, zero points packed along the outputs, and the group of each input in g_idx."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from oriel.checkpoints.quantized.packed_matrix import (
    WORD_BITS,
    check_forms,
    decoded_matrix,
    group_count,
    matrix_parts,
    refuse_form,
    unpack_bits,
    whole_number,
    with_plain_matrices,
)
from oriel.checkpoints.tensors import DecodedTensor, StoredTensor
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError

_PARTS = (".qweight", ".qzeros", ".scales", ".g_idx")
_FORMATS = ("gptq", "gptq_v2")


def decode_gptq(
    stored: Mapping[str, StoredTensor], settings: JsonObject
) -> dict[str, StoredTensor]:
    """Return the tensors with a plain weight (out, in) for each packed matrix."""
    bits = whole_number(settings, "bits")
    if bits not in (2, 3, 4, 8):
        raise refuse_form("GPTQ", "bits", bits, "2, 3, 4 or 8")
    # Newer writers say `format`, older ones `checkpoint_format`.
    form = settings.get("checkpoint_format") or settings.get("format") or _FORMATS[0]
    if form not in _FORMATS:
        raise refuse_form("GPTQ", "checkpoint_format", form, " or ".join(_FORMATS))
    group_size = whole_number(settings, "group_size", -1)
    offset = 1 if form == "gptq" else 0
    return with_plain_matrices(
        stored, _PARTS, lambda module: _matrix(stored, module, bits, group_size, offset)
    )


def _matrix(
    stored: Mapping[str, StoredTensor], module: str, bits: int, group_size: int, offset: int
) -> DecodedTensor:
    parts = matrix_parts(stored, module)
    rows, outputs = (*parts["qweight"].shape, 0, 0)[:2]
    inputs = rows * WORD_BITS // bits
    groups = group_count(module, inputs, group_size)
    wanted: dict[str, tuple[int, ...]] = {
        "qweight": (inputs * bits // WORD_BITS, outputs),
        "qzeros": (groups, outputs * bits // WORD_BITS),
        "scales": (groups, outputs),
        "g_idx": (inputs,),
    }
    check_forms(module, parts, wanted)
    named = tuple(parts)
    decode: Callable[[Sequence[Tensor]], Tensor] = partial(
        _decode, named=named, bits=bits, group_size=group_size, offset=offset
    )
    return decoded_matrix(list(parts.values()), (outputs, inputs), decode)


def _decode(
    tensors: Sequence[Tensor], named: Sequence[str], bits: int, group_size: int, offset: int
) -> Tensor:
    """Return scale * (number - zero point), (out, in), float32."""
    parts = dict(zip(named, tensors, strict=True))
    scales = parts["scales"].to(torch.float32)
    numbers = unpack_bits(parts["qweight"].t(), bits)
    # The first format stores zero points less one.
    zeros = unpack_bits(parts["qzeros"], bits) + offset
    inputs = numbers.shape[1]
    group = parts.get("g_idx")
    if group is None:
        group = torch.arange(inputs) // (inputs if group_size == -1 else group_size)
    group = group.to(torch.int64)
    outside = group[(group < 0) | (group >= len(scales))]
    if len(outside):
        raise CheckpointError(
            "g_idx of a quantized matrix names a group that isn't there",
            got=str(int(outside[0])),
            expected=f"0 to {len(scales) - 1}",
            next_step="download the checkpoint again.",
        )
    return ((numbers.t() - zeros[group]).to(torch.float32) * scales[group]).t().contiguous()
