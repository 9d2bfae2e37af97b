"""AWQ's matrices as AutoAWQ stores them in its `gemm` version: numbers of 4 bits packed along the
outputs, eight to an int32 in an order of their own, and zero points in the same way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

_BITS = 4
_PER_WORD = WORD_BITS // _BITS
_PARTS = (".qweight", ".qzeros", ".scales")
_PLACES = (0, 4, 1, 5, 2, 6, 3, 7)
"""Place in the word, lowest bits first, of each of eight neighbouring outputs."""


def decode_awq(stored: Mapping[str, StoredTensor], settings: JsonObject) -> dict[str, StoredTensor]:
    """Return the tensors with a plain weight (out, in) for each packed matrix."""
    bits = whole_number(settings, "bits", _BITS)
    if bits != _BITS:
        raise refuse_form("AWQ", "bits", bits, "4")
    form = settings.get("version") or settings.get("format") or "gemm"
    if not isinstance(form, str) or form.lower() != "gemm":
        raise refuse_form("AWQ", "version", form, "gemm")
    group_size = whole_number(settings, "group_size", 128)
    return with_plain_matrices(stored, _PARTS, lambda module: _matrix(stored, module, group_size))


def _matrix(stored: Mapping[str, StoredTensor], module: str, group_size: int) -> DecodedTensor:
    parts = matrix_parts(stored, module)
    inputs, words = (*parts["qweight"].shape, 0, 0)[:2]
    groups = group_count(module, inputs, group_size)
    outputs = words * _PER_WORD
    wanted: dict[str, tuple[int, ...]] = {
        "qweight": (inputs, words),
        "qzeros": (groups, words),
        "scales": (groups, outputs),
    }
    check_forms(module, parts, wanted)
    decode = partial(_decode, group_size=inputs if group_size == -1 else group_size)
    return decoded_matrix([parts[name] for name in wanted], (outputs, inputs), decode)


def _decode(tensors: Sequence[Tensor], group_size: int) -> Tensor:
    """Return scale * (number - zero point), (out, in), float32."""
    words, zero_words, scales = tensors
    numbers, zeros = _in_order(words), _in_order(zero_words)
    group = torch.arange(len(numbers)) // group_size
    weight = (numbers - zeros[group]).to(torch.float32) * scales.to(torch.float32)[group]
    return weight.t().contiguous()


def _in_order(words: Tensor) -> Tensor:
    """Return the packed numbers (rows, outputs) in the order of the outputs."""
    eights = unpack_bits(words, _BITS).reshape(len(words), -1, _PER_WORD)
    return eights[:, :, list(_PLACES)].reshape(len(words), -1)
