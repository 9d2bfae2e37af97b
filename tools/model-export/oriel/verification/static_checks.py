"""Checks the static graph: texts that grow in its cache call by call, with padding and up to its
last slot, must give what PyTorch gives, and what the open graph gives with a growing cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, joint_specs, kind_of, parse_name
from oriel.contract.variant_graphs import cache_length_of
from oriel.errors import GraphError
from oriel.graph.taps import Tap
from oriel.runtime.joint_edit import JointEdit, JointEdits
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, closings_of, past_from, with_taps
from oriel.runtime.static_graph import StaticGraph
from oriel.verification.cases import Case
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.reference_cases import SEED
from oriel.verification.variant_comparison import VariantComparison

_OF_ALL_TOKENS = ("attn_scores", "attn_probs")
"""Kinds whose last dimension is the keys; in a static graph it has one column for each slot."""


def check_static(
    compared: VariantComparison, graph: GraphFile, opened: GraphFile | None, taps: Sequence[Tap]
) -> None:
    """Check inputs and outputs, every activation call by call, padding, a full cache, and edits."""
    compared.on_stage("run the static graph")
    inner = [tap for tap in taps if not tap.outputs[0].name.endswith(LENS_KINDS)]
    length = cache_length_of(graph.record)
    tapped = with_taps(graph.data, inner)
    closed = OnnxGraph(graph.folder, graph.data, "static", compared.shape)
    check_session_ports(graph, compared.manifest, closed, compared.findings)
    del closed
    session = StaticGraph(graph.folder, tapped, compared.shape, length)
    case = _fitting(compared, length)
    names = [spec.name for spec in compared.inner]
    whole = {name: compared.cases.values(case, [name])[name] for name in names}
    bound = compared.bounds.of("edits")
    for start, end, got in _run(session, compared.cases.ids[case], names):
        want = {name: _rows(name, value, start, end) for name, value in whole.items()}
        got = {name: _without_empty_slots(name, value, end) for name, value in got.items()}
        where = f"{case}, {start} to {end}"
        compared.measure_all("static_vs_pytorch", got, want, bound, where)
    with compared.findings.guarded("static_padded"):
        _check_padded(compared, session, case, whole)
    with compared.findings.guarded("static_full"):
        _check_full(compared, session, length, graph, opened)
    del session
    if opened is not None:
        with compared.findings.guarded("static_vs_open"):
            _check_beside_open(compared, graph, opened, inner, case)


def _fitting(compared: VariantComparison, length: int) -> Case:
    """Return the small case, shortened to the slots of the cache."""
    small = compared.cases.small
    if small.seq <= length:
        return small
    fitting = [c for c in compared.cases.cases if c.seq <= length]
    return max(fitting, key=lambda c: (c.seq, c.batch))


def _ends(count: int) -> list[int]:
    """Return the end positions of calls: several tokens, one, one, and the rest."""
    first = max(1, count // 3)
    return sorted({min(end, count) for end in (first, first + 1, first + 2, count)})


def _run(
    session: StaticGraph, ids: Array, names: Sequence[str], mask: Array | None = None
) -> list[tuple[int, int, Arrays]]:
    """Run texts from their first token over whatever the cache still holds. Yield (start, end,
    outputs) of each call."""
    session.restart()
    found, start = [], 0
    for end in _ends(ids.shape[1]):
        part = None if mask is None else mask[:, start:end]
        found.append((start, end, session.run(ids[:, start:end], names, part)))
        start = end
    return found


def _axis(name: str) -> int:
    """Return the index of the dimension that counts the new tokens."""
    return 2 if kind_of(name) in ("q", "k", "v", "attn_z", *_OF_ALL_TOKENS) else 1


def _rows(name: str, whole: Array, start: int, end: int) -> Array:
    """Return the slice of a whole run's activation that the call for these tokens must give."""
    if name == "logits":
        start = end - 1
    index = [slice(None)] * whole.ndim
    index[_axis(name)] = slice(start, end)
    if kind_of(name) in _OF_ALL_TOKENS:
        index[-1] = slice(0, end)
    return whole[tuple(index)]


def _without_empty_slots(name: str, value: Array, end: int) -> Array:
    return value[..., :end] if kind_of(name) in _OF_ALL_TOKENS else value


