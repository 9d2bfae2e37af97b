"""The table of decisions, read from decisions.json, and the page of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Choice:
    """One kind of file for a target."""

    format: str
    precision: str
    models: str
    """any, decoders or encoders."""
    bytes_per_parameter: float
    error: float | None
    """Relative error that such a file is held to; None where only its fidelity is."""
    why: str
    but: str
    command: str

    @property
    def name(self) -> str:
        return self.format if self.precision == "fp32" else f"{self.format} {self.precision}"


@cache
def decisions() -> Mapping[str, Sequence[Choice]]:
    """Return {target: its choices, the best first}."""
    file = Path(__file__).with_name("decisions.json")
    data = json.loads(file.read_text(encoding="utf-8"))
    return {target: [Choice(**row) for row in rows] for target, rows in data["targets"].items()}


def decisions_text() -> str:
    """Return the tables of docs/choosing.md, one for each target."""
    parts = []
    for target, choices in decisions().items():
        lines = [
            f"### {target}",
            "",
            "| file | for | bytes a parameter | relative error | because | but |",
            "|---|---|--:|--:|---|---|",
        ]
        for row in choices:
            error = "measure it" if row.error is None else f"at most {row.error:g}"
            size = f"{row.bytes_per_parameter:g}"
            cells = (row.name, row.models, size, error, row.why, row.but)
            lines.append(f"| {' | '.join(cells)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"
