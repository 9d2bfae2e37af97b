"""Turns edits into closings of an open graph's joints for one run: which closing, at which joint,
with which tensors. Raises OptionError for an edit that this model or this text has no place for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oriel.arrays import Array
from oriel.contract.activation_names import Kind, ModelShape, TensorSpec, kinds
from oriel.errors import OptionError, first_few
from oriel.graph.closings import closing_rows
from oriel.runtime.edits import Edit, KnockOut, Places, Positions
from oriel.runtime.fed_text import FedText
from oriel.runtime.joint_edit import JointEdit

_HEADS = ("heads", "kv_heads")
_BATCH, _SEQ, _TOTAL = "batch_size", "sequence_length", "total_sequence_length"
_FAR = np.float32(3.0e38)
"""A limit that no component reaches."""
_MERGED = ("scale", "add", "replace")
"""Closings of which several, one after another, are one."""


def place_edits(edits: Iterable[Edit], shape: ModelShape, text: FedText) -> list[JointEdit]:
    """Return the closings of a run, those of one joint in the order of its edits.

    Each tensor has the joint's rank, and each of its dimensions is 1 or the joint's.
    """
    placed: list[JointEdit] = []
    last: dict[str, int] = {}
    knocked_out: dict[int, NDArray[np.bool_]] = {}
    for edit in edits:
        spec = _checked_spec(edit, shape)
        place = _Place(spec, kinds()[edit.joint].shape, _where(edit, spec, text))
        if isinstance(edit, KnockOut):
            out = knocked_out.get(edit.layer, np.zeros((1, 1, 1, 1), dtype=bool)) | place.where
            knocked_out[edit.layer] = out
            _check_keys_left(out, text)
        made = JointEdit(edit.joint, edit.layer, edit.closing, _tensors(edit, place, text))
        before = last.get(made.joint)
        if before is not None and _can_merge(placed[before], made):
            placed[before] = _merge(placed[before], made)
            continue
        last[made.joint] = len(placed)
        placed.append(made)
    return placed


def check_edits(edits: Iterable[Edit], shape: ModelShape) -> None:
    """Raise OptionError for the first edit that no run of this model has a place for."""
    for edit in edits:
        _checked_spec(edit, shape)
        edit.numbers()


@dataclass(frozen=True)
class _Place:
    """The place at which an edit acts."""

    spec: TensorSpec
    axes: tuple[int | str, ...]
    """The joint's dimensions by their names in the contract."""
    where: NDArray[np.bool_]
    """An array of the joint's rank; each dimension 1 or the joint's: true where the edit acts."""


def _checked_spec(edit: Edit, shape: ModelShape) -> TensorSpec:
    kind: Kind | None = kinds().get(edit.joint)
    if kind is None or not kind.joint:
        known = ", ".join(k.kind for k in kinds().values() if k.joint and k.present_in(shape))
        raise OptionError("there is no such joint", got=str(edit.joint), expected=f"one of {known}")
    _check_index(edit.layer, shape.layers, "layer", "the model has", "layers")
    if not kind.present_in(shape, edit.layer):
        raise OptionError(f"this model has no joint {edit.joint}", got=edit.name)
    spec = kind.spec(shape, edit.layer)
    _check_context(edit.position, "query" if isinstance(edit, KnockOut) else "position", shape)
    _check_context(edit.key, "key", shape)
    named = {name for name in ("head", "neuron", "key") if getattr(edit, name) is not None}
    axes = kind.shape
    if "head" in named and not any(name in axes for name in _HEADS):
        raise OptionError(f"{edit.joint} has no heads", got=f"head={edit.head}")
    if "key" in named and _TOTAL not in axes:
        raise OptionError(
            f"{edit.joint} has no keys",
            got=f"key={edit.key}",
            expected="attn_scores or attn_probs, or position",
        )
    is_directed = closing_rows()[edit.closing].get("direction", False)
    if "neuron" in named and (_TOTAL in axes or is_directed):
        raise OptionError(
            f"{type(edit).__name__} at {edit.joint} takes no neuron", got=f"neuron={edit.neuron}"
        )
    if is_directed and not isinstance(spec.shape[-1], int):
        raise OptionError(
            f"{edit.joint} has no direction",
            got=type(edit).__name__,
            expected="a joint of fixed width",
        )
    return spec


