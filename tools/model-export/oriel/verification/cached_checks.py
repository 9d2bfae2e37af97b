"""Checks that run the decoder graph (interactive in contract 1.x): with every tap, on the longest
text, for some rows of logits alone, beside padding, and in pieces where it has a cache."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, kind_of, kinds, parse_name, present_name
from oriel.graph.taps import Tap
from oriel.runtime.onnx_graph import (
    Arrays,
    OnnxGraph,
    past_from,
    with_outputs_only,
    with_taps,
)
from oriel.verification.cases import Case, outputs_within_budget
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.compare import difference
from oriel.verification.edit_checks import check_edits_of_1
from oriel.verification.variant_comparison import VariantComparison


def check_cached_graph(
    compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap], plain: Arrays
) -> None:
    """Check every output of every case but the longest, and what caches or pads them.
    plain: the plain graph's outputs of the small case."""
    compared.on_stage(f"run the {graph.kind} graph with every tap open")
    closed = OnnxGraph(graph.folder, graph.data, graph.kind, compared.shape)
    check_session_ports(graph, compared.manifest, closed, compared.findings)
    del closed
    tapped = with_taps(graph.data, _without_lens(taps))
    session = OnnxGraph(graph.folder, tapped, graph.kind, compared.shape)
    absent = [s.name for s in compared.inner if s.name not in session.outputs]
    compared.findings.differences("taps_open", [f"{name} didn't open" for name in absent])
    names = [s.name for s in [*compared.inner, *compared.cache]]
    for case in compared.cases.cases:
        if case == compared.longest and case != compared.cases.small:
            continue
        got = session.run(compared.cases.ids[case], names)
        compared.compare_with_reference(graph.kind, case, compared.inner, got)
        _check_present(compared, case, got)
        if case == compared.cases.small:
            compared.measure_all(
                "plain_vs_cached",
                plain,
                got,
                compared.bounds.of("plain_vs_cached"),
                str(case),
            )
            with compared.findings.guarded("some_logits"):
                _check_some_logits(compared, session, case, got)
            with compared.findings.guarded("cached_vs_uncached"):
                _check_cached(compared, session, case, got, names)
            if graph.kind == "decoder":
                with compared.findings.guarded("padded_vs_alone"):
                    _check_padded(compared, session, case, names)
    if graph.kind == "interactive":
        compared.on_stage("intervene")
        with compared.findings.guarded("edits"):
            check_edits_of_1(compared, session)


def check_longest(compared: VariantComparison, graph: GraphFile, taps: Sequence[Tap]) -> None:
    """Check as many outputs of the longest text as fit; its last token also with the cache."""
    case = compared.longest
    compared.on_stage(f"run {case.seq} tokens")
    opened = _without_lens(taps)
    tapped = {"logits", *(spec.name for tap in opened for spec in tap.outputs)}
    tapped |= {spec.name for spec in graph.outputs}
    reachable = [spec for spec in compared.inner if spec.name in tapped]
    chosen = outputs_within_budget(reachable, case, compared.shape, compared.cases.budget)
    data = with_outputs_only(with_taps(graph.data, opened), [*chosen, *compared.cache])
    session = OnnxGraph(graph.folder, data, graph.kind, compared.shape)
    names = [s.name for s in [*chosen, *compared.cache]]
    ids = compared.cases.ids[case]
    got = session.run(ids, names)
    compared.compare_with_reference(graph.kind, case, chosen, got)
    if case.seq > 1 and compared.cache:
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


