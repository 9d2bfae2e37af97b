"""Parts of a matrix that GPTQ and AWQ share: whole numbers of a few bits, packed into int32, with a
scale and a zero point for each group of inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from oriel.checkpoints.tensors import FLOATS, DecodedTensor, StoredTensor
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError

WORD_BITS = 32


def unpack_bits(words: Tensor, bits: int) -> Tensor:
    """Return the numbers of `bits` bits in int32 words, lowest bits first, along the last axis:
    (…, words) int32 in, (…, words * 32 / bits) int64 out."""
    places = torch.arange(WORD_BITS, dtype=torch.int64)
    single = (words.to(torch.int64)[..., None] >> places) & 1
    grouped = single.reshape(*words.shape[:-1], -1, bits)
    return (grouped << torch.arange(bits, dtype=torch.int64)).sum(dim=-1)


def whole_number(settings: JsonObject, name: str, default: int | None = None) -> int:
    """Return a setting of the quantization; CheckpointError where it is no whole number."""
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int):
        raise CheckpointError(
            f"the quantization's {name} can't be read",
            got=repr(value)[:60],
            expected="a whole number",
            next_step="correct quantization_config in config.json, or download it again.",
        )
    return value


def refuse_form(method: str, setting: str, got: object, expected: str) -> CheckpointError:
    """Return the error for a form of the method that isn't decoded."""
    return CheckpointError(
        f"this form of {method} is not decoded",
        got=f"{setting} {got!r}"[:80],
        expected=expected,
        next_step="export from the original checkpoint, or decode it with the library that "
        "quantized it.",
    )


def with_plain_matrices(
    stored: Mapping[str, StoredTensor],
    parts: Sequence[str],
    matrix: Callable[[str], DecodedTensor],
) -> dict[str, StoredTensor]:
    """Return the tensors with a plain weight, which `matrix` gives for a module's name, in place of
    the packed parts, which are named by what follows the module's name."""
    modules = [key.removesuffix(".qweight") for key in stored if key.endswith(".qweight")]
    packed = {f"{module}{part}" for module in modules for part in parts}
    plain = {key: tensor for key, tensor in stored.items() if key not in packed}
    return plain | {f"{module}.weight": matrix(module) for module in modules}


def decoded_matrix(
    parts: Sequence[StoredTensor],
    shape: tuple[int, int],
    decode: Callable[[Sequence[Tensor]], Tensor],
) -> DecodedTensor:
    """Return the (out, in) weight of a Linear that `decode` computes from the values of the parts,
    the packed numbers first."""
    first = parts[0]
    return DecodedTensor(
        first.file,
        first.key,
        "F32",
        shape,
        parts=tuple(parts),
        decode=decode,
        of_linear=True,
    )


def matrix_parts(stored: Mapping[str, StoredTensor], module: str) -> dict[str, StoredTensor]:
    """Return {qweight, qzeros, scales, and g_idx where it is there} of a module; CheckpointError
    where one is missing."""
    names = ("qweight", "qzeros", "scales", "g_idx")
    found = {name: stored[f"{module}.{name}"] for name in names if f"{module}.{name}" in stored}
    lacking = [name for name in names[:3] if name not in found]
    if lacking:
        raise CheckpointError(
            f"{module} is quantized and lacks a part",
            got=f"no {module}.{lacking[0]}",
            expected=f"{', '.join(names[:3])}",
            next_step="download the checkpoint again.",
        )
    return found


def check_forms(
    module: str, parts: Mapping[str, StoredTensor], expected: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise CheckpointError for a part of another shape or dtype."""
    for name, part in parts.items():
        wanted = FLOATS if name == "scales" else {"I32"}
        if part.dtype not in wanted:
            raise CheckpointError(
                f"{module}.{name} has another dtype",
                got=part.dtype,
                expected=" or ".join(sorted(wanted)),
                next_step="export from the original checkpoint.",
            )
    for name, shape in expected.items():
        if name in parts and parts[name].shape != shape:
            raise CheckpointError(
                f"{module}.{name} has the wrong shape",
                got=str(list(parts[name].shape)),
                expected=str(list(shape)),
                next_step="check that quantization_config in config.json belongs to the "
                "checkpoint.",
            )


def group_count(module: str, inputs: int, group_size: int) -> int:
    """Return the number of groups; group_size -1 is one group. CheckpointError for sizes that can't
    be."""
    if group_size == -1:
        return 1
    if group_size < 1:
        raise refuse_form(module, "group_size", group_size, "-1 or a number from 1 on")
    return -(-inputs // group_size)
