"""Texts as the cases of a comparison: alone and several, padded, and going on with a cache. A file
that takes one size alone gets calls of that size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from oriel.proof.artifact import Artifact, Port
from oriel.proof.contract_ports import PAST
from oriel.proof.inputs import Input, ProofInputs, drawn, listed

_SEED = 20_112
_TEXT_INPUTS = ("input_ids", "attention_mask", "position_ids", "token_type_ids")
_AXES_OF_PAST = 4
"""(batch, heads, length, size)."""
_LENGTH, _SHORT = 11, 6
"""Tokens of the longer texts, and of the one that is padded to as many."""


def reads_text(artifact: Artifact) -> bool:
    """Return whether an artifact takes token ids, and nothing but what belongs to them."""
    axes = {port.name: len(port.shape) for port in artifact.inputs}
    known = all(
        count == 2 if name in _TEXT_INPUTS else name.startswith(PAST) and count == _AXES_OF_PAST
        for name, count in axes.items()
    )
    return "input_ids" in axes and known


def text_cases(one: Artifact, other: Artifact) -> list[ProofInputs]:
    """Return the texts on which two artifacts are compared."""
    texts = _Texts(one, other)
    sizes = _one_size(texts.ports)
    return list(_cases(texts) if sizes is None else _cases_of_one_size(texts, sizes))


class _Texts:
    """Makes calls for two artifacts. Token ids are of text where one of the two knows some, else
    drawn from the vocabulary."""

    def __init__(self, one: Artifact, other: Artifact) -> None:
        # A model of text that lacks an input computes as if it said that there is no padding and
        # no past, and so do these cases where it isn't shared.
        ports = [*one.inputs, *other.inputs]
        # Those that say which values they take come first.
        self.ports = sorted(ports, key=lambda port: port.range is None)
        self.shared = {p.name for p in one.inputs} & {p.name for p in other.inputs}
        self.has_past = any(name.startswith(PAST) for name in self.shared)
        self.longest = min(filter(None, (one.longest, other.longest)), default=_LENGTH + 1)
        self._text = torch.tensor(list(one.text or other.text), dtype=torch.int64)
        self._at = 0
        ranges = [port.range for port in self.ports if port.name == "input_ids"]
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

    def inputs(self, ids: Tensor, mask: Tensor) -> dict[str, Input]:
        """Return every input that either takes, for ids (batch, seq). mask: (batch, past + seq), 0
        for padding; the past is of values drawn."""
        batch, length = ids.shape
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -length:]
        made: Mapping[str, Tensor] = {
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": positions,
            "token_type_ids": torch.zeros_like(ids),
        }
        found: dict[str, Input] = {}
        for at, port in enumerate(self.ports):
            if port.name in made:
                found[port.name] = listed(made[port.name], {"kind": "reference"})
            elif port.name not in found:
                sizes = [s if isinstance(s, int) else 0 for s in port.shape]
                sizes[0], sizes[2] = batch, mask.shape[1] - length
                floats = replace(port, range=port.range or (-1.0, 1.0))
                found[port.name] = drawn(floats, sizes, _SEED + at)
        return found


def _cases(texts: _Texts) -> Iterator[ProofInputs]:
    """Yield one text, one token, several texts; with padding and with a past where both take
    these."""
    length = min(_LENGTH, texts.longest)

    def case(name: str, tokens: Tensor, mask: Tensor) -> ProofInputs:
        return ProofInputs(name, texts.inputs(tokens, mask))

    for name, batch, count in (
        (f"one text of {length} tokens", 1, length),
        ("one token", 1, 1),
        (before := f"two texts of {length} tokens", 2, length),
    ):
        tokens = texts.take(batch, count)
        yield case(name, tokens, torch.ones_like(tokens))
    mask = torch.ones_like(tokens)
    if "attention_mask" in texts.shared and length > _SHORT:
        side = "left" if texts.has_past else "right"
        mask[0, slice(0, length - _SHORT) if texts.has_past else slice(_SHORT, length)] = 0
        before = f"two texts, one padded on the {side}"
        yield case(before, tokens, mask)
    if texts.has_past and length + 1 <= texts.longest:
        tokens = texts.take(2, 1)
        whole = torch.cat([mask, torch.ones_like(tokens)], dim=1)
        inputs = texts.inputs(tokens, whole)
        known = {name: given for name, given in inputs.items() if not name.startswith(PAST)}
        yield ProofInputs("the next token of both, with the cache", known, past=before)


@dataclass(frozen=True)
class _Size:
    """The one size of a call that a file takes."""

    batch: int
    length: int
    past: int


def _one_size(ports: Sequence[Port]) -> _Size | None:
    """Return the size that one of the two takes alone; None where both take all."""
    ids = [port.shape for port in ports if port.name == "input_ids"]
    pasts = [port.shape for port in ports if port.name.startswith(PAST)]
    batch, length, past = _fixed(ids, 0), _fixed(ids, 1), _fixed(pasts, 2)
    if batch is None and length is None and past is None:
        return None
    return _Size(2 if batch is None else batch, length or _SHORT, past or 0)


def _fixed(shapes: Sequence[Sequence[int | str]], axis: int) -> int | None:
    return next((size for shape in shapes if isinstance(size := shape[axis], int)), None)


def _cases_of_one_size(texts: _Texts, size: _Size) -> Iterator[ProofInputs]:
    """Yield two calls of this size, the first text of the second one padded."""
    told = f"{size.batch} × {size.length} tokens"
    told += f" behind {size.past} of values drawn" if size.past else ""
    mask = torch.ones(size.batch, size.past + size.length, dtype=torch.int64)
    yield ProofInputs(told, texts.inputs(texts.take(size.batch, size.length), mask))
    if "attention_mask" in texts.shared and mask.shape[1] > 1:
        padded = mask.clone()
        padded[0, 0 if texts.has_past else -1] = 0
        inputs = texts.inputs(texts.take(size.batch, size.length), padded)
        yield ProofInputs(f"{told}, one padded", inputs)
