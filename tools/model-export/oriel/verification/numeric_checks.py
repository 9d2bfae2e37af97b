"""Runs a variant's graphs and compares what they compute with PyTorch's values and with each other.
The files named after a graph, interventions or the lens do the steps; here they stand in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from oriel.contract.data_files import GraphKind
from oriel.graph.taps import Tap
from oriel.runtime.onnx_graph import Arrays
from oriel.verification.cached_checks import check_cached_graph, check_longest
from oriel.verification.checks import GraphFile
from oriel.verification.lens_checks import check_lens
from oriel.verification.open_checks import check_open
from oriel.verification.plain_checks import check_plain, check_selectable
from oriel.verification.static_checks import check_static
from oriel.verification.variant_comparison import VariantComparison


def check_numbers(
    compared: VariantComparison, graphs: Mapping[GraphKind, GraphFile], taps: Sequence[Tap]
) -> None:
    """Check everything, one graph after the other: only one holds its weights in memory."""
    small: Arrays = {}
    plain = graphs.get("plain")
    if plain is not None:
        with compared.findings.guarded("plain_runs"):
            small = check_plain(compared, plain)
            compared.findings.passed("plain_runs", _sizes(compared))
        with compared.findings.guarded("plain_select"):
            check_selectable(compared, plain)
    cached = graphs.get("decoder") or graphs.get("interactive")
    if cached is not None:
        with compared.findings.guarded(f"{cached.kind}_runs"):
            check_cached_graph(compared, cached, taps, small)
            compared.findings.passed(f"{cached.kind}_runs", _sizes(compared))
        with compared.findings.guarded("longest_sequence"):
            check_longest(compared, cached, taps)
        with compared.findings.guarded("lens_runs"):
            check_lens(compared, cached, taps)
            compared.findings.passed("lens_runs")
    opened = graphs.get("open")
    if opened is not None:
        with compared.findings.guarded("open_runs"):
            check_open(compared, opened, cached, taps)
            compared.findings.passed("open_runs", _sizes(compared))
    static = graphs.get("static")
    if static is not None:
        with compared.findings.guarded("static_runs"):
            check_static(compared, static, opened, taps)
            compared.findings.passed("static_runs", _sizes(compared))


def _sizes(compared: VariantComparison) -> str:
    return f"batch×seq {', '.join(map(str, compared.cases.cases))}"
