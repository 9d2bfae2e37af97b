"""Checks that the logit lens reads each layer as PyTorch does."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.activation_names import LENS_KINDS, kinds, parse_name
from oriel.contract.data_files import GraphKind
from oriel.graph.taps import Tap
from oriel.runtime.onnx_graph import OnnxGraph, with_taps
from oriel.verification.cases import Case, choose_lens_layers
from oriel.verification.checks import GraphFile
from oriel.verification.compare import lens_difference
from oriel.verification.variant_comparison import VariantComparison


def check_lens(compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap]) -> None:
    """Check every layer at a small size, and as many as the budget holds at the longest."""
    compared.on_stage("read every layer through the logit lens")
    budget = compared.cases.budget
    groups = choose_lens_layers(compared.cases.small, compared.shape, budget)
    longest = choose_lens_layers(compared.longest, compared.shape, budget)[0]
    for layers in groups if longest in groups else [*groups, longest]:
        wanted = {kinds()["lens_ids"].at(layer) for layer in layers}
        data = with_taps(graph.data, [t for t in taps if t.outputs[0].name in wanted])
        session = OnnxGraph(graph.folder, data, graph.kind, compared.shape)
        if layers in groups:
            check_lens_case(compared, session, compared.cases.small, layers, graph.kind)
        if layers == longest:
            check_lens_case(compared, session, compared.longest, layers, graph.kind)


def check_lens_case(
    compared: VariantComparison,
    session: OnnxGraph,
    case: Case,
    layers: Sequence[int],
    graph: GraphKind,
) -> None:
    """Check the lens of these layers in one case."""
    specs = [s for s in compared.lens if (parse_name(s.name) or (None, -1))[1] in layers]
    # The lens reads every position, wherever logits start.
    ids = compared.cases.ids[case]
    got = session.run(ids, [s.name for s in specs], rows=1)
    compared.check_values(graph, case, specs, got)
    resid = kinds()["resid_post"]
    stream = compared.cases.values(case, [resid.at(layer) for layer in layers])
    for layer in layers:
        names = [kinds()[kind].at(layer) for kind in LENS_KINDS]
        if not all(name in got for name in names):
            continue
        read = compared.cases.reference.lens(stream[resid.at(layer)])
        found = lens_difference(got[names[0]], got[names[1]], read)
        for name, gap in zip(names, found, strict=True):
            compared.add(graph, name, gap, case)
