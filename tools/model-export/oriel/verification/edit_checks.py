"""Checks that edits at joints act as in PyTorch: each closing at each kind of joint, in turn at all
positions and at one, and with a cache; and one closing at every joint of every layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import (
    Kind,
    ModelShape,
    TensorSpec,
    activation_spec,
    kind_of,
    kinds,
    parse_name,
)
from oriel.graph.closings import IDENTITY, closing_rows
from oriel.graph.taps import Tap
from oriel.runtime.joint_edit import JointEdit, JointEdits
from oriel.runtime.onnx_graph import OnnxGraph, closings_of, past_from, with_taps
from oriel.verification.cases import Case
from oriel.verification.checks import GraphFile
from oriel.verification.reference_cases import SEED
from oriel.verification.variant_comparison import VariantComparison

_SEQ = "sequence_length"
_FAR = 3.0e38
"""A limit that no component reaches."""


def check_edits_of_1(compared: VariantComparison, session: OnnxGraph) -> None:
    """Check the two edits of contract 1.x: scaled heads, and vectors added to the stream."""
    rng = np.random.default_rng(SEED)
    for layer in range(compared.shape.layers):
        scale = rng.uniform(0, 2, (1, compared.shape.heads, 1, 1)).astype(np.float32)
        scale[0, layer % compared.shape.heads] = 0
        _compare(compared, session, (JointEdit("attn_z", layer, "scale", {"scale": scale}),))
        spec = activation_spec(kinds()["resid_post"].at(layer), compared.shape)
        assert spec is not None
        added = _tensors(compared, spec, "add", one=layer % 2 == 0, rng=rng)
        _compare(compared, session, (JointEdit("resid_post", layer, "add", added),))


def check_edits(compared: VariantComparison, graph: GraphFile, taps: list[Tap]) -> None:
    """Check every closing at every kind of joint, in layers that take turns.

    One session has a closing at all these joints; a run sets one of them, the others are neutral.
    """
    rng = np.random.default_rng(SEED)
    shape = compared.shape
    joints = [kind.kind for kind in kinds().values() if kind.joint and kind.present_in(shape)]
    for turn, closing in enumerate(name for name in closing_rows() if name != IDENTITY):
        every = [_in_turn(kinds()[k], shape, at + turn) for at, k in enumerate(joints)]
        directed = closing_rows()[closing].get("direction")
        places = [s for s in every if isinstance(s.shape[-1], int) or not directed]
        neutral = tuple(_edit(s, closing, _neutral(s, closing)) for s in places)
        names = {spec.name for spec in places}
        tapped = with_taps(graph.data, [t for t in taps if names & {s.name for s in t.outputs}])
        session = OnnxGraph(graph.folder, tapped, graph.kind, shape, closings=closings_of(neutral))
        for at, spec in enumerate(places):
            tensors = _tensors(compared, spec, closing, one=(at + turn) % 2 == 0, rng=rng)
            changed = _edit(spec, closing, tensors)
            edits = tuple(changed if e.joint == spec.name else e for e in neutral)
            _compare(compared, session, edits, changed)
        if places and compared.cache:
            _check_with_cache(compared, session, edits, changed)
        del session
    _check_every_joint(compared, graph, taps, rng)


def _in_turn(kind: Kind, shape: ModelShape, turn: int) -> TensorSpec:
    """Return the joint of a kind in one of the layers that have it."""
    layers = kind.layers_of(shape)
    return kind.spec(shape, layers[turn % len(layers)])


def _check_every_joint(
    compared: VariantComparison, graph: GraphFile, taps: list[Tap], rng: np.random.Generator
) -> None:
    """Check a run that scales every joint of every layer, each component by its own factor: layers
    that took no turn have their joints on the path of the computation too."""
    shape = compared.shape
    edits = tuple(
        _edit(spec, "scale", {"scale": rng.uniform(0.8, 1.2, _wide(spec)).astype(np.float32)})
        for layer in range(shape.layers)
        for kind in kinds().values()
        if kind.joint and kind.present_in(shape, layer)
        for spec in (kind.spec(shape, layer),)
    )
    tapped = with_taps(graph.data, taps)
    session = OnnxGraph(graph.folder, tapped, graph.kind, shape, closings=closings_of(edits))
    _compare(compared, session, edits)


def _compare(
    compared: VariantComparison,
    session: OnnxGraph,
    edits: JointEdits,
    changed: JointEdit | None = None,
) -> None:
    """Compare a run with these edits with PyTorch's; `changed` is the only one that isn't
    neutral."""
    effective = edits if changed is None else (changed,)
    joints = [edit.joint for edit in effective]
    if len(effective) > 1:
        # PyTorch's hooks edit resid_mid by changing what attention gives.
        joints = [joint for joint in joints if kind_of(joint) != "attn_output"]
    names = ["logits", "final_norm", *joints]
    ids = compared.cases.ids[compared.cases.small]
    got = session.run(ids, names, edits)
    want = compared.cases.edited(effective, names)
    where = "; ".join(f"{edit.closing} at {edit.joint}" for edit in effective[:2])
    if len(effective) > 2:
        where += f"; {len(effective) - 2} more"
    compared.measure_all("edits", got, want, compared.bounds.of("edits"), where)


def _check_with_cache(
    compared: VariantComparison, session: OnnxGraph, edits: JointEdits, changed: JointEdit
) -> None:
    """Check that the text in two pieces, each with its part of the edit, gives what the whole
    does."""
    case = compared.cases.small
    half = case.seq // 2
    if half == 0 or kind_of(changed.joint) in ("attn_scores", "attn_probs"):
        return
    ids = compared.cases.ids[case]
    names = ["logits", *(spec.name for spec in compared.cache)]
    spec = activation_spec(changed.joint, compared.shape)
    assert spec is not None
    first = session.run(ids[:, :half], names, _cut(edits, spec, slice(half)))
    past = past_from(first, compared.shape, half)
    second = session.run(ids[:, half:], names, _cut(edits, spec, slice(half, None)), past=past)
    got = {"logits": np.concatenate([first["logits"], second["logits"]], axis=1)}
    want = compared.cases.edited((changed,), ["logits"])
    where = f"{changed.closing} at {changed.joint}, in two calls"
    bound = max(compared.bounds.of("edits"), compared.bounds.of("cached_vs_uncached"))
    compared.measure_all("edits", got, want, bound, where)


def _cut(edits: JointEdits, spec: TensorSpec, positions: slice) -> JointEdits:
    """Return the edits with the tensors that have a row for each position cut to some of them."""
    axis = spec.shape.index(_SEQ)

    def part(value: Array) -> Array:
        if value.shape[axis] == 1:
            return value
        index: list[slice] = [slice(None)] * value.ndim
        index[axis] = positions
        return value[tuple(index)]

    return tuple(
        JointEdit(e.kind, e.layer, e.closing, {n: part(v) for n, v in e.tensors.items()})
        if e.joint == spec.name
        else e
        for e in edits
    )


def _edit(spec: TensorSpec, closing: str, tensors: Mapping[str, Array]) -> JointEdit:
    found = parse_name(spec.name)
    assert found is not None and found[1] is not None
    return JointEdit(found[0].kind, found[1], closing, tensors)


def _neutral(spec: TensorSpec, closing: str) -> dict[str, Array]:
    """Return the closing's tensors that leave the joint as it is, by the contract."""
    ones = [1] * len(spec.shape)
    return {
        row["name"]: np.full(ones, row["neutral"], bool if row["dtype"] == "bool" else np.float32)
        for row in closing_rows()[closing]["inputs"]
    }


