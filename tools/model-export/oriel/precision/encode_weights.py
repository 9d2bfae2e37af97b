"""A float32 weights file into an encoded one, weight by weight. What becomes of each weight is the
recipe's choice; how groups are rounded, rounding/'s; how they lie in the file, encoded_weights'."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from oriel.errors import CheckpointError
from oriel.graph.attach_weights import ALIGNMENT, PlacedWeight, WeightLayout
from oriel.precision.encoded_weights import EncodedFile, EncodedWeight
from oriel.precision.expand_weights import Encoded, expanded_parts
from oriel.precision.recipe import Recipe, Rule
from oriel.precision.rounding.grid import Bytes, Fitted, Floats, Grid, quantize
from oriel.precision.rounding.nearest import fit_nearest
from oriel.precision.weight_uses import WeightUse

if TYPE_CHECKING:
    from oriel.precision.calibrate import InputMoments


def place_encoded(
    layout: WeightLayout, uses: Mapping[str, WeightUse], recipe: Recipe
) -> tuple[EncodedWeight, ...]:
    """Where each weight will lie: scales, zero points and values, in the order of the layout."""
    chosen = recipe.choose({w.name: _use_of(w, uses) for w in layout.weights})
    placed: list[EncodedWeight] = []
    position = 0

    def take(size: int) -> int:
        nonlocal position
        start = -(-position // ALIGNMENT) * ALIGNMENT
        position = start + size
        return start

    for weight in layout.weights:
        described = _describe(weight, _use_of(weight, uses), chosen[weight.name])
        if described.quantized:
            described = replace(described, scales=take(described.scale_bytes))
        if described.zero_points is not None:
            described = replace(described, zero_points=take(described.zero_point_bytes))
        placed.append(replace(described, values=take(described.value_bytes)))
    return tuple(placed)


def _use_of(weight: PlacedWeight, uses: Mapping[str, WeightUse]) -> WeightUse:
    return uses.get(weight.name) or WeightUse(weight.shape, None)


def _describe(weight: PlacedWeight, use: WeightUse, rule: Rule) -> EncodedWeight:
    plain = EncodedWeight(weight.name, weight.shape, weight.offset, rule.treat, 0)
    if not rule.quantizes:
        return plain
    return replace(
        plain,
        axis=use.axis,
        bits=rule.bits,
        block=rule.block,
        signed=rule.signed if rule.treat == "channels" else None,
        zero_points=None if rule.symmetric else 0,
    )


def encode_weights(
    source: Path,
    layout: WeightLayout,
    uses: Mapping[str, WeightUse],
    recipe: Recipe,
    target: Path,
    calibration: InputMoments | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
    encoding: str | None = None,
) -> EncodedFile:
    """Write the encoded file; `on_bytes` hears how many bytes of the source were encoded since.

    source: a float32 weights file laid out so. encoding: by default the recipe's name.
    """
    placed = place_encoded(layout, uses, recipe)
    chosen = recipe.choose({w.name: _use_of(w, uses) for w in layout.weights})
    file_hash, expanded_hash = hashlib.sha256(), hashlib.sha256()
    position = expanded = 0
    wide = np.memmap(source, dtype=np.uint8, mode="r")
    with target.open("wb") as out:

        def put(array: NDArray[Any], at: int) -> None:
            nonlocal position
            for data in (b"\0" * (at - position), np.ascontiguousarray(array).data.cast("B")):
                out.write(data)
                file_hash.update(data)
                position += len(data)

        for old, new in zip(layout.weights, placed, strict=True):
            floats = wide[old.offset : old.offset + old.bytes].view("<f4").reshape(old.shape)
            encoded = _encode(floats, new, chosen[new.name])
            if encoded.scales is not None and new.scales is not None:
                put(encoded.scales, new.scales)
            if encoded.zero_points is not None and new.zero_points is not None:
                put(encoded.zero_points, new.zero_points)
            put(encoded.values, new.values)
            expanded_hash.update(b"\0" * (new.at - expanded))
            for part in expanded_parts(new, encoded):
                expanded_hash.update(part.data.cast("B"))
            expanded = new.at + old.bytes
            on_bytes(old.bytes)
    return EncodedFile(
        path=target.name,
        encoding=encoding or recipe.name,
        bytes=position,
        digest=f"sha256:{file_hash.hexdigest()}",
        weights=placed,
        expanded_bytes=expanded,
        expanded_digest=f"sha256:{expanded_hash.hexdigest()}",
        recipe=recipe,
    )


def _encode(floats: Floats, weight: EncodedWeight, rule: Rule) -> Encoded:
    if weight.layout == "float32":
        return Encoded(floats)
    if weight.layout == "float16":
        _check_reach(floats, weight.name, float(np.finfo(np.float16).max))
        return Encoded(floats.astype("<f2"))
    grid = Grid(rule.bits, rule.symmetric)
    _check_reach(floats, weight.name, 65504.0 * grid.middle / 2)
    rows = floats if weight.axis == 1 else np.ascontiguousarray(floats.T)
    block = weight.block or weight.summed
    missing = weight.blocks * block - weight.summed
    if missing:
        rows = np.pad(rows, ((0, 0), (0, missing)))
    groups: Floats = rows.reshape(-1, block)
    fitted = fit_nearest(groups, grid)
    values: Bytes = quantize(groups, fitted, grid)
    values = values.reshape(weight.channels, weight.blocks, block)
    scales = fitted.scales.reshape(weight.scales_shape)
    if weight.layout == "channels":
        return _as_channels(values.reshape(weight.channels, -1), scales, fitted, weight)
    zero_points = None
    if weight.zero_points is not None:
        zero_points = _packed(fitted.zero_points.reshape(weight.channels, -1), rule.bits)
    return Encoded(_packed(values, rule.bits), scales, zero_points)


def _as_channels(
    values: Bytes, scales: NDArray[np.float16], fitted: Fitted, weight: EncodedWeight
) -> Encoded:
    if weight.axis == 0:
        values = np.ascontiguousarray(values.T)
    zero_points = None if weight.zero_points is None else fitted.zero_points
    if weight.signed:
        return Encoded((values ^ 0x80).view(np.int8), scales)
    return Encoded(values, scales, zero_points)


def _packed(values: Bytes, bits: int) -> Bytes:
    """Two values of 4 bits in a byte along the last axis, the first in its low half."""
    if bits == 8:
        return values
    if values.shape[-1] % 2:
        values = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, 1)])
    packed = values[..., 0::2].copy()
    packed |= values[..., 1::2] << np.uint8(4)
    return packed


def _check_reach(floats: Floats, name: str, most: float) -> None:
    largest = float(np.abs(floats).max(initial=0))
    if not largest <= most:
        raise CheckpointError(
            f"{name} doesn't fit float16"
            if most < 65505
            else f"{name} needs a scale beyond float16",
            got=f"a weight of {largest:.3g}",
            expected=f"at most {most:.6g}",
            next_step="keep it float32 by a recipe of your own, or leave this precision out.",
        )