def _check_some_logits(
    compared: VariantComparison, session: OnnxGraph, case: Case, whole: Arrays
) -> None:
    """Check that logits of the last positions are those rows of all, and nothing else changes."""
    if compared.shape.pooled:
        compared.findings.not_applicable("some_logits", "its logits are of whole texts")
        return
    bound = compared.bounds.of("some_logits")
    for rows in (1, (case.seq + 1) // 2, case.seq):
        part = session.run(compared.cases.ids[case], ["logits", "final_norm"], rows=rows)
        want = {"logits": whole["logits"][:, -rows:], "final_norm": whole["final_norm"]}
        compared.measure_all("some_logits", part, want, bound, f"{case}, {rows} rows")


def _check_padded(
    compared: VariantComparison, session: OnnxGraph, case: Case, names: Sequence[str]
) -> None:
    """Check that a text padded on either side gives what it gives alone, also in the next call:
    but not there if padding on the right lies between a token and its window, which counts it."""
    if case.seq < 3:
        compared.findings.not_applicable("padded_vs_alone", "the model reads two tokens at most")
        return
    bound = compared.bounds.of("padded_vs_alone")
    windows = any(compared.shape.at(layer).window for layer in range(compared.shape.layers))
    full = compared.cases.ids[case]
    count = case.seq // 2
    # One more token is fed with the cache of those before, where there is one.
    short = full[:1, : count + bool(compared.cache)]
    alone = session.run(short, names)
    for side, padded in (
        ("left", slice(case.seq - 1 - count, case.seq - 1)),
        ("right", slice(count)),
    ):
        ids = full[:, : case.seq - 1].copy()
        mask = np.ones_like(ids)
        ids[0], mask[0] = ids[-1], 0
        ids[0, padded], mask[0, padded] = short[0, :count], 1
        first = session.run(ids, names, mask=mask)
        if not compared.cache:
            rows = range(padded.start or 0, padded.stop)
            got = _padded_rows(compared, first, rows, mask[0])
            want = {name: alone[name] for name in got}
            compared.measure_all("padded_vs_alone", got, want, bound, f"{case}, on the {side}")
            continue
        both = np.concatenate([mask, np.ones((len(ids), 1), dtype=np.int64)], axis=1)
        nexts = np.concatenate([short[:, -1:], full[1:, case.seq - 1 :]])
        past = past_from(first, compared.shape, case.seq - 1)
        second = session.run(nexts, names, past=past, mask=both)
        rows, last = range(padded.start or 0, padded.stop), range(1)
        calls = [(first, rows, range(count)), (second, last, range(count, count + 1))]
        for part, at, tokens in calls[:1] if windows and side == "right" else calls:
            got = _padded_rows(compared, part, at, both[0, : both.shape[1] - (part is first)])
            want = {n: _rows(n, alone[n], _axis(compared, n), tokens) for n in got}
            compared.measure_all("padded_vs_alone", got, want, bound, f"{case}, on the {side}")


def _padded_rows(compared: VariantComparison, part: Arrays, tokens: range, mask: Array) -> Arrays:
    """Return the activations of the first text for these tokens, without those of its padding."""
    found: Arrays = {}
    for name, value in part.items():
        if parse_name(name) is None:
            continue
        if kind_of(name) == "pooled" or (compared.shape.pooled and kind_of(name) == "logits"):
            found[name] = value[:1]
            continue
        index: list[slice | Array] = [slice(1), *[slice(None)] * (value.ndim - 1)]
        index[_axis(compared, name)] = slice(tokens.start, tokens.stop)
        rows = value[tuple(index)]
        if kind_of(name) in ("attn_scores", "attn_probs"):
            seen = np.flatnonzero(mask)
            upto = seen[: tokens.stop - tokens.start] if rows.shape[2] > 1 else seen
            rows = rows[..., upto]
        found[name] = rows
    return found


def _check_cached(
    compared: VariantComparison, session: OnnxGraph, case: Case, whole: Arrays, names: Sequence[str]
) -> None:
    """Run the text in pieces of several tokens and of one, each with the last one's cache."""
    if case.seq < 2 or not compared.cache:
        reason = "the model reads one token at most" if compared.cache else "it has no cache"
        compared.findings.not_applicable("cached_vs_uncached", reason)
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
    """Return the index of the dimension that counts tokens in a tensor's shape."""
    spec = next(s for s in [*compared.inner, *compared.cache] if s.name == name)
    counts = ("sequence_length", "num_logits", "total_sequence_length")
    return next(spec.shape.index(dimension) for dimension in counts if dimension in spec.shape)


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
