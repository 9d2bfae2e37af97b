"""The simplified form of an exported ONNX file: verified like any other, and dropped where it is no
better than the file."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from oriel.errors import OptionError, OrielError
from oriel.formats.format import FlatCall
from oriel.formats.onnx_file import FORMAT as ONNX
from oriel.formats.simplify_onnx import FLAG, graph_sizes, simplify_onnx
from oriel.modules.exporter_reason import told
from oriel.modules.fallbacks import ExportedFile, Simplification
from oriel.modules.verify_module import Case, check_results, verify_file
from oriel.stage_callback import StageCallback


def check_simplify(simplify: bool, formats: Sequence[str]) -> None:
    """Raise OptionError where there will be no file to simplify."""
    if simplify and ONNX.name not in formats:
        raise OptionError(
            f"{FLAG} is for ONNX files",
            got=f"the formats {', '.join(formats)}",
            expected="onnx among them",
            next_step="add it to --format, or leave the option out.",
        )


def simplified(
    exported: ExportedFile, call: FlatCall, cases: Sequence[Case], on_stage: StageCallback
) -> ExportedFile:
    """Put a simplified file in the place of an ONNX file, if it is sound, no larger and verified on
    the same cases. Return what is there now."""
    file = exported.file
    assert file is not None
    on_stage("onnx: simplify")
    with tempfile.TemporaryDirectory(dir=file.parent) as name:
        simpler = Path(name) / file.name
        try:
            simplify_onnx(file, simpler, (call.input_names, call.output_names))
            on_stage("onnx: verify the simplified file in a fresh process")
            results = verify_file(ONNX.name, simpler, call.output_names, cases)
            check_results(results)
        except OrielError as error:
            sizes = (*graph_sizes(simpler), None, None)
            on_stage(f"onnx: not simplified: {told(error)}")
            kept = Simplification(sizes[0], sizes[1], told(error))
            return replace(exported, simplification=kept)
        before, after = graph_sizes(simpler)
        simpler.replace(file)
    return replace(
        exported,
        opset=ONNX.opset(file),
        cases=tuple(results),
        bytes=file.stat().st_size,
        simplification=Simplification(before, after, None),
    )
