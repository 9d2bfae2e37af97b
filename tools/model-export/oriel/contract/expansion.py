"""Checks of an expansion that no schema can express: every weight lies inside the encoded file,
which is downloaded, and inside the file that it expands to, and overlaps no other. The same rules
in TypeScript: apps/web/src/contract/validate_expansion.ts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NoReturn

from oriel.contract.documents import EncodedWeightRecord, Variant
from oriel.errors import ContractError

ALIGNMENT = 4
"""Every offset is a multiple of at least this many bytes: readers view parts as arrays of
numbers."""
_ITEM_BYTES = {"float32": 4, "float16": 2}
_PARTS: tuple[Literal["scales", "zero_points", "values"], ...] = (
    "scales",
    "zero_points",
    "values",
)
_NEEDED = {
    "float32": (),
    "float16": (),
    "channels": ("scales", "axis", "bits", "signed"),
    "blocks": ("scales", "axis", "bits", "block"),
}


def check_expansion(variant: Variant, files: Mapping[str, int], what: str) -> None:
    """Check a variant's expansion; files: {path: bytes}. Raises ContractError for the first weight
    that doesn't fit."""
    expansion = variant.get("expansion")
    if expansion is None:
        return
    if len(variant["weights"]) != 1:
        raise ContractError(
            f"{what}: an expansion reads one weights file", got=", ".join(variant["weights"])
        )
    travelling = files[variant["weights"][0]]
    end = 0
    places = []
    for weight in expansion["weights"]:
        try:
            end = _end(weight, end)
        except _Unsound as error:
            _refuse(what, weight, str(error))
        if end > travelling:
            _refuse(what, weight, f"it ends at byte {end} of {travelling}")
        at = weight["at"]
        if at % ALIGNMENT:
            _refuse(what, weight, f"at {at} is no multiple of {ALIGNMENT}")
        size = math.prod(weight["shape"]) * _ITEM_BYTES[expansion["dtype"]]
        places.append((at, at + size, weight))
    position = 0
    for at, stop, weight in sorted(places, key=lambda place: place[:2]):
        if at < position:
            _refuse(what, weight, "it overlaps another in the expanded file")
        if stop > expansion["bytes"]:
            _refuse(what, weight, f"it expands to byte {stop} of {expansion['bytes']}")
        position = stop


class _Unsound(Exception):
    pass


def _refuse(what: str, weight: EncodedWeightRecord, detail: str) -> NoReturn:
    raise ContractError(
        f"{what}: weight {weight['name']!r} can't be expanded",
        got=detail,
        next_step="export it again.",
    )


def part_sizes(weight: EncodedWeightRecord) -> dict[str, int]:
    """Return the bytes of each part of a weight in the encoded file, in the order of _PARTS."""
    shape, layout = weight["shape"], weight["layout"]
    count = math.prod(shape)
    if layout in _ITEM_BYTES:
        return {"values": count * _ITEM_BYTES[layout]}
    # The schema also accepts 0.0 as an axis.
    axis = int(weight["axis"])
    channels, summed = shape[1 - axis], shape[axis]
    if layout == "channels":
        return {"scales": 2 * channels, "zero_points": channels, "values": count}
    blocks = -(-summed // weight["block"])
    return {
        "scales": 2 * channels * blocks,
        "zero_points": channels * -(-blocks * weight["bits"] // 8),
        "values": channels * blocks * weight["block"] * weight["bits"] // 8,
    }


def _end(weight: EncodedWeightRecord, position: int) -> int:
    """Return the position of the weight's end in the encoded file. Raises _Unsound where its
    entries don't fit its layout, or a part begins before `position`."""
    layout = weight["layout"]
    missing = [name for name in _NEEDED[layout] if name not in weight]
    if missing:
        raise _Unsound(f"{layout} without {missing[0]}")
    if _NEEDED[layout] and len(weight["shape"]) != 2:
        raise _Unsound(f"{layout} of {len(weight['shape'])} dimensions")
    if layout == "channels" and weight["bits"] != 8:
        raise _Unsound(f"channels of {weight['bits']} bits")
    sizes = part_sizes(weight)
    for part in _PARTS:
        offset = weight.get(part)
        if offset is None or part not in sizes:
            continue
        if offset % ALIGNMENT:
            raise _Unsound(f"{part} at {offset}, no multiple of {ALIGNMENT}")
        if offset < position:
            raise _Unsound(f"{part} at {offset}, before byte {position}")
        position = offset + sizes[part]
    return position