def _check_index(value: object, count: int, name: str, owner: str, what: str) -> int:
    is_whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not is_whole or not 0 <= int(value) < count:  # type: ignore[call-overload]
        raise OptionError(
            f"{owner} no such {name}",
            got=f"{name} {value}",
            expected=f"0 to {count - 1}: {owner} {count} {what}",
        )
    return int(value)  # type: ignore[call-overload,no-any-return]


def _check_context(given: Positions, name: str, shape: ModelShape) -> None:
    """Refuse a position that no text of this model has."""
    if given is None or isinstance(given, slice):
        return
    limit = shape.context_length
    listed: Sequence[object] = given if isinstance(given, Sequence) else [given]
    for at in listed:
        # Anything else is told with the text.
        if isinstance(at, (int, np.integer)) and not -limit <= at < limit:
            raise OptionError(
                f"the model reads no such {name}",
                got=f"{name} {at}",
                expected=f"less than its {limit} tokens",
            )


def _where(edit: Edit, spec: TensorSpec, text: FedText) -> NDArray[np.bool_]:
    """Return where an edit acts, as small as it can be said."""
    axes = kinds()[edit.joint].shape
    where = np.ones((1,) * len(axes), dtype=bool)
    for axis, name in enumerate(axes):
        chosen: NDArray[np.bool_] | None = None
        if name == _BATCH and edit.row is not None:
            chosen = _chosen(edit.row, text.batch, "row", "the batch has", "texts")
        elif name in _HEADS and edit.head is not None:
            count = int(spec.shape[axis])
            what = "heads" if name == "heads" else "key heads"
            chosen = _chosen(edit.head, count, "head", f"layer {edit.layer} has", what)
        elif axis == len(axes) - 1 and edit.neuron is not None:
            owner = f"{edit.joint} of layer {edit.layer} has"
            chosen = _chosen(edit.neuron, int(spec.shape[axis]), "neuron", owner, "numbers")
        if chosen is not None:
            where = where & _along(chosen[None], axis, len(axes))
    name = "query" if edit.joint == "attn_scores" else "position"
    for axis_name, given, known in (
        (_SEQ, edit.position, text.positions()),
        (_TOTAL, edit.key, text.key_positions()),
    ):
        if given is None:
            continue
        named = "key" if axis_name == _TOTAL else name
        chosen = _at_positions(given, known, text, named)
        where = where & _along(chosen, axes.index(axis_name), len(axes))
    return where


def _along(rows: NDArray[np.bool_], axis: int, rank: int) -> NDArray[np.bool_]:
    """Return (batch or 1, n) as an array of the rank whose axis is n."""
    sizes = [1] * rank
    sizes[0] = rows.shape[0]
    sizes[axis] = rows.shape[1]
    return rows.reshape(sizes)


def _chosen(given: Places, count: int, name: str, owner: str, what: str) -> NDArray[np.bool_]:
    listed: Sequence[object] = given if isinstance(given, Sequence) else [given]
    chosen = np.zeros(count, dtype=bool)
    for index in listed:
        chosen[_check_index(index, count, name, owner, what)] = True
    return chosen