def _tensors(
    compared: VariantComparison,
    spec: TensorSpec,
    closing: str,
    *,
    one: bool,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Draw tensors that change the joint about as much as it varies: at one position, or at all."""
    case = compared.cases.small
    values = compared.cases.values(case, [spec.name])[spec.name]
    seen = values[values > np.finfo(np.float32).min / 2]
    size = float(seen.std())
    drawn = dict(_draw(closing, _wide(spec), size, values, rng))
    if not one:
        return drawn
    axis = spec.shape.index(_SEQ)
    position = case.seq // 2
    return {
        name: _at_one(value, neutral, axis, case, position)
        for (name, value), neutral in zip(drawn.items(), _elsewhere(closing), strict=True)
    }


def _wide(spec: TensorSpec) -> list[int]:
    """Return the shape of one vector, or of one number where the last dimension changes from run
    to run: it is broadcast along positions and heads."""
    last = spec.shape[-1]
    return [1] * (len(spec.shape) - 1) + [last if isinstance(last, int) else 1]


def _draw(
    closing: str, wide: list[int], size: float, values: Array, rng: np.random.Generator
) -> Iterator[tuple[str, Array]]:
    narrow = [1] * len(wide)

    def unit() -> Array:
        vector = rng.normal(0, 1, wide)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    if closing == "add":
        yield "add", rng.normal(0, size, wide).astype(np.float32)
    elif closing == "scale":
        yield "scale", rng.uniform(0, 1, wide).astype(np.float32)
    elif closing == "replace":
        yield "value", rng.uniform(0, size, wide).astype(np.float32)
        yield "mask", np.ones(narrow, dtype=bool)
    elif closing == "project-out":
        yield "direction", unit()
        yield "amount", np.full(narrow, 1, dtype=np.float32)
    elif closing == "cap":
        direction = unit()
        yield "direction", direction
        # Half of the components are above.
        components = (values * direction).sum(axis=-1)
        yield "limit", np.full(narrow, np.median(components), dtype=np.float32)
    elif closing == "clamp":
        yield from _feature(values, rng)
    else:
        assert closing == "swap", f"no example of {closing}"
        yield "first", unit()
        yield "second", unit()
        yield "amount", np.ones(narrow, dtype=np.float32)


def _feature(values: Array, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    """Draw a feature that is active at some tokens. values: those of the joint."""
    rank = values.ndim
    wide = [1, *values.shape[1:-2], 1, values.shape[-1]]
    narrow = [1] * rank

    def unit() -> Array:
        vector = rng.normal(0, 1, wide)
        return (vector / np.linalg.norm(vector)).astype(np.float32)

    def one(value: float) -> Array:
        return np.full(narrow, value, dtype=np.float32)

    encoder = unit()
    components = (values * encoder).sum(axis=(1, -1) if rank == 4 else -1).reshape(-1)
    bias = -float(np.median(components))
    above = np.sort(components[components + bias > 0] + bias)
    # A feature jumps at its threshold: it lies where rounding moves no token over it.
    widest = int(np.diff(above).argmax()) if len(above) > 1 else 0
    threshold = float(above[widest : widest + 2].mean()) if len(above) > 1 else 0.0
    yield "encoder", encoder
    yield "bias", one(bias)
    yield "threshold", one(threshold)
    yield "direction", unit()
    yield "value", one(2 * float(components.std()))
    yield "amount", one(1)


def _elsewhere(closing: str) -> tuple[float | None, ...]:
    """Return the tensors' values at positions that stay as they are; None: those of all others."""
    return {
        "add": (0.0,),
        "scale": (1.0,),
        "replace": (None, 0.0),
        "project-out": (None, 0.0),
        "cap": (None, _FAR),
        "swap": (None, None, 0.0),
        "clamp": (None, None, None, None, None, 0.0),
    }[closing]


def _at_one(value: Array, neutral: float | None, axis: int, case: Case, position: int) -> Array:
    if neutral is None:
        return value
    shape = list(value.shape)
    shape[axis] = case.seq
    whole = np.full(shape, neutral, dtype=value.dtype)
    index: list[slice | int] = [slice(None)] * value.ndim
    index[axis] = slice(position, position + 1)
    whole[tuple(index)] = value
    return whole
