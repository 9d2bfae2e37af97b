"""Decides which closings a session of an open graph has. Every layer's joint of a kind has the
same slots, so that the next edit of the kind, in another layer, needs no other session. The page
does the same in inference/closing_slots.ts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, joint_specs, kind_of
from oriel.graph.closings import closing_input, closing_rows
from oriel.runtime.joint_edit import JointEdit

Slots = Mapping[str, tuple[str, ...]]
"""{kind of joint: its closings in order}; kinds without edits are left out."""
_MOST = 8
"""Beyond this many closings at each joint of a kind, those that a run doesn't need are given up."""


def slots_for(slots: Slots, edits: Iterable[JointEdit]) -> Slots:
    """Return slots that serve these edits too: equal ones where the given ones do."""
    sequences: dict[str, list[str]] = {}
    for edit in edits:
        sequences.setdefault(edit.joint, []).append(edit.closing)
    wider = dict(slots)
    for joint, sequence in sequences.items():
        kind = kind_of(joint)
        wider[kind] = _merged(wider.get(kind, ()), sequence)
    for kind, chain in wider.items():
        if len(chain) <= _MOST:
            continue
        needed: tuple[str, ...] = ()
        for joint, sequence in sequences.items():
            needed = _merged(needed, sequence) if kind_of(joint) == kind else needed
        wider[kind] = needed
    return wider


def closings_in(slots: Slots, shape: ModelShape) -> dict[str, tuple[str, ...]]:
    """Return the closings of each joint of a model, by its name."""
    named = {spec.name: slots.get(kind_of(spec.name), ()) for spec in joint_specs(shape)}
    return {name: chain for name, chain in named.items() if chain}


def slot_feeds(
    closings: Mapping[str, Sequence[str]], edits: Iterable[JointEdit], shape: ModelShape
) -> dict[str, Array]:
    """Return the inputs of a session with these closings, {joint: its own in order}: each edit
    goes into the next of its kind, and what is left is neutral. Raises ValueError where one is
    missing."""
    feeds: dict[str, Array] = {}
    for spec in joint_specs(shape) if closings else ():
        ones = [1] * len(spec.shape)
        for index, closing in enumerate(closings.get(spec.name, ())):
            for row in closing_rows()[closing]["inputs"]:
                dtype = bool if row["dtype"] == "bool" else np.float32
                neutral = np.full(ones, row["neutral"], dtype)
                feeds[closing_input(spec.name, index, row["name"])] = neutral
    after: dict[str, int] = {}
    for edit in edits:
        chain = closings.get(edit.joint, ())
        slot = chain.index(edit.closing, after.get(edit.joint, 0))
        after[edit.joint] = slot + 1
        feeds |= {closing_input(edit.joint, slot, name): v for name, v in edit.tensors.items()}
    return feeds


def _merged(slots: Sequence[str], sequence: Sequence[str]) -> tuple[str, ...]:
    """Return the slots with as many more as a sequence needs to be found among them in order."""
    result = list(slots)
    start = 0
    for closing in sequence:
        if closing in result[start:]:
            found = result.index(closing, start)
        else:
            found = start
            result.insert(start, closing)
        start = found + 1
    return tuple(result)
