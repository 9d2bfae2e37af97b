"""Encoding of float32 weights files, weight by weight. The recipe chooses how each weight is
encoded, encode_tensor.py does it, and encoded_layout.py describes how weights lie in the file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from oriel.bundle.hashed_writer import HashedFiles
from oriel.graph.attach_weights import PlacedWeight, WeightLayout
from oriel.graph.data_files import aligned, located, names_of_files, starts_of_files
from oriel.precision.recipes.recipe import Recipe, Rule
from oriel.precision.recipes.weight_uses import WeightUse
from oriel.precision.weights.encode_tensor import encode_tensor
from oriel.precision.weights.encoded_layout import EncodedFile, EncodedWeight
from oriel.precision.weights.expand_weights import Encoded, expanded_parts

if TYPE_CHECKING:
    # For its type alone: encoding without calibration needs no ONNX Runtime.
    from oriel.precision.calibration.calibrate import InputMoments

_THREADS = 2


def place_encoded(
    layout: WeightLayout, uses: Mapping[str, WeightUse], recipe: Recipe
) -> tuple[EncodedWeight, ...]:
    """Choose the offsets of each weight's scales, zero points and values, in the order of the
    layout."""
    chosen = recipe.choose({w.name: _use_of(w, uses) for w in layout.weights})
    placed: list[EncodedWeight] = []
    position = 0

    def take(size: int) -> int:
        nonlocal position
        start = aligned(position)
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


def write_encoded_file(
    source: Path,
    layout: WeightLayout,
    uses: Mapping[str, WeightUse],
    recipe: Recipe,
    target: Path,
    calibration: InputMoments | None = None,
    on_bytes: Callable[[int], None] = lambda _: None,
    encoding: str | None = None,
) -> EncodedFile:
    """Write the encoded file; `on_bytes` gets the number of the source's bytes encoded since the
    last call.

    source: the first float32 weights file of this layout. target: the first file to write.
    encoding: by default the recipe's name.
    calibration: for recipes that are `calibrated`. Raises RecipeError where the recipe changes
    nothing.
    """
    assert calibration is not None or not recipe.calibrated, "gptq needs moments"
    placed = place_encoded(layout, uses, recipe)
    starts = starts_of_files((w.begin, w.values + w.value_bytes) for w in placed)
    files = [target.with_name(name) for name in names_of_files(target.name, starts)]
    with (
        HashedFiles(files, starts) as out,
        ThreadPoolExecutor(_THREADS) as rounding,
        ThreadPoolExecutor(1) as writing,
    ):
        writer = _Writer(out)
        before: Future[None] | None = None
        for old, new in zip(layout.weights, placed, strict=True):
            use = _use_of(old, uses)
            rule = recipe.rule_for(new.name, use)
            if rule.reduced and not use.multiplied:
                # Only products saturate.
                rule = replace(rule, reduced=False)
            moments = None if calibration is None else calibration.of(use.factors)
            encoded = encode_tensor(_floats(source, layout, old), new, rule, moments, rounding)
            # A weight is hashed and written while the next one is rounded.
            if before is not None:
                before.result()
            before = writing.submit(writer.put, new, encoded)
            on_bytes(old.bytes)
        if before is not None:
            before.result()
    return EncodedFile(
        path=target.name,
        encoding=encoding or recipe.name,
        bytes=writer.file.position,
        digests=out.digests,
        weights=placed,
        expanded_bytes=writer.expanded_position,
        expanded_digest=f"sha256:{writer.expanded_digest.hexdigest()}",
        recipe=recipe,
        starts=starts,
    )


def _floats(source: Path, layout: WeightLayout, weight: PlacedWeight) -> NDArray[np.float32]:
    """Map one weight of its file, so that it takes no memory once it is encoded."""
    name, offset = located(source.name, layout.starts, weight.offset)
    return np.memmap(source.with_name(name), "<f4", "r", offset, weight.shape)


class _Writer:
    """Writer of the encoded file, which also computes the digest of the expanded file."""

    def __init__(self, out: HashedFiles) -> None:
        self.file = out
        self.expanded_digest = hashlib.sha256()
        self.expanded_position = 0

    def put(self, weight: EncodedWeight, encoded: Encoded) -> None:
        parts = (
            (weight.scales, encoded.scales),
            (weight.zero_points, encoded.zero_points),
            (weight.values, encoded.values),
        )
        for at, array in parts:
            if at is not None and array is not None:
                self.file.pad_to(at)
                self.file.put(array.reshape(-1).data.cast("B"))
        self.expanded_digest.update(bytes(weight.at - self.expanded_position))
        self.expanded_position = weight.at
        for part in expanded_parts(weight, encoded):
            self.expanded_digest.update(part.reshape(-1).data.cast("B"))
            self.expanded_position += part.nbytes
