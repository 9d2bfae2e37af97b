"""Changes to a forward pass as a researcher says them: switch a head off, add a vector, put in what
another run gave, knock out attention between two tokens. place_edits.py turns them into closings of
an open graph's joints, edit_json.py reads them from JSON; the page has the same edits in
inference/edits.ts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import ClassVar, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike

from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.contract.documents import EditRecord
from oriel.errors import OptionError
from oriel.runtime.edit_values import numbers_to_json, places_to_json

Places = int | Sequence[int] | None
"""One index, several, or all."""
Positions = int | Sequence[int] | slice | None
"""One token, several, a stretch of them (`slice(5, None)`: from there on, generated ones too), or
all. Counted from a text's first token, cached ones too; negative ones from its end."""


_NUMBER_FIELDS = (
    *("factor", "vector", "strength", "direction", "amount", "limit", "first", "second"),
    *("encoder", "bias", "threshold"),
)


class HasActivations(Protocol):
    """A run, from which values are taken."""

    def __getitem__(self, name: str) -> Array: ...


@dataclass(frozen=True, eq=False)
class Edit:
    """A change at one joint of one layer: at the places that are named, at all where none are."""

    joint: str
    """A kind of activation that is a joint: resid_pre, q, k, v, attn_scores, attn_probs, attn_z,
    attn_output, resid_mid, mlp_act, mlp_output, resid_post."""
    layer: int = field(kw_only=True)
    head: Places = field(default=None, kw_only=True)
    """Heads of q, attn_scores, attn_probs and attn_z; key heads of k and v."""
    neuron: Places = field(default=None, kw_only=True)
    """Numbers of the last dimension: neurons of mlp_act, components elsewhere."""
    position: Positions = field(default=None, kw_only=True)
    """Tokens; of attn_scores and attn_probs those that look."""
    key: Positions = field(default=None, kw_only=True)
    """Tokens that are looked at: attn_scores and attn_probs alone."""
    row: Places = field(default=None, kw_only=True)
    """Texts of the batch."""

    edit: ClassVar[str]
    """Its name in JSON."""
    closing: ClassVar[str]
    """The contract's name of what is done at the joint."""

    @property
    def kind(self) -> str:
        """The joint's kind, by the name that a closing's place has for it."""
        return self.joint

    @property
    def name(self) -> str:
        """The joint's name in the contract."""
        return kinds()[self.joint].at(self.layer)

    def numbers(self) -> dict[str, Array]:
        """Return the numbers that the edit brings, by the names of its fields."""
        return {}

    def to_json(self) -> EditRecord:
        """Return the edit as contracts/edits.schema.json has it, values of another run written
        out. Raises OptionError for numbers that float32 doesn't hold."""
        record: dict[str, object] = {"edit": self.edit, **self._own_json()}
        for name in ("head", "neuron", "position", "key", "row"):
            given = getattr(self, name)
            if given is not None:
                record[name] = places_to_json(given)
        return cast(EditRecord, record)

    def _own_json(self) -> dict[str, object]:
        """Return the fields that aren't places."""
        numbers = {
            field.name: numbers_to_json(_numbers(getattr(self, field.name), field.name, self))
            for field in fields(self)
            if field.name in _NUMBER_FIELDS
        }
        return {"joint": self.joint, "layer": int(self.layer), **numbers}

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return False
        pairs = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return all(_same(one, two) for one, two in pairs)

    def __hash__(self) -> int:
        return hash((type(self), self.joint, self.layer))


@dataclass(frozen=True, eq=False)
class Scale(Edit):
    """Multiply by a factor; 0 switches off."""

    factor: float = field(default=0.0, kw_only=True)
    edit = "scale"
    closing = "scale"

    def numbers(self) -> dict[str, Array]:
        return {"factor": _numbers(self.factor, "factor", self)}


