"""Expansion of an encoded weights file into the float32 file that it stands for, as the page does
it while chunks arrive: (q - zero point) * scale, in float32.

It is our own code so that it gives the page's very bits, whose digest the manifest names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike, NDArray

from oriel.arrays import Array
from oriel.bundle.hashed_writer import HashedWriter
from oriel.contract.documents import Expansion
from oriel.errors import ContractError
from oriel.precision.weights.encoded_layout import EncodedWeight

_VALUES_AT_ONCE = 1 << 20
"""Values expanded at a time: 4 MiB of float32."""


@dataclass(frozen=True)
class Encoded:
    """One weight's arrays, as they lie in the file."""

    values: Array
    """float32, float16, int8 or uint8, of `values_shape`."""
    scales: NDArray[np.float16] | None = None
    zero_points: NDArray[np.uint8] | None = None
    """As written: those of 4 bits are packed."""


def read_encoded(file: NDArray[np.uint8], weight: EncodedWeight) -> Encoded:
    """Return a weight's arrays as views of the file's bytes; ContractError where it ends before
    them."""

    def view(start: int, size: int, dtype: DTypeLike, shape: tuple[int, ...]) -> Array:
        if start + size > len(file):
            raise ContractError(
                f"the encoded weights end before {weight.name}",
                got=f"{len(file)} bytes",
                expected=f"at least {start + size}",
                next_step="export it again.",
            )
        found: Array = file[start : start + size].view(dtype).reshape(shape)
        return found

    kinds = {"float32": "<f4", "float16": "<f2"}
    kind = kinds.get(weight.layout, np.int8 if weight.signed else np.uint8)
    values = view(weight.values, weight.value_bytes, kind, weight.values_shape)
    if not weight.quantized:
        return Encoded(values)
    assert weight.scales is not None
    scales = view(weight.scales, weight.scale_bytes, "<f2", weight.scales_shape)
    if weight.zero_points is None:
        return Encoded(values, scales)
    size, shape = weight.zero_point_bytes, weight.zero_points_shape
    return Encoded(values, scales, view(weight.zero_points, size, np.uint8, shape))


def expanded_parts(weight: EncodedWeight, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
    """Yield the weight's float32 values, row-major in its shape, a part at a time; each part is
    contiguous."""
    if not weight.quantized:
        flat = encoded.values.reshape(-1)
        for start in range(0, len(flat), _VALUES_AT_ONCE):
            yield np.ascontiguousarray(flat[start : start + _VALUES_AT_ONCE], dtype="<f4")
    elif weight.layout == "channels":
        yield from _channels(weight, encoded)
    else:
        yield from _blocks(weight, encoded)


def _channels(weight: EncodedWeight, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
    assert encoded.scales is not None
    side = (slice(None), None) if weight.axis == 1 else (None, slice(None))
    scales = encoded.scales.astype(np.float32)[side]
    zeros = np.full_like(scales, weight.middle)
    if encoded.zero_points is not None:
        zeros = encoded.zero_points.astype(np.float32)[side]
    step = max(1, _VALUES_AT_ONCE // weight.shape[1])
    for start in range(0, weight.shape[0], step):
        rows = slice(start, start + step)
        part = encoded.values[rows].astype(np.float32)
        part -= zeros[rows] if weight.axis == 1 else zeros
        part *= scales[rows] if weight.axis == 1 else scales
        yield part


def _blocks(weight: EncodedWeight, encoded: Encoded) -> Iterator[NDArray[np.float32]]:
    """Yield rows of channels where the channels are the shape's rows (axis 1), else ranges of
    blocks, which are rows of the shape once they are transposed."""
    assert encoded.scales is not None and weight.bits is not None and weight.block is not None
    scales = encoded.scales.astype(np.float32)
    zeros = np.full_like(scales, weight.middle)
    if encoded.zero_points is not None:
        zeros = _unpacked(encoded.zero_points, weight.bits)[:, : weight.blocks].astype(np.float32)
    whole = weight.blocks * weight.block
    if weight.axis == 1:
        step = max(1, _VALUES_AT_ONCE // whole)
        for start in range(0, weight.channels, step):
            at = slice(start, start + step)
            part = _block_values(encoded.values[at], scales[at], zeros[at], weight.bits)
            yield np.ascontiguousarray(part.reshape(len(part), whole)[:, : weight.summed])
        return
    step = max(1, _VALUES_AT_ONCE // (weight.channels * weight.block))
    for start in range(0, weight.blocks, step):
        at = slice(start, start + step)
        part = _block_values(encoded.values[:, at], scales[:, at], zeros[:, at], weight.bits)
        left = weight.summed - start * weight.block
        yield np.ascontiguousarray(part.reshape(weight.channels, -1)[:, :left].T)


def _block_values(
    values: NDArray[np.uint8],
    scales: NDArray[np.float32],
    zeros: NDArray[np.float32],
    bits: int,
) -> NDArray[np.float32]:
    part = _unpacked(values, bits).astype(np.float32)
    part -= zeros[..., None]
    part *= scales[..., None]
    return part


def _unpacked(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    if bits == 8:
        return packed
    values = np.empty((*packed.shape[:-1], packed.shape[-1] * 2), np.uint8)
    np.bitwise_and(packed, 15, out=values[..., 0::2])
    np.right_shift(packed, 4, out=values[..., 1::2])
    return values


def expand_weights(encoded: Path, expansion: Expansion, target: Path) -> None:
    """Write the whole expanded file; ContractError where its digest isn't the expansion's."""
    file = np.memmap(encoded, dtype=np.uint8, mode="r")
    with target.open("wb") as out:
        writer = HashedWriter(out)
        for entry in sorted(expansion["weights"], key=lambda entry: int(entry["at"])):
            weight = EncodedWeight.from_json(entry)
            if weight.at < writer.position:
                raise ContractError(
                    f"{weight.name} overlaps the weight before it", next_step="export it again."
                )
            writer.pad_to(weight.at)
            for part in expanded_parts(weight, read_encoded(file, weight)):
                writer.put(part.data.cast("B"))
        writer.pad_to(max(writer.position, int(expansion["bytes"])))
    found = writer.digest
    if found != expansion["digest"] or writer.position != expansion["bytes"]:
        raise ContractError(
            f"{encoded.name} doesn't expand to what its manifest says",
            got=f"{writer.position} bytes, {found}",
            expected=f"{expansion['bytes']} bytes, {expansion['digest']}",
            next_step="export it again.",
        )
