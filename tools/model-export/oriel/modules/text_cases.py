"""Texts as a model's inputs: those that int8 forms are calibrated on, and those that they are
measured on with what the module makes of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.bundle.passages import Cutting, Passages, corpus_unfit_reason, tokenize_corpus
from oriel.formats.format import FlatCall
from oriel.models.demo.bundled_text import held_out_passages
from oriel.modules.library_folder import TextReader
from oriel.modules.verify_module import Case
from oriel.precision.calibration.calibration_text import calibration_passages

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_TEXTS, _TEXT_TOKENS = 4, 48
"""Number of texts that a form is measured on, and the longest one's tokens."""
_SEED = 5
_PAST, _PRESENT = "past_key_values.", "present."


def calibration_texts(reader: TextReader) -> Passages:
    """Return passages to calibrate on, each with the tokens that the tokenizer puts around it."""
    start, end = _around(reader.tokenizer)
    room = _Room(reader.vocab, max(2, reader.context_length - len(start) - len(end)))
    found = calibration_passages(room, reader.tokenizer, (), None)
    whole = [np.array([*start, *ids, *end], np.int64) for ids in found.ids]
    return Passages(found.name, tuple(whole))


def calibration_feeds(
    call: FlatCall, reader: TextReader, passages: Passages
) -> Iterator[dict[str, Array]]:
    """Yield the inputs of each passage alone, by name."""
    for ids in passages.ids:
        inputs = _Texts(call, reader, [ids.tolist()]).inputs()
        yield {name: tensor.numpy() for name, tensor in inputs.items()}


def measured_cases(call: FlatCall, reader: TextReader) -> list[Case]:
    """Return what forms are measured on, with the module's outputs: a batch with padding, a text
    alone, and the last tokens of the batch behind a past where the model keeps one. Nothing was
    calibrated on these texts. Ids of no text give values that no calibration saw."""
    name, texts = _texts(reader)
    shorter = texts[0][: max(2, len(texts[0]) // 2)]
    batch = _Texts(call, reader, [shorter, *texts[1:]])
    alone = _Texts(call, reader, texts[-1:])
    found = [
        _case(call, f"{name}, {batch.sizes}, padded", batch.inputs()),
        _case(call, f"{name}, {alone.sizes}, alone", alone.inputs()),
    ]
    if batch.keeps_past:
        begun = _Texts(call, reader, [row[:-1] for row in batch.rows])
        what = f"{name}, {len(batch.rows)} × 1 behind {begun.width}, padded"
        found.append(_case(call, what, _last_tokens(batch, begun)))
    return found


@dataclass(frozen=True)
class _Texts:
    """Texts from their beginning, as a call takes them."""

    call: FlatCall
    reader: TextReader
    rows: Sequence[Sequence[int]]
    """Token ids of each text."""

    @property
    def width(self) -> int:
        return max(map(len, self.rows))

    @property
    def sizes(self) -> str:
        return f"{len(self.rows)} × {self.width}"

    @property
    def keeps_past(self) -> bool:
        return any(name.startswith(_PAST) for name in self.call.input_names)

    def inputs(self) -> dict[str, Tensor]:
        """Return the call's inputs by name: padded, and with a past of no tokens where the model
        takes one."""
        ids = torch.tensor([self._padded(row, self.reader.pad) for row in self.rows])
        mask = torch.tensor([self._padded([1] * len(row), 0) for row in self.rows])
        made = {
            "input_ids": ids,
            "attention_mask": mask,
            "token_type_ids": torch.zeros_like(ids),
            "position_ids": (mask.cumsum(1) - 1).clamp(min=0),
        }
        for name, example in zip(self.call.input_names, self.call.inputs, strict=True):
            if name.startswith(_PAST):
                _, heads, _, size = example.shape
                made[name] = example.new_zeros(len(self.rows), heads, 0, size)
        return {name: made[name] for name in self.call.input_names}

    def _padded(self, row: Sequence[int], filling: int) -> list[int]:
        padding = [filling] * (self.width - len(row))
        return [*padding, *row] if self.reader.pads_before else [*row, *padding]


def _last_tokens(whole: _Texts, begun: _Texts) -> dict[str, Tensor]:
    """Return the inputs of each text's last token behind the past that the module makes of the
    tokens before."""
    made = {
        name.replace(_PRESENT, _PAST, 1): tensor
        for name, tensor in _run(whole.call, begun.inputs()).items()
        if name.startswith(_PRESENT)
    }
    made["attention_mask"] = whole.inputs()["attention_mask"]
    return {name: made.get(name, every[:, -1:]) for name, every in whole.inputs().items()}


def _run(call: FlatCall, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    with torch.no_grad():
        outputs = call.module(*inputs.values())
    return dict(zip(call.output_names, outputs, strict=True))


def _case(call: FlatCall, name: str, inputs: Mapping[str, Tensor]) -> Case:
    width = inputs["input_ids"].shape[1]
    read = inputs["attention_mask"][:, -width:].bool()
    return Case(name, list(inputs.values()), list(_run(call, inputs).values()), read)


@dataclass(frozen=True)
class _Room:
    """Limits of a passage without the tokens around it."""

    vocab: int
    context_length: int


def _around(tokenizer: Tokenizer | None) -> tuple[list[int], list[int]]:
    """Return the tokens before and behind every text, such as [CLS] and [SEP]."""
    if tokenizer is None:
        return [], []
    for text in ("the", "a", "."):
        bare = tokenizer.encode(text, add_special_tokens=False).ids
        whole = tokenizer.encode(text, add_special_tokens=True).ids
        for at in range(len(whole) - len(bare) + 1):
            if bare and whole[at : at + len(bare)] == bare:
                return whole[:at], whole[at + len(bare) :]
    return [], []


def _texts(reader: TextReader) -> tuple[str, list[list[int]]]:
    """Return a name and token ids of texts: random ones where the tokenizer can't read the
    passages, or there is none."""
    start, end = _around(reader.tokenizer)
    longest = max(2, min(_TEXT_TOKENS, reader.context_length) - len(start) - len(end))
    if reader.tokenizer is not None:
        cutting = Cutting((), longest, _TEXTS * longest)
        found = tokenize_corpus(held_out_passages(), reader.tokenizer, cutting, reader.vocab)
        if corpus_unfit_reason(found, reader.vocab) is None and len(found.ids) >= _TEXTS:
            texts = [[*start, *ids.tolist(), *end] for ids in found.ids[:_TEXTS]]
            return "held-out text", texts
    drawn = np.random.default_rng(_SEED).integers(0, reader.vocab, (_TEXTS, longest))
    return "random ids", [[*start, *row, *end] for row in drawn.tolist()]
