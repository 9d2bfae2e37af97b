"""The choice of a file for a target: by the table of decisions, or by what a pipeline measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oriel.errors import OptionError
from oriel.pipeline.rows import PipelineRow, case_names
from oriel.recommend.decisions import Choice, decisions

_PROVEN = ("verified", "measured")


@dataclass(frozen=True)
class Wish:
    """Everything that is asked of the file."""

    target: str
    max_mb: float | None = None
    max_error: float | None = None
    """Largest relative error."""
    models: str | None = None
    """decoders or encoders; None for either."""
    parameters: float | None = None


@dataclass(frozen=True)
class Advice:
    """The file that is recommended, or none, and the reasons."""

    choice: Choice | None
    reasons: tuple[str, ...]
    left: tuple[str, ...]
    """Each choice that was left, with the reason."""


def recommend(wish: Wish, rows: Sequence[PipelineRow] = ()) -> Advice:
    """Choose for a target. rows: of a pipeline; its measurements then decide, and nothing that it
    didn't make is recommended. Raises OptionError for an unknown target and for a size that can't
    be known."""
    if wish.target not in decisions():
        raise OptionError(
            "there is no such target",
            got=wish.target,
            expected=f"one of {', '.join(decisions())}",
        )
    if rows:
        return _by_rows(wish, rows)
    if wish.max_mb is not None and wish.parameters is None:
        raise OptionError(
            "--max-mb needs the size of the model",
            got="neither --parameters nor --measured",
            expected="--parameters 124M, or --measured DIR/pipeline.json",
        )
    return _by_table(wish)


def _fitting(wish: Wish) -> Iterator[Choice]:
    for choice in decisions()[wish.target]:
        if wish.models in (None, choice.models) or choice.models == "any":
            yield choice


def _by_table(wish: Wish) -> Advice:
    left: list[str] = []
    for choice in _fitting(wish):
        problem = _table_problem(choice, wish)
        if problem is None:
            reasons = [choice.why, f"but {choice.but}"]
            if wish.parameters is not None:
                reasons.append(f"about {_megabytes(choice, wish.parameters):,.0f} MB")
            reasons.append("nothing was measured: `oriel pipeline` shows what holds of your model")
            return Advice(choice, tuple(reasons), tuple(left))
        left.append(f"{choice.name}: {problem}")
    return Advice(None, (), tuple(left))


def _table_problem(choice: Choice, wish: Wish) -> str | None:
    if wish.max_mb is not None and wish.parameters is not None:
        size = _megabytes(choice, wish.parameters)
        if size > wish.max_mb:
            return f"about {size:,.0f} MB, and {wish.max_mb:,.0f} are allowed"
    if wish.max_error is not None and (choice.error is None or choice.error > wish.max_error):
        known = "isn't bounded" if choice.error is None else f"may be {choice.error:g}"
        return f"its error {known}, and {wish.max_error:g} is allowed; measure it"
    return None


def _megabytes(choice: Choice, parameters: float) -> float:
    return parameters * choice.bytes_per_parameter / 1e6


def _by_rows(wish: Wish, rows: Sequence[PipelineRow]) -> Advice:
    made = {(row.format, row.precision): row for row in rows}
    left: list[str] = []
    sound: list[tuple[Choice, PipelineRow]] = []
    for choice in _fitting(wish):
        row = made.get((choice.format, choice.precision))
        problem = "the pipeline didn't make it" if row is None else _row_problem(row, wish)
        if row is None or problem is not None:
            left.append(f"{choice.name}: {problem}")
        else:
            sound.append((choice, row))
    if not sound:
        return Advice(None, (), tuple(left))
    case = next(iter(case_names([row for _, row in sound])), None)
    choice, row = min(sound, key=lambda pair: _seconds(pair[1], case))
    for other, slower in sound:
        if other is not choice:
            left.append(f"{other.name}: {_told(slower, case)}")
    return Advice(choice, (f"{_told(row, case)}, the fastest of its kind", choice.why), tuple(left))


def _row_problem(row: PipelineRow, wish: Wish) -> str | None:
    if row.verdict not in _PROVEN:
        return f"{row.verdict}: {row.reason}"
    if wish.max_mb is not None and (row.bytes or 0) > wish.max_mb * 1e6:
        return f"{(row.bytes or 0) / 1e6:,.1f} MB, and {wish.max_mb:,.0f} are allowed"
    if wish.max_error is not None and (row.relative is None or row.relative > wish.max_error):
        return f"its relative error is {row.relative}, and {wish.max_error:g} is allowed"
    return None


def _seconds(row: PipelineRow, case: str | None) -> float:
    if row.measured is None or case is None or case not in row.measured.seconds:
        return float("inf")
    return row.measured.seconds[case].median


def _told(row: PipelineRow, case: str | None) -> str:
    size = f"{(row.bytes or 0) / 1e6:,.1f} MB"
    error = "" if row.relative is None else f", relative error {row.relative:.1e}"
    seconds = _seconds(row, case)
    speed = f", {seconds * 1e3:.1f} ms for {case}" if seconds < float("inf") else ", not timed"
    return f"{size}{error}{speed}"
