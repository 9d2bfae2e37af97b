"""The sizes at which a model is timed: a batch of one and of eight, short and long, and a token
behind a past where the model has a cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from oriel.contract.json_value import JsonObject
from oriel.formats.format import FlatCall
from oriel.formats.size_names import is_sum
from oriel.modules.axes import Axes
from oriel.modules.second_input import second_input

AS_EXPORTED = "as exported"
_BATCHES = (1, 8)
_SHORT, _LONG = 16, 128
_LENGTH, _PAST = "sequence_length", "past_sequence_length"
_CONTEXT = ("max_position_embeddings", "n_positions")


@dataclass(frozen=True)
class TimedCase:
    """One size at which files are timed."""

    name: str
    inputs: Sequence[Tensor]


def timed_cases(call: FlatCall, config: JsonObject | None) -> list[TimedCase]:
    """Return the cases of a module, the example last: a file of fixed sizes takes that alone.
    config: of the model, which may say how long a text it reads."""
    axes = _axes_of(call)
    longest = _longest(config or {})
    cases = [
        TimedCase(name, second_input(call.inputs, axes, {**axes.sizes, **sizes}))
        for name, sizes in _sizes(axes.sizes, longest)
    ]
    return [*cases, TimedCase(AS_EXPORTED, list(call.inputs))]


def _axes_of(call: FlatCall) -> Axes:
    sizes: dict[str, int] = {}
    for tensor, named in zip(call.inputs, call.axes, strict=True):
        sizes |= {name: tensor.shape[axis] for axis, name in named.items() if not is_sum(name)}
    return Axes(tuple(call.axes), sizes)


def _longest(config: JsonObject) -> int:
    known = [config[name] for name in _CONTEXT if isinstance(config.get(name), int)]
    # Some models, such as RoBERTa, begin to count positions behind the padding token's id.
    return min([_LONG, *(int(size) - 2 for size in known if isinstance(size, int))])


def _sizes(known: Mapping[str, int], longest: int) -> list[tuple[str, dict[str, int]]]:
    """Return name and sizes of each case; the first axis counts as the batch."""
    if not known:
        return []
    batch = next(iter(known))
    if _LENGTH not in known:
        return [(f"batch {size}", {batch: size}) for size in _BATCHES]
    past = {_PAST: 0} if _PAST in known else {}
    found = [
        (f"{size} × {length}", {batch: size, _LENGTH: length, **past})
        for size in _BATCHES
        for length in dict.fromkeys((min(_SHORT, longest), longest))
    ]
    if past:
        behind = longest - 1
        found.append((f"1 behind {behind}", {batch: 1, _LENGTH: 1, _PAST: behind}))
    return found
