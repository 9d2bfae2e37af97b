"""A finding of the diagnosis, as a line of text and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from oriel.contract.json_value import JsonObject
from oriel.errors import OrielError

Verdict = Literal["ok", "notice", "refused"]
Subject = Literal[
    "checkpoint", "architecture", "settings", "capture", "tensors", "tokenizer", "browser"
]


@dataclass(frozen=True)
class Finding:
    """One fact about a checkpoint: with `refused`, an export ends there."""

    subject: Subject
    verdict: Verdict
    what: str
    got: str | None = None
    expected: str | None = None
    next_step: str | None = None

    @property
    def line(self) -> str:
        """The finding in one line, as errors are written."""
        return str(
            OrielError(self.what, got=self.got, expected=self.expected, next_step=self.next_step)
        )

    def to_json(self) -> JsonObject:
        """Return the fields that are set."""
        said = {
            "subject": self.subject,
            "verdict": self.verdict,
            "what": self.what,
            "got": self.got,
            "expected": self.expected,
            "next": self.next_step,
        }
        return {name: text for name, text in said.items() if text is not None}


def refusal(subject: Subject, error: OrielError) -> Finding:
    """Return the finding that an export would end in this error."""
    return Finding(subject, "refused", error.what, error.got, error.expected, error.next_step)