def _check_padded(
    compared: VariantComparison, session: StaticGraph, case: Case, whole: Mapping[str, Array]
) -> None:
    """Check that a text after padding gives what PyTorch gives for the text alone."""
    if case.seq < 3 or case.batch < 2:
        compared.findings.not_applicable("static_padded", "the cache has two slots at most")
        return
    pad = case.seq // 3
    ids = compared.cases.ids[case].copy()
    mask = np.ones_like(ids)
    ids[0, pad:], mask[0, :pad] = compared.cases.ids[case][0, : case.seq - pad], 0
    bound = compared.bounds.of("edits")
    for start, end, got in _run(session, ids, list(whole), mask):
        first = max(start, pad)
        if first >= end:
            continue
        found, want = {}, {}
        for name, value in got.items():
            # Compare the text's own rows and columns; padding has shifted them.
            index = [slice(1), *[slice(None)] * (value.ndim - 1)]
            if name != "logits":
                index[_axis(name)] = slice(first - start, end - start)
            rows = value[tuple(index)]
            if kind_of(name) in _OF_ALL_TOKENS:
                rows = rows[..., pad:end]
            found[name] = rows
            want[name] = _rows(name, whole[name][:1], first - pad, end - pad)
        compared.measure_all("static_padded", found, want, bound, f"{case}, {start} to {end}")


def _check_full(
    compared: VariantComparison,
    session: StaticGraph,
    length: int,
    graph: GraphFile,
    opened: GraphFile | None,
) -> None:
    """Check the logits of the last slot's token, and that one more token is refused."""
    text = compared.cases.ids[compared.longest][:1]
    ids = np.take(text, np.arange(length), axis=1, mode="wrap")
    session.restart()
    if length > 1:
        session.run(ids[:, :-1], ["logits"])
    last = session.run(ids[:, -1:], ["logits"])
    try:
        session.run(ids[:, -1:], ["logits"])
    except GraphError:
        compared.findings.passed("static_full", f"{length} tokens, and no more")
    else:
        compared.findings.failed("static_full", f"it takes more than {length} tokens")
    if opened is None:
        return
    other = OnnxGraph(graph.folder, opened.data, opened.kind, compared.shape)
    want = _last_step(compared, other, ids)
    bound = compared.bounds.of("static_vs_open")
    compared.measure_all("static_vs_open", last, want, bound, f"the last of {length} tokens")


def _last_step(compared: VariantComparison, other: OnnxGraph, ids: Array) -> Arrays:
    """Return the logits of the last token, fed alone after the others."""
    names = ["logits", *(spec.name for spec in compared.cache)]
    if ids.shape[1] == 1:
        return other.run(ids, ["logits"], rows=1)
    before = other.run(ids[:, :-1], names, rows=1)
    past = past_from(before, compared.shape, ids.shape[1] - 1)
    return other.run(ids[:, -1:], ["logits"], past=past, rows=1)


def _check_beside_open(
    compared: VariantComparison,
    graph: GraphFile,
    opened: GraphFile,
    taps: Sequence[Tap],
    case: Case,
) -> None:
    """Compare the same calls of the static and the open graph, without edits and with every joint
    edited."""
    names = [spec.name for spec in compared.inner]
    ids = compared.cases.ids[case]
    bound = compared.bounds.of("static_vs_open")
    length = cache_length_of(graph.record)
    for edits, what in (((), ""), (_scales(compared), ", every joint scaled")):
        static = StaticGraph(
            graph.folder, with_taps(graph.data, taps), compared.shape, length, edits
        )
        calls = _run(static, ids, names)
        del static
        other = OnnxGraph(
            opened.folder,
            with_taps(opened.data, taps),
            opened.kind,
            compared.shape,
            closings=closings_of(edits),
        )
        past: Arrays | None = None
        for start, end, got in calls:
            wanted = [*names, *(spec.name for spec in compared.cache)]
            want = other.run(ids[:, start:end], wanted, edits, past=past, rows=1)
            past = past_from(want, compared.shape, end)
            got = {name: _without_empty_slots(name, value, end) for name, value in got.items()}
            compared.measure_all(
                "static_vs_open", got, want, bound, f"{case}, {start} to {end}{what}"
            )
        del other


def _scales(compared: VariantComparison) -> JointEdits:
    """Return an edit at every joint of every layer that scales it by a random factor."""
    rng = np.random.default_rng(SEED)
    edits = []
    for spec in joint_specs(compared.shape):
        found = parse_name(spec.name)
        assert found is not None and found[1] is not None
        factor = rng.uniform(0.8, 1.2, [1] * len(spec.shape)).astype(np.float32)
        edits.append(JointEdit(found[0].kind, found[1], "scale", {"scale": factor}))
    return tuple(edits)