def _at_positions(
    given: Positions, known: NDArray[np.int64], text: FedText, name: str
) -> NDArray[np.bool_]:
    """Return which of the known positions, (batch or 1, n), are given; padding is at -1."""
    lengths = text.lengths()
    if isinstance(given, slice):
        start = _edge(given.start, 0, lengths, name)
        stop = _edge(given.stop, np.iinfo(np.int64).max, lengths, name)
        if given.step not in (None, 1):
            raise OptionError(f"a {name} slice has no step", got=str(given.step))
        if given.stop is not None and not bool((start < stop).all()):
            raise OptionError(f"the {name} slice is empty", got=f"{given.start} to {given.stop}")
        return (known >= start) & (known < stop) & (known >= 0)
    listed: Sequence[object] = given if isinstance(given, Sequence) else [given]
    chosen = np.zeros(known.shape, dtype=bool)
    for each in listed:
        at = _edge(each, None, lengths, name)
        is_there = (at >= 0) & (text.goes_on | (at < lengths))
        if not bool(is_there.all()):
            raise OptionError(
                f"the text has no such {name}",
                got=f"{name} {each}",
                expected=f"0 to {int(lengths.min()) - 1}, or from -1 back: it has"
                f" {int(lengths.min())} tokens",
            )
        chosen |= known == at
    return chosen


def _edge(
    value: object, default: int | None, lengths: NDArray[np.int64], name: str
) -> NDArray[np.int64]:
    """Return a position for each text, negative ones counted from its end."""
    if value is None and default is not None:
        return np.full_like(lengths, default)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise OptionError(f"a {name} is a whole number", got=repr(value))
    return np.where(int(value) < 0, lengths + int(value), np.int64(value))


def _tensors(edit: Edit, place: _Place, text: FedText) -> dict[str, Array]:
    numbers = edit.numbers()
    where = place.where
    match edit.closing:
        case "scale":
            return {"scale": np.where(where, numbers["factor"], np.float32(1))}
        case "add":
            vector, where = _fitted(numbers["vector"], "vector", edit, place, text)
            return {"add": np.where(where, vector, np.float32(0))}
        case "replace":
            name = "value" if getattr(edit, "from_run", None) is None else "from_run"
            value, where = _fitted(numbers["value"], name, edit, place, text)
            return {"value": value, "mask": where}
        case "cap":
            direction = _vector(numbers["direction"], "direction", edit, place)
            limit = np.where(where, numbers["limit"], _FAR)
            return {"direction": direction, "limit": limit.astype(np.float32)}
        case "clamp":
            return _clamp_tensors(edit, place)
    tensors = {
        name: _vector(value, name, edit, place)
        for name, value in numbers.items()
        if name != "amount"
    }
    tensors["amount"] = np.where(where, numbers["amount"], np.float32(0))
    return tensors


def _clamp_tensors(edit: Edit, place: _Place) -> dict[str, Array]:
    """Return the tensors that set a feature to its value where the edit acts."""
    numbers = edit.numbers()
    vectors = {
        name: _of_token(numbers.pop(name), name, edit, place) for name in ("encoder", "direction")
    }
    ones = [1] * len(place.axes)
    singles = {name: value.reshape(ones) for name, value in numbers.items()}
    return {**vectors, **singles, "amount": place.where.astype(np.float32)}


def _of_token(value: Array, name: str, edit: Edit, place: _Place) -> Array:
    """Return numbers of one head, 0 at the others, or of all heads one after another, in the
    joint's rank. At a joint without heads: the numbers of its last dimension."""
    at = next((at for at, axis in enumerate(place.axes) if axis in _HEADS), None)
    if at is None:
        return _vector(value, name, edit, place)
    heads, width = (int(place.spec.shape[axis]) for axis in (at, -1))
    sizes = [1] * len(place.axes)
    sizes[at], sizes[-1] = heads, width
    if edit.head is None:
        if value.shape != (heads * width,):
            expected = f"{heads * width} numbers: {width} for each of {heads} heads"
            raise _misfit(name, value, edit, expected)
        return value.reshape(sizes)
    if value.shape != (width,):
        raise _misfit(name, value, edit, f"{width} numbers, of one head")
    spread = np.zeros((heads, width), dtype=np.float32)
    spread[edit.head] = value
    return spread.reshape(sizes)


def _vector(value: Array, name: str, edit: Edit, place: _Place) -> Array:
    width = place.spec.shape[-1]
    if value.shape != (width,):
        raise _misfit(name, value, edit, f"{width} numbers")
    return value.reshape([1] * (len(place.axes) - 1) + [-1])