@dataclass(frozen=True, eq=False)
class Add(Edit):
    """Add a vector, times a strength."""

    vector: ArrayLike = field(kw_only=True)
    """One number for each of the joint's last dimension, or what broadcasts to the whole joint."""
    strength: float = field(default=1.0, kw_only=True)
    edit = "add"
    closing = "add"

    def numbers(self) -> dict[str, Array]:
        strength = _numbers(self.strength, "strength", self)
        return {"vector": _numbers(self.vector, "vector", self) * strength}


@dataclass(frozen=True, eq=False)
class Replace(Edit):
    """Put in other values: given ones, or those that another run had there."""

    value: ArrayLike | None = field(default=None, kw_only=True)
    """A number, a vector, or what broadcasts to the whole joint, its tokens counted from the text's
    first."""
    from_run: HasActivations | None = field(default=None, kw_only=True)
    """A run that gives this activation; its tokens are the same positions."""
    from_position: int | None = field(default=None, kw_only=True)
    """The token of that run whose values are taken for every position; its own by default."""
    edit = "replace"
    closing = "replace"

    def __post_init__(self) -> None:
        if (self.value is None) == (self.from_run is None):
            raise OptionError(
                "Replace takes value or from_run",
                got="both" if self.value is not None else "neither",
                expected="one of them",
            )

    def numbers(self) -> dict[str, Array]:
        if self.from_run is None:
            return {"value": _numbers(self.value, "value", self)}
        whole = self.from_run[self.name]
        if self.from_position is not None:
            axis = kinds()[self.joint].shape.index("sequence_length")
            if not -whole.shape[axis] <= self.from_position < whole.shape[axis]:
                raise OptionError(
                    "from_position is not in that run",
                    got=str(self.from_position),
                    expected=f"a position of its {whole.shape[axis]} tokens",
                )
            whole = np.take(whole, [self.from_position], axis=axis)
        return {"value": _numbers(whole, "from_run", self)}

    def _own_json(self) -> dict[str, object]:
        return {**super()._own_json(), "value": numbers_to_json(self.numbers()["value"])}


@dataclass(frozen=True, eq=False)
class KnockOut(Edit):
    """Let queries see nothing of keys: their scores become the mask's, and the softmax gives their
    share to the others (Geva et al., 2023, "Dissecting Recall of Factual Associations")."""

    joint: str = "attn_scores"
    query: Positions = field(default=None, kw_only=True)
    edit = "knock-out"
    closing = "replace"

    def __post_init__(self) -> None:
        if self.joint != "attn_scores":
            raise OptionError("KnockOut acts on attn_scores alone", got=self.joint)
        if self.position is not None:
            raise OptionError("KnockOut takes query, not position", got=f"position={self.position}")
        object.__setattr__(self, "position", self.query)

    def numbers(self) -> dict[str, Array]:
        return {"value": np.array(np.finfo(np.float32).min)}

    def to_json(self) -> EditRecord:
        record: dict[str, object] = {**super().to_json()}
        del record["joint"]
        if "position" in record:
            record["query"] = record.pop("position")
        return cast(EditRecord, record)


@dataclass(frozen=True, eq=False)
class ProjectOut(Edit):
    """Take away the component along a direction."""

    direction: ArrayLike = field(kw_only=True)
    """A vector of any length but 0: it is divided by its length."""
    amount: float = field(default=1.0, kw_only=True)
    """1 removes the component, 2 mirrors it."""
    edit = "project-out"
    closing = "project-out"

    def numbers(self) -> dict[str, Array]:
        return {
            "direction": _unit(self.direction, "direction", self),
            "amount": _numbers(self.amount, "amount", self),
        }


@dataclass(frozen=True, eq=False)
class Cap(Edit):
    """Lower the component along a direction to a limit where it is above."""

    direction: ArrayLike = field(kw_only=True)
    limit: float = field(kw_only=True)
    edit = "cap"
    closing = "cap"

    def numbers(self) -> dict[str, Array]:
        return {
            "direction": _unit(self.direction, "direction", self),
            "limit": _numbers(self.limit, "limit", self),
        }


