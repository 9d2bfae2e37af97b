"""Checks a lesson against a bundle: every step's state and claims, a line for each step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from oriel.contract.documents import ClaimRecord, LessonDocument, LessonStep, LessonText
from oriel.errors import OptionError, OrielError
from oriel.lessons.measure_claim import Measured, StateRun
from oriel.lessons.page_state import PageState, read_state
from oriel.runtime.bundle import Bundle


@dataclass(frozen=True)
class CheckedStep:
    """What came of a step."""

    number: int
    """From 1."""
    title: str
    measured: tuple[Measured, ...] = ()
    problem: str | None = None
    """Why its state or a claim isn't of this model."""

    @property
    def passed(self) -> bool:
        return self.problem is None and all(each.holds for each in self.measured)

    def line(self) -> str:
        """Return the step in a line."""
        said = [f"{'' if each.holds else 'NOT '}{each.says}" for each in self.measured]
        if self.problem is not None:
            said.append(self.problem)
        what = "; ".join(said) or "its state is of this model, and it claims nothing"
        return f"step {self.number} ({self.title}): {'holds' if self.passed else 'FAILS'}: {what}"


def check_lesson(
    lesson: LessonDocument, bundle: Path, variant: str | None = None
) -> Iterator[CheckedStep]:
    """Run each step's state on a bundle and measure its claims.

    variant: where a state names none; fp32 by default. Raises OptionError for a bundle of another
    model than the lesson's.
    """
    opened: dict[str | None, Bundle] = {}
    try:
        opened[variant] = Bundle(bundle, variant, threads=1)
        name = opened[variant].manifest.data["model"]["name"]
        if "model" in lesson and lesson["model"] != name:
            raise OptionError(
                "the lesson is of another model",
                got=name,
                expected=lesson["model"],
                next_step="give that model's bundle.",
            )
        for at, step in enumerate(lesson["steps"]):
            yield _check_step(at, step, (bundle, variant), opened)
    finally:
        for each in opened.values():
            each.close()


def _check_step(
    at: int,
    step: LessonStep,
    source: tuple[Path, str | None],
    opened: dict[str | None, Bundle],
) -> CheckedStep:
    title = text_in_english(step["title"])
    measured: list[Measured] = []
    try:
        states = [
            read_state(link) for link in (step["state"], step.get("done")) if link is not None
        ]
        claims = step["expect"]["claims"] if "expect" in step else []
        for state in states:
            run = _run(state, claims, source, opened)
        # They hold once the reader has done what the step asks for, which is its last state.
        measured += [run.measure(claim) for claim in claims]
    except OrielError as error:
        return CheckedStep(at + 1, title, tuple(measured), str(error))
    return CheckedStep(at + 1, title, tuple(measured))


def _run(
    state: PageState,
    claims: list[ClaimRecord],
    source: tuple[Path, str | None],
    opened: dict[str | None, Bundle],
) -> StateRun:
    folder, variant = source
    named = state.variant or variant
    if named not in opened:
        opened[named] = Bundle(folder, named, threads=1)
    return StateRun(opened[named], state, claims)


def text_in_english(text: LessonText) -> str:
    """Return a lesson's text in English, or as it is where it has but one language."""
    return text if isinstance(text, str) else text["en"]
