"""Checks that scaled heads and vectors added to the residual stream act as in PyTorch."""

from __future__ import annotations

import numpy as np

from oriel.contract.activation_names import kind_of, kinds
from oriel.verification.interventions import Interventions
from oriel.verification.reference_cases import SEED
from oriel.verification.run_onnx import OnnxGraph
from oriel.verification.variant_comparison import VariantComparison

_BY_SECOND_PASS = ("q", "k", "v", "attn_scores")
"""Kinds that the reference records in a separate pass; not needed twice for interventions."""


def check_head_scales(compared: VariantComparison, session: OnnxGraph) -> None:
    """Turn off a head in each layer; then scale all heads of all layers at once."""
    rng = np.random.default_rng(SEED)
    heads, layers = compared.shape.heads, compared.shape.layers
    for layer in range(layers):
        scale = np.ones(heads, dtype=np.float32)
        scale[layer % heads] = 0
        change = Interventions(head_scales={layer: scale})
        _compare_changed(
            compared, "head_scale", session, change, f"layer {layer}, head {layer % heads} off"
        )
    scales = {i: rng.uniform(0, 2, heads).astype(np.float32) for i in range(layers)}
    _compare_changed(
        compared, "head_scale", session, Interventions(head_scales=scales), "all heads scaled"
    )


def check_resid_deltas(compared: VariantComparison, session: OnnxGraph) -> None:
    """Add a vector to the stream in each layer: one for all positions, or one for each."""
    rng = np.random.default_rng(SEED)
    case = compared.cases.small
    for layer in range(compared.shape.layers):
        name = kinds()["resid_post"].at(layer)
        size = float(compared.cases.values(case, [name])[name].std())
        form = (1, 1) if layer % 2 else (case.batch, case.seq)
        delta = rng.normal(0, size, (*form, compared.shape.hidden)).astype(np.float32)
        change = Interventions(resid_deltas={layer: delta})
        _compare_changed(
            compared, "resid_delta", session, change, f"layer {layer}, delta {form[0]}×{form[1]}"
        )


def _compare_changed(
    compared: VariantComparison, check: str, session: OnnxGraph, change: Interventions, where: str
) -> None:
    ids = compared.cases.ids[compared.cases.small]
    names = [s.name for s in compared.inner if kind_of(s.name) not in _BY_SECOND_PASS]
    got = session.run(ids, names, change)
    want = compared.cases.reference.run(ids, names, change)
    compared.measure_all(check, got, want, compared.bounds.of(check), where)
