"""Checks that run the interactive graph: with every tap open, on the longest text, for some rows of
logits alone, and with a cache. intervention_checks.py changes heads and the stream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, kind_of, kinds, parse_name, present_name
from oriel.graph.taps import Tap
from oriel.verification.cases import Case, outputs_within_budget
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.compare import difference
from oriel.verification.intervention_checks import check_head_scales, check_resid_deltas
from oriel.verification.run_onnx import (
    Arrays,
    OnnxGraph,
    past_from,
    with_outputs_only,
    with_taps,
)
from oriel.verification.variant_comparison import VariantComparison


def check_interactive(
    compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap], plain: Arrays
) -> None:
    """Check every output of every case but the longest, and what changes or caches them.
    plain: the plain graph's outputs of the small case."""
    compared.on_stage("run the interactive graph with every tap open")
    closed = OnnxGraph(graph.folder, graph.data, "interactive", compared.shape)
    check_session_ports(graph, compared.manifest, closed, compared.findings)
    del closed
    tapped = with_taps(graph.data, _without_lens(taps))
    session = OnnxGraph(graph.folder, tapped, "interactive", compared.shape)
    absent = [s.name for s in compared.inner if s.name not in session.outputs]
    compared.findings.differences("taps_open", [f"{name} didn't open" for name in absent])
    names = [s.name for s in [*compared.inner, *compared.cache]]
    for case in compared.cases.cases:
        if case == compared.longest and case != compared.cases.small:
            continue
        got = session.run(compared.cases.ids[case], names)
        compared.compare_with_reference("interactive", case, compared.inner, got)
        _check_present(compared, case, got)
        if case == compared.cases.small:
            compared.measure_all(
                "plain_vs_interactive",
                plain,
                got,
                compared.bounds.of("plain_vs_interactive"),
                str(case),
            )
            with compared.findings.guarded("logits_start"):
                _check_logits_start(compared, session, case, got)
            with compared.findings.guarded("cached_vs_uncached"):
                _check_cached(compared, session, case, got, names)
    compared.on_stage("intervene")
    with compared.findings.guarded("head_scale"):
        check_head_scales(compared, session)
    with compared.findings.guarded("resid_delta"):
        check_resid_deltas(compared, session)


def check_longest(compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap]) -> None:
    """Check as many outputs of the longest text as fit; its last token also with the cache."""
    case = compared.longest
    compared.on_stage(f"run {case.seq} tokens")
    opened = _without_lens(taps)
    tapped = {"logits", *(spec.name for tap in opened for spec in tap.outputs)}
    reachable = [spec for spec in compared.inner if spec.name in tapped]
    chosen = outputs_within_budget(reachable, case, compared.shape, compared.cases.budget)
    data = with_outputs_only(with_taps(graph.data, opened), [*chosen, *compared.cache])
    session = OnnxGraph(graph.folder, data, "interactive", compared.shape)
    names = [s.name for s in [*chosen, *compared.cache]]
    ids = compared.cases.ids[case]
    got = session.run(ids, names)
    compared.compare_with_reference("interactive", case, chosen, got)
    if case.seq > 1:
        past = past_from(got, compared.shape, case.seq - 1)
        step = session.run(ids[:, -1:], names, past=past)
        _compare_rows(
            compared,
            "cached_vs_uncached",
            step,
            got,
            range(case.seq - 1, case.seq),
            f"{case}, last",
        )
    limit = (
        "" if case.seq == compared.shape.context_length else f" of {compared.shape.context_length}"
    )
    compared.findings.passed(
        "longest_sequence",
        f"{case.seq}{limit} tokens; {len(chosen)} of {len(compared.inner)} activations",
    )


def _check_present(compared: VariantComparison, case: Case, got: Arrays) -> None:
    """Check that present.* without a past is k and v."""
    for layer in range(compared.shape.layers):
        for part in ("key", "value"):
            name = present_name(layer, part)
            fed = kinds()[part[0]].at(layer)
            if name in got and fed in got:
                found = difference(got[name], got[fed])
                bound = compared.bounds.of("present")
                compared.findings.measure("present", found.relative, bound, f"{name}, {case}")


def _check_logits_start(
    compared: VariantComparison, session: OnnxGraph, case: Case, whole: Arrays
) -> None:
    """Check that logits of some positions are those rows of all, and nothing else changes."""
    bound = compared.bounds.of("logits_start")
    for start in (-1, case.seq // 2):
        part = session.run(compared.cases.ids[case], ["logits", "final_norm"], logits_start=start)
        want = {"logits": whole["logits"][:, start:], "final_norm": whole["final_norm"]}
        compared.measure_all("logits_start", part, want, bound, f"{case}, from {start}")


def _check_cached(
    compared: VariantComparison, session: OnnxGraph, case: Case, whole: Arrays, names: Sequence[str]
) -> None:
    """Run the text in pieces of several tokens and of one, each with the last one's cache."""
    if case.seq < 2:
        compared.findings.not_applicable("cached_vs_uncached", "the model reads one token at most")
        return
    first = max(1, case.seq // 3)
    ends = list(dict.fromkeys([first, first + 1, case.seq]))
    past: Arrays | None = None
    start = 0
    for end in ends:
        part = session.run(compared.cases.ids[case][:, start:end], names, past=past)
        where = f"{case}, {start} to {end}"
        _compare_rows(compared, "cached_vs_uncached", part, whole, range(start, end), where)
        past = past_from(part, compared.shape, end)
        start = end


def _compare_rows(
    compared: VariantComparison, check: str, part: Arrays, whole: Arrays, tokens: range, where: str
) -> None:
    """Compare outputs for these tokens with their rows of a run over all tokens."""
    expected = {
        name: _rows(name, value, _axis(compared, name), tokens)
        for name, value in whole.items()
        if name in part
    }
    compared.measure_all(check, part, expected, compared.bounds.of(check), where)


def _axis(compared: VariantComparison, name: str) -> int:
    """Return the index of `seq` in a tensor's shape; of `total` where there is no `seq`."""
    spec = next(s for s in [*compared.inner, *compared.cache] if s.name == name)
    return spec.shape.index("seq" if "seq" in spec.shape else "total")


def _rows(name: str, value: Array, axis: int, tokens: range) -> Array:
    """Return the part of a whole run that a run of these tokens must give."""
    index: list[slice] = [slice(None)] * value.ndim
    grows = parse_name(name) is None
    index[axis] = slice(0 if grows else tokens.start, tokens.stop)
    if kind_of(name) in ("attn_scores", "attn_probs"):
        index[-1] = slice(0, tokens.stop)
    return value[tuple(index)]


def _without_lens(taps: Iterable[Tap]) -> list[Tap]:
    return [tap for tap in taps if not tap.outputs[0].name.endswith(LENS_KINDS)]
