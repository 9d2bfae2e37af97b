"""int8 forms of an encoder's ONNX file: calibrated on text, written beside it, and measured against
the module in a fresh process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from oriel.arrays import Array
from oriel.bundle.passages import Cutting, Passages, corpus_unfit_reason, tokenize_corpus
from oriel.contract.documents import CalibrationRecord
from oriel.contract.library_files import graph_file
from oriel.errors import OptionError, OrielError
from oriel.formats.format import FlatCall
from oriel.formats.onnx_file import FORMAT as ONNX
from oriel.models.demo.bundled_text import held_out_passages
from oriel.modules.fallbacks import StageCallback, check_results, told
from oriel.modules.library_folder import SUFFIXES, LibraryFolder, TextReader
from oriel.modules.verify_module import Case, CaseResult, verify_file
from oriel.precision.calibration.calibration_text import calibration_passages
from oriel.precision.plain_model import INT8, Int8, PlainModel

if TYPE_CHECKING:
    from tokenizers import Tokenizer

FLAG = "--precision"
BOUNDS: Mapping[Int8, float] = {"int8": 0.1, "int8_static": 0.15}
"""{precision: largest relative error of an output}. Encoders of random weights lose 0.02 to 0.04,
and a scale or an axis that is wrong in one weight costs more than 0.3."""
_TEXTS, _TEXT_TOKENS = 4, 48
"""Number of texts that a form is measured on, and the longest one's tokens."""
_SEED = 5


@dataclass(frozen=True)
class QuantizedVariant:
    """What came of one int8 form."""

    precision: Int8
    file: Path | None
    """None where it failed."""
    error: str | None
    bytes: int = 0
    nodes: Mapping[str, int] | None = None
    """{operator: nodes of it} that compute on encoded weights."""
    recipe: str | None = None
    calibration: CalibrationRecord | None = None
    cases: tuple[CaseResult, ...] = ()


def check_precisions(
    precisions: Sequence[str], formats: Sequence[str], is_encoder: bool
) -> tuple[Int8, ...]:
    """Return the int8 forms among these precisions. Raises OptionError where there will be no file
    to quantize, or no text to do it by."""
    wanted = tuple(name for name in INT8 if name in precisions)
    if wanted and not is_encoder:
        raise OptionError(
            f"{FLAG} is for encoders of transformers",
            got=", ".join(wanted),
            expected="a Hub id, or a folder with its config.json",
            next_step="leave the option out.",
        )
    if wanted and ONNX.name not in formats:
        raise OptionError(
            f"{FLAG} is for ONNX files",
            got=f"the formats {', '.join(formats)}",
            expected="onnx among them",
            next_step="add it to --format, or leave the option out.",
        )
    return wanted


def quantized_variants(
    target: tuple[Path, Path],
    library: LibraryFolder,
    call: FlatCall,
    wanted: Sequence[Int8],
    on_stage: StageCallback,
) -> list[QuantizedVariant]:
    """Write int8 forms of a float32 file. target: the folder of the export, and the file. One form
    that fails leaves the others."""
    folder, file = target
    passages = _passages(library.reader)
    on_stage(f"onnx: encode in 8 bits, calibrated on {passages.name}")
    try:
        with PlainModel(file, _feeds(passages), passages) as model:
            cases = _cases(library.reader, call)
            return [_write(model, each, (folder, call, cases), on_stage) for each in wanted]
    except OrielError as error:
        return [QuantizedVariant(each, None, told(error)) for each in wanted]


def _write(
    model: PlainModel,
    precision: Int8,
    target: tuple[Path, FlatCall, Sequence[Case]],
    on_stage: StageCallback,
) -> QuantizedVariant:
    folder, call, cases = target
    file = folder / graph_file(SUFFIXES[precision])
    made = model.write(precision, file)
    on_stage(f"onnx: measure {precision} in a fresh process")
    results: tuple[CaseResult, ...] = ()
    error = None
    try:
        bound = BOUNDS[precision]
        results = tuple(verify_file(ONNX.name, file, call.output_names, cases, bound))
        check_results(results)
    except OrielError as raised:
        error = told(raised)
        on_stage(f"onnx: left {precision}: {error}")
    size = file.stat().st_size
    if error is not None:
        file.unlink()
    record = made.calibration.record.copy()
    if precision != "int8_static":
        # The method by which ranges were found says nothing about a form without any.
        record.pop("method", None)
    return QuantizedVariant(
        precision,
        None if error else file,
        error,
        0 if error else size,
        made.nodes,
        made.recipe,
        record,
        results,
    )


def _passages(reader: TextReader) -> Passages:
    """Return passages to calibrate on, each with the tokens that the tokenizer puts around it."""
    start, end = _around(reader.tokenizer)
    room = _Room(reader.vocab, max(2, reader.context_length - len(start) - len(end)))
    found = calibration_passages(room, reader.tokenizer, (), None)
    whole = [np.array([*start, *ids, *end], np.int64) for ids in found.ids]
    return Passages(found.name, tuple(whole))


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


def _feeds(passages: Passages) -> Iterator[dict[str, Array]]:
    for ids in passages.ids:
        tokens = ids[None]
        yield {
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "token_type_ids": np.zeros_like(tokens),
        }


def _cases(reader: TextReader, call: FlatCall) -> list[Case]:
    """Return what forms are measured on, with the module's outputs: a batch with padding and a text
    alone, that nothing was calibrated on. Ids of no text give values that no calibration saw."""
    name, texts = _texts(reader)
    shorter = texts[0][: max(2, len(texts[0]) // 2)]
    found = []
    for what, rows in (("padded", [shorter, *texts[1:]]), ("alone", texts[-1:])):
        width = max(map(len, rows))
        made = {
            "input_ids": [[*row, *[reader.pad] * (width - len(row))] for row in rows],
            "attention_mask": [[1] * len(row) + [0] * (width - len(row)) for row in rows],
            "token_type_ids": [[0] * width for _ in rows],
        }
        inputs = [torch.tensor(made[each]) for each in call.input_names]
        with torch.no_grad():
            outputs = call.module(*inputs)
        found.append(Case(f"{name}, {len(rows)} × {width}, {what}", inputs, list(outputs)))
    return found


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
