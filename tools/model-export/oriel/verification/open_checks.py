"""Checks that run the open graph: closed without edits it gives what the decoder graph gives, and
with edits what PyTorch gives."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.activation_names import LENS_KINDS
from oriel.graph.rotary_table import TABLE_ROUNDING, has_table
from oriel.graph.taps import Tap
from oriel.runtime.onnx_graph import OnnxGraph, with_taps
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.edit_checks import check_edits
from oriel.verification.said_edit_checks import check_said_edits
from oriel.verification.variant_comparison import VariantComparison


def check_open(
    compared: VariantComparison, graph: GraphFile, decoder: GraphFile | None, taps: Sequence[Tap]
) -> None:
    """Check ports, every activation without an edit, and every kind of edit."""
    compared.on_stage("close the joints of the open graph")
    shape = compared.shape
    inner = [tap for tap in taps if not tap.outputs[0].name.endswith(LENS_KINDS)]
    closed = OnnxGraph(graph.folder, graph.data, "open", shape)
    check_session_ports(graph, compared.manifest, closed, compared.findings)
    del closed
    case = compared.cases.small
    ids = compared.cases.ids[case]
    names = [spec.name for spec in [*compared.inner, *compared.cache]]
    session = OnnxGraph(graph.folder, with_taps(graph.data, inner), "open", shape)
    got = session.run(ids, names)
    del session
    compared.compare_with_reference("open", case, compared.inner, got)
    if decoder is not None:
        other = OnnxGraph(decoder.folder, with_taps(decoder.data, inner), decoder.kind, shape)
        want = other.run(ids, names)
        del other
        bound = compared.bounds.of("open_vs_decoder")
        if has_table(graph.model.graph):
            bound = max(bound, TABLE_ROUNDING)
        compared.measure_all("open_vs_decoder", got, want, bound, str(case))
    compared.on_stage("edit each joint")
    with compared.findings.guarded("edits"):
        check_edits(compared, graph, inner)
        check_said_edits(compared, graph)
