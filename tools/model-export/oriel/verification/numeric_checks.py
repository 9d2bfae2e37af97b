"""Runs a variant's graphs and compares what they compute with PyTorch's values and with each other.
The files named after a graph, interventions or the lens do the steps; here they stand in order."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.graph.taps import Tap
from oriel.verification.checks import GraphFile
from oriel.verification.interactive_checks import check_interactive, check_longest
from oriel.verification.lens_checks import check_lens
from oriel.verification.plain_checks import check_plain, check_selectable
from oriel.verification.run_onnx import Arrays
from oriel.verification.variant_comparison import VariantComparison


def check_numbers(
    compared: VariantComparison,
    plain: GraphFile | None,
    interactive: GraphFile | None,
    taps: Sequence[Tap],
) -> None:
    """Check everything, one graph after the other: only one holds its weights in memory."""
    small: Arrays = {}
    if plain is not None:
        with compared.findings.guarded("plain_runs"):
            small = check_plain(compared, plain)
            compared.findings.passed("plain_runs", _sizes(compared))
        with compared.findings.guarded("plain_select"):
            check_selectable(compared, plain)
    if interactive is not None:
        with compared.findings.guarded("interactive_runs"):
            check_interactive(compared, interactive, taps, small)
            compared.findings.passed("interactive_runs", _sizes(compared))
        with compared.findings.guarded("longest_sequence"):
            check_longest(compared, interactive, taps)
        with compared.findings.guarded("lens_runs"):
            check_lens(compared, interactive, taps)
            compared.findings.passed("lens_runs")


def _sizes(compared: VariantComparison) -> str:
    return f"batch×seq {', '.join(map(str, compared.cases.cases))}"
