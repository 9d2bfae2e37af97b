"""Checks that the logit lens reads each layer as PyTorch does."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.activation_names import LENS_KINDS, kinds, parse_name
from oriel.contract.data_files import GraphKind
from oriel.graph.taps import Tap
from oriel.verification.cases import Case, choose_lens_layers
from oriel.verification.checks import GraphFile
from oriel.verification.compare import lens_difference
from oriel.verification.run_onnx import OnnxGraph, with_taps
from oriel.verification.variant_run import VariantRun


def check_lens(run: VariantRun, graph: GraphFile, taps: Sequence[Tap]) -> None:
    """Check every layer at a small size, and as many as the budget holds at the longest."""
    run.on_stage("read every layer through the logit lens")
    budget = run.cases.budget
    groups = choose_lens_layers(run.cases.small, run.shape, budget)
    longest = choose_lens_layers(run.longest, run.shape, budget)[0]
    for layers in groups if longest in groups else [*groups, longest]:
        wanted = {kinds()["lens_ids"].at(layer) for layer in layers}
        data = with_taps(graph.data, [t for t in taps if t.outputs[0].name in wanted])
        session = OnnxGraph(graph.folder, data, "interactive", run.shape)
        if layers in groups:
            check_lens_case(run, session, run.cases.small, layers, "interactive")
        if layers == longest:
            check_lens_case(run, session, run.longest, layers, "interactive")


def check_lens_case(
    run: VariantRun, session: OnnxGraph, case: Case, layers: Sequence[int], graph: GraphKind
) -> None:
    """Check the lens of these layers in one case."""
    specs = [s for s in run.lens if (parse_name(s.name) or (None, -1))[1] in layers]
    # The lens reads every position, wherever logits start.
    ids = run.cases.ids[case]
    got = session.run(ids, [s.name for s in specs], logits_start=-1)
    run.check_values(graph, case, specs, got)
    resid = kinds()["resid_post"]
    stream = run.cases.values(case, [resid.at(layer) for layer in layers])
    for layer in layers:
        names = [kinds()[kind].at(layer) for kind in LENS_KINDS]
        if not all(name in got for name in names):
            continue
        read = run.cases.reference.lens(stream[resid.at(layer)])
        found = lens_difference(got[names[0]], got[names[1]], read)
        for name, gap in zip(names, found, strict=True):
            run.add(graph, name, gap, case)
