"""int8 forms of the ONNX file of a model that reads text: calibrated on text, written beside it,
and measured against the module in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oriel.contract.library_files import graph_file
from oriel.errors import OrielError
from oriel.formats.format import FlatCall
from oriel.formats.onnx_file import FORMAT as ONNX
from oriel.modules.exporter_reason import told
from oriel.modules.library_folder import SUFFIXES, TextReader
from oriel.modules.quantized_variant import QuantizedVariant, measured
from oriel.modules.text_cases import calibration_feeds, calibration_texts, measured_cases
from oriel.modules.verify_module import Case
from oriel.precision.plain_model import Int8, PlainModel
from oriel.stage_callback import StageCallback


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
    record = made.calibration.record.copy()
    if precision != "int8_static":
        # The method by which ranges were found says nothing about a form without any.
        record.pop("method", None)
    variant = QuantizedVariant(precision, file, None, 0, made.nodes, made.recipe, record)
    return measured((ONNX, variant), call.output_names, cases, on_stage)
