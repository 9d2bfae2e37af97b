"""Checks that run the plain graph: every output against PyTorch's, and every output that `oriel
select` can choose."""

from __future__ import annotations

from oriel.contract.activation_names import LENS_KINDS, kinds
from oriel.graph.select_outputs import open_graph, select_outputs
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, with_outputs_only
from oriel.verification.cases import outputs_within_budget
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.lens_checks import check_lens_case
from oriel.verification.variant_comparison import VariantComparison


def check_plain(compared: VariantComparison, graph: GraphFile) -> Arrays:
    """Check every output, in every case. Return those of the small case."""
    compared.on_stage("run the plain graph")
    session = OnnxGraph(graph.folder, graph.data, "plain", compared.shape)
    check_session_ports(graph, compared.manifest, session, compared.findings)
    outputs = [s for s in graph.outputs if not s.name.endswith(LENS_KINDS)]
    lens = {s.name for s in graph.outputs} - {s.name for s in outputs}
    small: Arrays = {}
    for case in compared.cases.cases:
        chosen = outputs_within_budget(outputs, case, compared.shape, compared.cases.budget)
        if len(chosen) < len(outputs):
            del session
            data = with_outputs_only(graph.data, chosen)
            session = OnnxGraph(graph.folder, data, "plain", compared.shape)
        got = session.run(compared.cases.ids[case], [s.name for s in chosen])
        compared.compare_with_reference("plain", case, chosen, got)
        if lens and case == compared.cases.small:
            layers = [i for i in range(compared.shape.layers) if kinds()["lens_ids"].at(i) in lens]
            check_lens_case(compared, session, case, layers, "plain")
        if case == compared.cases.small:
            small = got
    return small


def check_selectable(compared: VariantComparison, graph: GraphFile) -> None:
    """Check all outputs that `oriel select` can choose, from the plain graph as it is."""
    compared.on_stage("choose every output of the plain graph")
    specs = [s for s in [*compared.inner, *compared.lens] if s.name != "logits"]
    built = open_graph(graph.data, graph.path)
    chosen = select_outputs(built, [s.name for s in specs]).model.SerializeToString()
    session = OnnxGraph(graph.folder, chosen, "plain", compared.shape)
    case = compared.cases.small
    got = session.run(compared.cases.ids[case], [s.name for s in compared.inner])
    want = compared.cases.values(case, [s.name for s in compared.inner])
    bound = compared.bounds.of("plain_select")
    compared.measure_all("plain_select", got, want, bound, str(case))
