"""Prints an examination: a line for each finding, and the verdict."""

from __future__ import annotations

from oriel.doctor.examine import Examination

_WORDS = {"ok": "ok", "notice": "notice", "refused": "REFUSED"}


def report_lines(examination: Examination) -> list[str]:
    """Return the lines of the report."""
    lines = [
        f"{_WORDS[finding.verdict]:<8} {finding.subject:<13} {finding.line}"
        for finding in examination.findings
    ]
    refused = sum(finding.verdict == "refused" for finding in examination.findings)
    name = examination.found.name
    if examination.works:
        lines.append(f"{name} can be exported: oriel export --model {examination.found.id}")
    else:
        problems = "1 problem" if refused == 1 else f"{refused} problems"
        lines.append(f"{name} can't be exported: {problems}")
    return lines
