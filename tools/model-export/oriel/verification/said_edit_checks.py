"""Checks that edits as users say them, in random combinations, act as in PyTorch: at heads,
neurons, positions, pairs of tokens and texts, in one call and in two with a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import Kind, TensorSpec, kinds
from oriel.runtime.closing_slots import Slots, closings_in, slots_for
from oriel.runtime.edits import Add, Cap, Clamp, Edit, KnockOut, ProjectOut, Replace, Scale, Swap
from oriel.runtime.fed_text import FedText
from oriel.runtime.onnx_graph import OnnxGraph, past_from
from oriel.runtime.place_edits import place_edits
from oriel.verification.checks import GraphFile
from oriel.verification.reference_cases import SEED
from oriel.verification.variant_comparison import VariantComparison

_COMBINATIONS, _EDITS = 4, 5
"""Combinations that are tried, and the edits of each."""
_PAIRS = ("attn_scores", "attn_probs")


def check_said_edits(compared: VariantComparison, graph: GraphFile) -> None:
    """Compare runs with random edits with PyTorch's, in one call, and in two where nothing is of
    pairs of tokens."""
    shape = compared.shape
    ids = compared.cases.ids[compared.cases.small]
    text = FedText(ids, np.ones_like(ids))
    draw = _Draw(compared, np.random.default_rng(SEED))
    combinations = [draw.edits() for _ in range(_COMBINATIONS)]
    slots: Slots = {}
    for edits in combinations:
        slots = slots_for(slots, place_edits(edits, shape, text))
    session = OnnxGraph(
        graph.folder, graph.data, graph.kind, shape, closings=closings_in(slots, shape)
    )
    cache = [spec.name for spec in compared.cache]
    for edits in combinations:
        where = "; ".join(f"{type(edit).__name__} at {edit.name}" for edit in edits)
        want = compared.cases.said(edits, ["logits"])
        placed = tuple(place_edits(edits, shape, text))
        got = session.run(ids, ["logits"], placed)
        bound = compared.bounds.of("edits")
        compared.measure_all("edits", got, want, bound, where)
        half = text.seq // 2
        if half == 0 or not cache:
            continue
        first = FedText(ids[:, :half], text.mask[:, :half], goes_on=True)
        placed = tuple(place_edits(edits, shape, first))
        before = session.run(first.ids, ["logits", *cache], placed)
        second = FedText(ids[:, half:], text.mask)
        placed = tuple(place_edits(edits, shape, second))
        past = past_from(before, shape, half)
        after = session.run(second.ids, ["logits"], placed, past=past)
        joined = {"logits": np.concatenate([before["logits"], after["logits"]], axis=1)}
        bound = max(bound, compared.bounds.of("cached_vs_uncached"))
        compared.measure_all("edits", joined, want, bound, f"{where}, in two calls")


@dataclass(frozen=True)
class _Draw:
    """Draws edits that change their joints about as much as these vary."""

    compared: VariantComparison
    random: np.random.Generator

    def edits(self) -> list[Edit]:
        """Return edits at joints of different layers, one of them of a pair of tokens."""
        shape, random = self.compared.shape, self.random
        seq = self.compared.cases.small.seq
        joints = [kind for kind in kinds().values() if kind.joint and kind.present_in(shape)]
        made = [self._edit(joints[random.integers(len(joints))]) for _ in range(_EDITS)]
        if seq > 1:
            query = int(random.integers(1, seq))
            made.append(
                KnockOut(
                    layer=int(random.integers(shape.layers)),
                    head=int(random.integers(shape.heads)),
                    query=query,
                    key=int(random.integers(query)),
                )
            )
        return made

    def _edit(self, kind: Kind) -> Edit:
        random, case = self.random, self.compared.cases.small
        layers = kind.layers_of(self.compared.shape)
        layer = layers[random.integers(len(layers))]
        spec = kind.spec(self.compared.shape, layer)
        values = self.compared.cases.values(case, [spec.name])[spec.name]
        size = float(values[values > np.finfo(np.float32).min / 2].std())
        width = spec.shape[-1]

        def vector() -> Array:
            return random.normal(0, size, width if isinstance(width, int) else 1)

        where: dict[str, int] = {"layer": layer}
        if random.integers(2):
            where["position"] = int(random.integers(case.seq))
        if random.integers(2):
            where["row"] = int(random.integers(case.batch))
        if len(spec.shape) == 4:
            where["head"] = int(random.integers(int(spec.shape[1])))
        if kind.kind in _PAIRS:
            # One that every query sees: what is added for tokens to come isn't there in two calls.
            where["key"] = 0
        ways: list[Callable[[], Edit]] = [
            lambda: Scale(kind.kind, factor=float(random.uniform(0, 1.5)), **where),
            lambda: Add(kind.kind, vector=vector(), strength=0.5, **where),
        ]
        if kind.kind not in _PAIRS:
            ways.append(lambda: Replace(kind.kind, value=values[:1], from_run=None, **where))
        if isinstance(width, int):
            neuron = {"neuron": int(random.integers(width))}
            ways += [
                lambda: Scale(kind.kind, factor=0, **where, **neuron),
                lambda: ProjectOut(kind.kind, direction=vector(), **where),
                lambda: Cap(kind.kind, direction=vector(), limit=0, **where),
                lambda: Swap(kind.kind, first=vector(), second=vector(), **where),
                lambda: self._clamp(kind.kind, spec, size, where),
            ]
        return ways[random.integers(len(ways))]()

    def _clamp(self, joint: str, spec: TensorSpec, size: float, where: dict[str, int]) -> Clamp:
        """Return a feature set to a value: of one head, or of all heads of a token. Its threshold
        is 0, or one that no token reaches: other edits move the tokens, and it jumps there."""
        random = self.random
        count = int(spec.shape[-1])
        if len(spec.shape) == 4 and random.integers(2):
            where = {name: at for name, at in where.items() if name != "head"}
            count *= int(spec.shape[1])
        encoder, direction = (random.normal(0, count**-0.5, count) for _ in range(2))
        return Clamp(
            joint,
            encoder=encoder,
            bias=float(random.normal(0, size)),
            threshold=float(random.integers(2)) * 1e6 * size,
            direction=direction,
            value=float(random.normal(0, 4 * size)),
            **where,
        )