def _fitted(
    value: Array, name: str, edit: Edit, place: _Place, text: FedText
) -> tuple[Array, NDArray[np.bool_]]:
    """Return values for the tokens of this call, and where the edit acts of what they cover.

    Values of the joint's rank may be of each token, counted from the text's first: then those that
    are edited need one; behind the last, a text that goes on stays as it is.
    """
    rank, width = len(place.axes), place.spec.shape[-1]
    if value.ndim < rank:
        if value.ndim > 1 or (value.ndim == 1 and value.shape[0] not in (1, width)):
            numbers = f"{width} numbers" if isinstance(width, int) else "one number"
            raise _misfit(name, value, edit, numbers)
        return value.reshape([1] * (rank - 1) + [-1]), place.where
    known = {_BATCH: text.batch, _SEQ: text.total, _TOTAL: text.total}
    pairs = zip(place.axes, place.spec.shape, strict=True)
    wanted = [known.get(str(axis), size) for axis, size in pairs]
    expected = " × ".join(map(str, wanted)) + ", or 1 in place of any"
    is_moving = [axis in (_SEQ, _TOTAL) for axis in place.axes]
    if value.ndim != rank or any(
        have not in (1, want) and not moves
        for have, want, moves in zip(value.shape, wanted, is_moving, strict=True)
    ):
        raise _misfit(name, value, edit, expected)
    where = place.where
    for axis, moves in enumerate(is_moving):
        have = value.shape[axis]
        if not moves or have == 1:
            continue
        if not text.is_even:
            what = f"{name} of {type(edit).__name__} has values for each token"
            raise OptionError(
                what, got="texts of unequal lengths", expected="texts of one length, or one text"
            )
        start = text.total - text.seq if place.axes[axis] == _SEQ else 0
        positions = np.arange(start, text.total)
        covered = _along((positions < have)[None], axis, rank)
        if (where & ~covered).any() and not text.goes_on:
            raise _misfit(name, value, edit, expected)
        where = where & covered
        value = np.take(value, np.minimum(positions, have - 1), axis=axis)
    return value, where


def _misfit(name: str, value: Array, edit: Edit, expected: str) -> OptionError:
    sizes = " × ".join(map(str, value.shape)) or "one number"
    what = f"{name} of {type(edit).__name__} doesn't fit {edit.name}"
    return OptionError(what, got=sizes, expected=expected)


def _check_keys_left(knocked_out: NDArray[np.bool_], text: FedText) -> None:
    """Refuse to take every key from a query: its softmax would share out over tokens to come."""
    keys, queries = text.key_positions(), text.positions()
    seen = (keys[:, None, :] <= queries[:, :, None]) & (keys[:, None, :] >= 0)
    blind = ~(seen[:, None] & ~knocked_out).any(axis=-1) & (queries[:, None, :] >= 0)
    if blind.any():
        places = np.broadcast_to(queries[:, None, :], blind.shape)[blind]
        raise OptionError(
            "KnockOut leaves a query no key to look at",
            got=f"query {first_few([str(at) for at in sorted(set(places.tolist()))])}",
            expected="one key at least that it still sees",
            next_step="switch the head off there by Scale('attn_z', ..., factor=0).",
        )


def _can_merge(one: JointEdit, other: JointEdit) -> bool:
    return one.closing == other.closing and one.closing in _MERGED


def _merge(one: JointEdit, other: JointEdit) -> JointEdit:
    """Return one closing that does what two in a row do."""
    first, second = one.tensors, other.tensors
    tensors: dict[str, Array]
    if one.closing == "scale":
        tensors = {"scale": first["scale"] * second["scale"]}
    elif one.closing == "add":
        tensors = {"add": first["add"] + second["add"]}
    else:
        tensors = {
            "value": np.where(second["mask"], second["value"], first["value"]),
            "mask": first["mask"] | second["mask"],
        }
    return JointEdit(one.kind, one.layer, one.closing, tensors)
