"""An int8 form of a file, whichever tool wrote it: which formats have one, and how far it is from
the module, measured in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oriel.contract.documents import CalibrationRecord
from oriel.errors import OptionError, OrielError
from oriel.formats import formats_by_name
from oriel.formats.format import FlatCall, Format
from oriel.modules.exporter_reason import told
from oriel.modules.library_folder import TextReader
from oriel.modules.text_cases import measured_cases
from oriel.modules.verify_module import Case, CaseResult, check_results, verify_file
from oriel.modules.written_files import entries_of, files_in, remove
from oriel.precision.plain_model import INT8, Int8
from oriel.stage_callback import StageCallback

FLAG = "--precision"
BOUNDS: Mapping[Int8, float] = {"int8": 0.1, "int8_static": 0.15}
"""{precision: largest relative error of an output}. Encoders of random weights lose 0.02 to 0.04,
and a scale or an axis that is wrong in one weight costs more than 0.3."""


@dataclass(frozen=True)
class QuantizedVariant:
    """The outcome of one int8 form."""

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
    beside: tuple[Path, ...] = ()
    """Files that lie beside it and belong to it."""


def check_precisions(
    precisions: Sequence[str], formats: Sequence[str], reads_text: bool
) -> tuple[Int8, ...]:
    """Return the int8 forms among these precisions. Raises OptionError where there will be no file
    to quantize, no text to do it by, or no package to do it with."""
    wanted = tuple(name for name in INT8 if name in precisions)
    if wanted and not reads_text:
        raise OptionError(
            f"{FLAG} is for models of transformers",
            got=", ".join(wanted),
            expected="a Hub id, or a folder with its config.json",
            next_step="leave the option out.",
        )
    forms = [formats_by_name()[name] for name in formats]
    for precision in wanted:
        if not any(precision in forms_of(form, wanted) for form in forms):
            able = [f.name for f in formats_by_name().values() if precision in forms_of(f, INT8)]
            raise OptionError(
                f"{FLAG} {precision} is for {' and '.join(able)} files",
                got=f"the formats {', '.join(formats)}",
                expected=f"{' or '.join(able)} among them",
                next_step="add it to --format, or leave the precision out.",
            )
    for form in forms:
        if form.int8 is not None and forms_of(form, wanted):
            form.int8.package_paths()
    return wanted


def forms_of(form: Format, wanted: Sequence[Int8]) -> tuple[Int8, ...]:
    """Return those of the int8 forms that a format has."""
    if form.name == "onnx":
        return tuple(wanted)
    return tuple(name for name in wanted if name == "int8" and form.int8 is not None)


def compressed_variant(
    target: tuple[Format, Path], reader: TextReader, call: FlatCall, on_stage: StageCallback
) -> QuantizedVariant:
    """Write the int8 form that the format's own tool makes of a float32 file, and measure it.
    target: a format that has one, and the file."""
    form, file = target
    assert form.int8 is not None
    place = file.with_name(f"{file.name.removesuffix(form.suffix)}.int8{form.suffix}")
    on_stage(f"{form.name}: {form.int8.recipe}")
    recipe = form.int8.recipe
    try:
        form.int8.write(file, place)
    except OrielError as error:
        remove(entries_of(form, place))
        return QuantizedVariant("int8", None, told(error), recipe=recipe)
    variant = QuantizedVariant("int8", place, None, recipe=recipe)
    return measured((form, variant), call.output_names, measured_cases(call, reader), on_stage)


def measured(
    target: tuple[Format, QuantizedVariant],
    names: Sequence[str],
    cases: Sequence[Case],
    on_stage: StageCallback,
) -> QuantizedVariant:
    """Return a form that was written with its sizes and errors; without its files where it is too
    far off. target: the format and the form. names: of the outputs."""
    form, variant = target
    file, precision = variant.file, variant.precision
    assert file is not None
    on_stage(f"{form.name}: measure {precision} in a fresh process")
    entries = entries_of(form, file)
    results: tuple[CaseResult, ...] = ()
    try:
        results = tuple(verify_file(form.name, file, names, cases, BOUNDS[precision]))
        check_results(results)
    except OrielError as raised:
        on_stage(f"{form.name}: left {precision}: {told(raised)}")
        remove(entries)
        return replace(variant, file=None, error=told(raised), cases=results)
    size = sum(each.stat().st_size for each in files_in(entries))
    beside = tuple(each for each in entries if each != file)
    return replace(variant, bytes=size, cases=results, beside=beside)
