"""The result of `oriel convert` for people and as JSON: one table for all modules."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from oriel.contract.json_value import JsonObject
from oriel.errors import first_few
from oriel.modules.convert import Conversion
from oriel.modules.fallbacks import ExportedFile
from oriel.modules.quantized_variant import QuantizedVariant
from oriel.modules.verify_module import CaseResult

Row = tuple[str, ...]
_HEADINGS = ("module", "format", "result", "way", "opset", "relative", "absolute", "file")
_SIZES = ("nodes", "bytes")


def conversion_rows(done: Sequence[Conversion]) -> list[Row]:
    """Return a row for each module and format; one row for a module that couldn't be exported."""
    rows: list[Row] = []
    for conversion in done:
        if conversion.report is None:
            rows.append((conversion.name, "", "refused", "", "", "", "", ""))
            continue
        for file in conversion.report.files:
            rows.append(_row(conversion.name, file))
            rows += [_variant_row(conversion.name, file, each) for each in file.variants]
    return rows


def _row(name: str, file: ExportedFile) -> Row:
    return (
        name,
        file.format,
        _result(file),
        file.way or "",
        "" if file.opset is None else str(file.opset),
        *_worst(file.cases),
        "" if file.file is None else str(file.file),
    )


def _result(file: ExportedFile) -> str:
    if file.file is None:
        return "failed"
    return "verified" if file.not_verified is None else "not verified"


def _variant_row(name: str, file: ExportedFile, variant: QuantizedVariant) -> Row:
    return (
        name,
        f"{file.format} {variant.precision}",
        "measured" if variant.file else "failed",
        variant.recipe or "",
        "" if file.opset is None else str(file.opset),
        *_worst(variant.cases),
        "" if variant.file is None else str(variant.file),
    )


def _worst(cases: Sequence[CaseResult]) -> tuple[str, str]:
    """Return the largest relative and absolute error of any output."""
    worst = [output for case in cases for output in case.outputs]
    relative = max((output.relative or 0.0 for output in worst), default=None)
    absolute = max((output.absolute or 0.0 for output in worst), default=None)
    return _number(relative), _number(absolute)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"


def _sizes(done: Sequence[Conversion]) -> list[Row]:
    """Return nodes and bytes, before and after, for each row; nothing where no file was to be
    simplified or quantized."""
    rows: list[Row] = [_SIZES]
    for conversion in done:
        files = () if conversion.report is None else conversion.report.files
        for file in files:
            rows += [_sizes_of(file), *(("", f"{each.bytes:,}") for each in file.variants)]
        rows += [] if files else [("", "")]
    return rows if any(any(row) for row in rows[1:]) else []


def _sizes_of(file: ExportedFile) -> Row:
    found = file.simplification
    if found is None or found.before is None:
        return ("", f"{file.bytes:,}" if file.variants else "")
    before, after = found.before, found.after
    if after is None or found.reason is not None:
        return (f"{before.nodes}", f"{before.bytes:,}")
    return (f"{before.nodes} → {after.nodes}", f"{before.bytes:,} → {after.bytes:,}")


def print_conversions(done: Sequence[Conversion], console: Console | None = None) -> None:
    """Print the table, then the reasons: for a way that was left, a format that failed, and a
    module that was refused."""
    console = console or Console()
    lines = [_HEADINGS, *conversion_rows(done)]
    if sizes := _sizes(done):
        lines = [(*line[:-1], *size, line[-1]) for line, size in zip(lines, sizes, strict=True)]
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        _say(console, "  ".join(cells).rstrip())
    for conversion in done:
        for reason in _reasons(conversion):
            _say(console, reason)
    failed = sum(conversion.exit_code != 0 for conversion in done)
    files = [each for one in done if one.report is not None for each in one.report.files]
    unproven = sum(file.file is not None and file.not_verified is not None for file in files)
    but = f", but for {unproven} of their files, which this machine can't run" if unproven else ""
    _say(console, f"{len(done) - failed} of {len(done)} modules exported and verified{but}")


def _reasons(conversion: Conversion) -> list[str]:
    if conversion.report is None:
        return [f"{conversion.name}: {conversion.error}"]
    notes = [f"{conversion.name}: {note}" for note in conversion.report.metadata["notes"]]
    for file in conversion.report.files:
        outcome = f"written by {file.way}" if file.file else "failed"
        notes += [
            f"{conversion.name}, {file.format}: {outcome}; left {left.way}: {left.reason}"
            for left in file.left
        ]
        where = f"{conversion.name}, {file.format}"
        if file.simplification is not None and file.simplification.reason is not None:
            notes.append(f"{where}: kept as it was written: {file.simplification.reason}")
        if file.file is not None and file.not_verified is not None:
            notes.append(f"{where}: not verified: {file.not_verified}")
        notes += [f"{where}: checked without running it: {check}" for check in file.checks]
        notes += [
            f"{where} {each.precision}: failed: {each.error}"
            for each in file.variants
            if each.error is not None
        ]
        if file.fixed:
            notes.append(f"{where}: the file is fixed or limited here: {first_few(file.fixed)}")
    if conversion.report.earlier_stays:
        notes.append(
            f"{conversion.name}: no format was written, so that the earlier export in "
            f"{conversion.report.folder} stays as it was"
        )
    return notes


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)


def conversions_to_json(done: Sequence[Conversion]) -> JsonObject:
    """Return the same as JSON."""
    return {
        "modules": [
            {
                "name": conversion.name,
                "error": None if conversion.error is None else str(conversion.error),
                "folder": None if conversion.report is None else str(conversion.report.folder),
                "export_success": {}
                if conversion.report is None
                else {file.format: file.error is None for file in conversion.report.files},
                "not_verified": {}
                if conversion.report is None
                else {
                    file.format: file.not_verified
                    for file in conversion.report.files
                    if file.file is not None and file.not_verified is not None
                },
            }
            for conversion in done
        ]
    }