@dataclass(frozen=True, eq=False)
class Swap(Edit):
    """Exchange two directions by mirroring along the difference of their unit vectors."""

    first: ArrayLike = field(kw_only=True)
    second: ArrayLike = field(kw_only=True)
    amount: float = field(default=1.0, kw_only=True)
    edit = "swap"
    closing = "swap"

    def numbers(self) -> dict[str, Array]:
        return {
            "first": _unit(self.first, "first", self),
            "second": _unit(self.second, "second", self),
            "amount": _numbers(self.amount, "amount", self),
        }


@dataclass(frozen=True, eq=False)
class Clamp(Edit):
    """Set a feature of a dictionary to a value: add (value - f) * direction, where the feature
    f(x) is x . encoder + bias if that is above the threshold, else 0 (the features of a sparse
    autoencoder: Bricken et al., 2023, "Towards Monosemanticity"; with a threshold: Rajamanoharan
    et al., 2024, "Jumping Ahead").

    encoder and direction are not divided by their lengths. At a joint with heads they have the
    numbers of all heads of a token, one head after another, or of the one head that `head` names.
    """

    encoder: ArrayLike = field(kw_only=True)
    """(width) or (heads * width)."""
    bias: float = field(default=0.0, kw_only=True)
    threshold: float = field(default=0.0, kw_only=True)
    """0 or more; 0 for a feature with a plain ReLU."""
    direction: ArrayLike = field(kw_only=True)
    """The feature's row of the decoder: as many numbers as the encoder has."""
    value: float = field(kw_only=True)
    """What stands in the place of f: of f * direction, the edit makes value * direction."""
    edit = "clamp"
    closing = "clamp"

    def __post_init__(self) -> None:
        is_one = isinstance(self.head, (int, np.integer)) and not isinstance(self.head, bool)
        if self.head is not None and not is_one:
            raise OptionError("Clamp takes one head, or none for all", got=f"head={self.head}")

    def numbers(self) -> dict[str, Array]:
        names = ("encoder", "bias", "threshold", "direction", "value")
        numbers = {name: _numbers(getattr(self, name), name, self) for name in names}
        for name in ("bias", "threshold", "value"):
            if numbers[name].ndim != 0:
                raise OptionError(
                    f"{name} of Clamp at {self.joint} is not one number",
                    got=" × ".join(map(str, numbers[name].shape)),
                )
        if numbers["threshold"] < 0:
            raise OptionError(
                f"threshold of Clamp at {self.joint} is negative",
                got=str(self.threshold),
                expected="0 or more",
            )
        return numbers

    def _own_json(self) -> dict[str, object]:
        return {**super()._own_json(), "value": float(self.numbers()["value"])}


def _same(one: object, two: object) -> bool:
    if isinstance(one, np.ndarray) or isinstance(two, np.ndarray):
        return bool(np.array_equal(np.asarray(one), np.asarray(two)))
    return bool(one == two)


def _numbers(value: object, name: str, edit: Edit) -> Array:
    """Return a field as float32. Raises OptionError for what is no number, NaN or infinity."""
    try:
        with np.errstate(over="ignore"):
            found: Array = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        found = np.array(np.nan, dtype=np.float32)
    if not np.isfinite(found).all():
        raise OptionError(
            f"{name} of {type(edit).__name__} at {edit.joint} is no finite number",
            got=_shown(value),
            expected="numbers that float32 holds",
        )
    return found


def _unit(value: object, name: str, edit: Edit) -> Array:
    found = _numbers(value, name, edit)
    length = float(np.linalg.norm(found.astype(np.float64)))
    if length == 0:
        raise OptionError(f"{name} of {type(edit).__name__} at {edit.joint} has no length")
    return (found / length).astype(np.float32)


def _shown(value: object) -> str:
    if isinstance(value, np.ndarray):
        bad = np.flatnonzero(~np.isfinite(value.astype(np.float64, copy=False)).reshape(-1))
        return f"{value.reshape(-1)[bad[0]]} at index {bad[0]}" if len(bad) else str(value.dtype)
    return repr(value)[:80]
