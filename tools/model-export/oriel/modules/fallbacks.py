"""One format's file: its ways of being written are tried in order, and a way counts only once its
file was verified in a fresh process."""

from __future__ import annotations

import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oriel.formats import formats_by_name
from oriel.formats.format import FlatCall, Format, Way, WriteOptions
from oriel.formats.simplify_onnx import GraphSize
from oriel.modules.check_file import check_file
from oriel.modules.exporter_reason import told
from oriel.modules.fixed_sizes import fixed_size_cases
from oriel.modules.quantized_variant import QuantizedVariant
from oriel.modules.verify_module import Case, CaseResult, check_results, verify_file
from oriel.modules.written_files import entries_of, files_in, remove
from oriel.stage_callback import StageCallback

_PACKAGE = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class LeftWay:
    """A way that was tried, and the reason for leaving it."""

    way: str
    reason: str


@dataclass(frozen=True)
class Simplification:
    """The outcome of simplifying a file."""

    before: GraphSize | None
    """None where the file could not be read."""
    after: GraphSize | None
    """None where the simplifier wrote nothing."""
    reason: str | None
    """The reason for keeping the file as it was; None where the simplified one took its place."""


@dataclass(frozen=True)
class ExportedFile:
    """The outcome of one format."""

    format: str
    file: Path | None
    """None where every way failed."""
    way: str | None
    left: tuple[LeftWay, ...]
    opset: int | None = None
    cases: tuple[CaseResult, ...] = ()
    fixed: tuple[str, ...] = ()
    """Limits of the file: branches that it takes as the example did, sizes beyond a bound."""
    fixed_sizes: bool = False
    """The file takes the example's sizes alone."""
    bytes: int = 0
    """Bytes of the file and of those beside it."""
    simplification: Simplification | None = None
    """The outcome of simplifying it, where that was asked for."""
    entries: tuple[Path, ...] = ()
    """The file and what lies beside it for it."""
    not_verified: str | None = None
    """The reason for not having run the file: this machine can't."""
    checks: tuple[str, ...] = ()
    """The comparisons made without running it."""
    variants: tuple[QuantizedVariant, ...] = ()
    """Its int8 forms."""
    seconds: float = field(default=0.0, compare=False)

    @property
    def error(self) -> str | None:
        """The reasons in one line; None where a file was written, and verified where this machine
        can run it."""
        if self.file is not None:
            return None
        return "; ".join(f"{left.way}: {left.reason}" for left in self.left)


def write_format(
    target: tuple[Format, Path],
    call: FlatCall,
    options: WriteOptions,
    cases: Sequence[Case],
    on_stage: StageCallback,
) -> ExportedFile:
    """Write and verify a file, by the first way that gives a right one.

    target: the format, and the place of its file. A file that fails is removed.
    """
    form, own = target
    start = time.monotonic()
    left: list[LeftWay] = []
    for way in form.ways(call, options):
        on_stage(f"{form.name}: {way.name}")
        file = own if way.written_as is None else _stand_in(own, form, way.written_as)
        try:
            fixed = tuple(way.write(call, file, options))
            fit = fixed_size_cases(call, cases) if way.fixed_sizes else cases
            results, checks = _prove(form, file, (call, way), fit, on_stage)
            opset = form.opset(file)
        except Exception as error:
            # Exporters raise errors of every class; a defect of this program is none of theirs.
            remove(entries_of(form, file))
            if _is_own_defect(error):
                raise
            left.append(LeftWay(way.name, told(error)))
            on_stage(f"{form.name}: left {way.name}: {left[-1].reason}")
            continue
        entries = entries_of(form, file)
        return ExportedFile(
            form.name,
            file,
            way.name,
            tuple(left),
            opset,
            tuple(results),
            fixed,
            way.fixed_sizes,
            sum(each.stat().st_size for each in files_in(entries)),
            entries=tuple(entries),
            not_verified=form.unrunnable(),
            checks=tuple(checks),
            seconds=time.monotonic() - start,
        )
    return ExportedFile(form.name, None, None, tuple(left), seconds=time.monotonic() - start)


def _stand_in(own: Path, form: Format, written_as: str) -> Path:
    suffix = formats_by_name()[written_as].suffix
    return own.with_name(f"{own.name.removesuffix(form.suffix)}.{form.name}{suffix}")


def _prove(
    form: Format,
    file: Path,
    written: tuple[FlatCall, Way],
    cases: Sequence[Case],
    on_stage: StageCallback,
) -> tuple[Sequence[CaseResult], Sequence[str]]:
    """Run a file, or check it where nothing can run it here. Raises OrielError where it is wrong.

    written: the call, and the way that the file was written.
    """
    call, way = written
    if way.written_as is None and form.proven_by_check:
        on_stage(f"{form.name}: check in a fresh process")
        return (), check_file(form.name, file, call, cases[0].outputs, way.fixed_sizes)
    on_stage(f"{form.name}: verify in a fresh process")
    results = verify_file(way.written_as or form.name, file, call.output_names, cases)
    check_results(results)
    return results, ()


def _is_own_defect(error: Exception) -> bool:
    """Return whether a programming error was raised by code of this package itself."""
    if not isinstance(error, NameError | AttributeError | TypeError | LookupError | AssertionError):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and Path(frames[-1].filename).is_relative_to(_PACKAGE)
