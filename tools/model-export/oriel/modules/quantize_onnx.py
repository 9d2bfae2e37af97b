"""int8 forms of the ONNX file of a model that reads text: calibrated on text, written beside it,
and measured against the module in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel.contract.documents import CalibrationRecord
from oriel.contract.library_files import graph_file
from oriel.errors import OptionError, OrielError
from oriel.formats.format import FlatCall
from oriel.formats.onnx_file import FORMAT as ONNX
from oriel.modules.fallbacks import StageCallback, check_results, told
from oriel.modules.library_folder import SUFFIXES, TextReader
from oriel.modules.text_cases import calibration_feeds, calibration_texts, measured_cases
from oriel.modules.verify_module import Case, CaseResult, verify_file
from oriel.precision.plain_model import INT8, Int8, PlainModel

FLAG = "--precision"
BOUNDS: Mapping[Int8, float] = {"int8": 0.1, "int8_static": 0.15}
"""{precision: largest relative error of an output}. Encoders of random weights lose 0.02 to 0.04,
and a scale or an axis that is wrong in one weight costs more than 0.3."""


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
    precisions: Sequence[str], formats: Sequence[str], reads_text: bool
) -> tuple[Int8, ...]:
    """Return the int8 forms among these precisions. Raises OptionError where there will be no file
    to quantize, or no text to do it by."""
    wanted = tuple(name for name in INT8 if name in precisions)
    if wanted and not reads_text:
        raise OptionError(
            f"{FLAG} is for models of transformers",
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
    reader: TextReader,
    call: FlatCall,
    wanted: Sequence[Int8],
    on_stage: StageCallback,
) -> list[QuantizedVariant]:
    """Write int8 forms of a float32 file. target: the folder of the export, and the file. One form
    that fails leaves the others."""
    folder, file = target
    passages = calibration_texts(reader)
    on_stage(f"onnx: encode in 8 bits, calibrated on {passages.name}")
    try:
        feeds = calibration_feeds(call, reader, passages)
        with PlainModel(file, feeds, passages) as model:
            cases = measured_cases(call, reader)
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
