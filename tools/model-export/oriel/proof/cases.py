"""The cases of a comparison: what the artifacts bring themselves, texts for models that read them,
and values drawn within the ranges that a file tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from oriel.errors import ModuleError, first_few
from oriel.proof.artifact import Artifact, Port
from oriel.proof.inputs import Input, ProofInputs, drawn, listed

_SEED = 20_112
_PAST = "past_key_values."
_TEXT_INPUTS = ("input_ids", "attention_mask", "position_ids", "token_type_ids")
_LENGTH, _SHORT = 11, 6
"""Tokens of the longer texts, and of the one that is padded to as many."""


def make_cases(one: Artifact, other: Artifact) -> list[ProofInputs]:
    """Return the inputs on which two artifacts are compared. Raises OrielError where they take
    different inputs, and where nothing says which values they take."""
    for artifact in (one, other):
        own = artifact.own_cases()
        if own:
            _check_same_inputs(one, other)
            return [
                ProofInputs(
                    case.name,
                    {
                        name: listed(tensor, {"kind": "reference", "case": case.name})
                        for name, tensor in case.inputs.items()
                    },
                )
                for case in own
            ]
    if _reads_text(one) and _reads_text(other):
        return list(_text_cases(one, other))
    _check_same_inputs(one, other)
    return list(_drawn_cases(one))


def _all_inputs(one: Artifact, other: Artifact) -> list[Port]:
    """Return the inputs that either has. A model of text that lacks one computes as if it said that
    there is no padding and no past, and so do these cases where it isn't shared."""
    known = {port.name: port for port in [*other.inputs, *one.inputs]}
    return list(known.values())


def _check_same_inputs(one: Artifact, other: Artifact) -> None:
    names = [{port.name for port in artifact.inputs} for artifact in (one, other)]
    if names[0] != names[1]:
        raise ModuleError(
            "the two take different inputs",
            got=f"{first_few(sorted(names[0]), 6)} and {first_few(sorted(names[1]), 6)}",
            expected="inputs of the same names",
        )


def _reads_text(artifact: Artifact) -> bool:
    names = {port.name for port in artifact.inputs}
    known = all(name in _TEXT_INPUTS or name.startswith(_PAST) for name in names)
    return "input_ids" in names and known


def _text_cases(one: Artifact, other: Artifact) -> Iterator[ProofInputs]:
    """Yield one text, one token, several texts; with padding and with a past where both take
    these."""
    ids = _Ids(one, other)
    ports = _all_inputs(one, other)
    shared = {p.name for p in one.inputs} & {p.name for p in other.inputs}
    longest = min(filter(None, (one.longest, other.longest)), default=_LENGTH)
    length = min(_LENGTH, longest)

    def case(name: str, tokens: Tensor, mask: Tensor | None = None) -> ProofInputs:
        seen = torch.ones_like(tokens) if mask is None else mask
        return ProofInputs(name, dict(_text_inputs(ports, tokens, seen)))

    yield case(f"one text of {length} tokens", ids.take(1, length))
    yield case("one token", ids.take(1, 1))
    texts = ids.take(2, length)
    yield case(f"two texts of {length} tokens", texts)
    if "attention_mask" not in shared or length <= _SHORT:
        return
    has_past = any(name.startswith(_PAST) for name in shared)
    mask = torch.ones_like(texts)
    empty = slice(0, length - _SHORT) if has_past else slice(_SHORT, length)
    mask[0, empty] = 0
    side = "left" if has_past else "right"
    padded = f"two texts, one padded on the {side}"
    yield case(padded, texts, mask)
    if has_past and length + 1 <= longest:
        tokens = ids.take(2, 1)
        whole = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        inputs = {
            name: value
            for name, value in _text_inputs(ports, tokens, whole)
            if not name.startswith(_PAST)
        }
        yield ProofInputs("the next token of both, with the cache", inputs, past=padded)


class _Ids:
    """Token ids: of text where one of the two knows some, else drawn from the vocabulary."""

    def __init__(self, one: Artifact, other: Artifact) -> None:
        self._text = torch.tensor(list(one.text or other.text), dtype=torch.int64)
        self._at = 0
        ranges = [p.range for a in (one, other) for p in a.inputs if p.name == "input_ids"]
        sizes = [a.vocabulary for a in (one, other) if a.vocabulary is not None]
        sizes += [int(found[1]) + 1 for found in ranges if found is not None]
        self._high = min(sizes, default=0) - 1

    def take(self, batch: int, length: int) -> Tensor:
        """Return ids (batch, length). Raises OptionError where the vocabulary's size is unknown."""
        limits = (0, self._high) if self._high >= 0 else None
        port = Port("input_ids", "int64", ("batch_size", "sequence_length"), limits)
        self._at += 1
        if not len(self._text):
            return drawn(port, (batch, length), _SEED + self._at).tensor
        start = (self._at * 31) % len(self._text)
        places = (torch.arange(batch * length) + start) % len(self._text)
        return self._text[places].reshape(batch, length)


def _text_inputs(ports: Sequence[Port], ids: Tensor, mask: Tensor) -> Iterator[tuple[str, Input]]:
    """Yield every input of these ids; mask (batch, past + ids), 0 for padding."""
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -ids.shape[1] :]
    made: Mapping[str, Tensor] = {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": positions,
        "token_type_ids": torch.zeros_like(ids),
    }
    for port in ports:
        if port.name in made:
            yield port.name, listed(made[port.name], {"kind": "reference"})
        else:
            sizes = [ids.shape[0], *(0 if isinstance(s, str) else s for s in port.shape[1:])]
            yield port.name, listed(torch.zeros(sizes), {"kind": "reference"})


def _drawn_cases(artifact: Artifact) -> Iterator[ProofInputs]:
    """Yield three cases of other sizes on the dynamic axes; sizes of one axis differ from those of
    another, so that a swapped axis shows."""
    names = [size for port in artifact.inputs for size in port.shape if isinstance(size, str)]
    axes = list(dict.fromkeys(names))
    for count, base in enumerate((2, 5, 1)):
        sizes = {axis: base + (at if base > 1 else 0) for at, axis in enumerate(axes)}
        told = ", ".join(f"{axis} {size}" for axis, size in sizes.items())
        inputs = {}
        for at, port in enumerate(artifact.inputs):
            shape = [sizes[size] if isinstance(size, str) else size for size in port.shape]
            inputs[port.name] = drawn(port, shape, _SEED + 100 * count + at)
        yield ProofInputs(f"values drawn, {told or count + 1}", inputs)
