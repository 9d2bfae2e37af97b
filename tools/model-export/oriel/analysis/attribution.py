"""Direct logit attribution: computes how much each part of the model adds to a token's logit, in
every variant. The graph computes the shares from its own weights, through the taps that the bundle
lists; for a bundle of an older exporter, which lists none, Python builds the same taps
(graph/attribution.py)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from oriel.arrays import Array
from oriel.contract.attribution_names import SIGNS, TOKENS, attribution_name
from oriel.errors import OptionError
from oriel.graph.attribution import AttributionTaps, attribution_taps
from oriel.runtime.bundle import Addition, Bundle, Texts
from oriel.runtime.edits import Edit
from oriel.runtime.fed_text import check_tokens
from oriel.runtime.run import Run


@dataclass(frozen=True, eq=False)
class Attribution:
    """Shares of a logit, or of a difference of two, at each position of each text."""

    embedding: Array
    """(batch, seq)"""
    heads: tuple[Array, ...]
    """For each layer (batch, heads, seq)."""
    attention_rest: Array
    """(batch, layers, seq): what attention adds beside its heads, as a bias does."""
    mlps: Array
    """(batch, layers, seq)"""
    bias: float
    """The share of the final norm's bias, the same at every position."""
    logit: Array
    """(batch, seq), float32: the logit, or the difference of two logits, computed from `final_norm`
    and the weights in float32. A run's `logits` differ from it where kernels round this last
    product (int8, int4)."""
    neurons: Array | None = None
    """(batch, seq, neurons) of the layer that was asked for; parts of its MLP."""

    def total(self) -> Array:
        """Return the sum of all parts, (batch, seq): `logit`, but for rounding."""
        heads = sum(layer.sum(axis=1) for layer in self.heads)
        rest = self.attention_rest.sum(axis=1) + self.mlps.sum(axis=1)
        found: Array = self.embedding + heads + rest + self.bias
        return found


def attribute(
    bundle: Bundle,
    text: Texts,
    answer: int,
    other: int | None = None,
    *,
    edits: Iterable[Edit] = (),
    neurons_of: int | None = None,
) -> Attribution:
    """Return every part's share of the answer's logit, or of how far it is above another's.

    neurons_of: a layer whose neurons' shares are wanted too. Raises OptionError for a token or
    layer that isn't there, and for a model whose heads can't be told apart in the stream.
    """
    tokens = [answer] if other is None else [answer, other]
    check_tokens(tokens, bundle.shape.vocab)
    layers = range(bundle.shape.layers)
    if neurons_of is not None and neurons_of not in layers:
        raise OptionError(
            "the model has no such layer", got=f"layer {neurons_of}", expected=f"0 to {layers[-1]}"
        )
    signs = np.array([[1.0], [-1.0]], dtype=np.float32)[: len(tokens)]
    outputs = {what: attribution_name(what) for what in ("embedding", "bias", "logits")}
    by_layer = {
        what: [attribution_name(what, layer) for layer in layers]
        for what in ("heads", "attention_rest", "mlp")
    }
    names = [*outputs.values(), *(name for each in by_layer.values() for name in each)]
    if neurons_of is not None:
        outputs["neurons"] = attribution_name("neurons", neurons_of)
        names.append(outputs["neurons"])
    addition = Addition(
        f"attribution {neurons_of}",
        lambda graph: _taps(bundle, graph).joined(neurons_of),
        tuple(names),
        {TOKENS: np.array(tokens, dtype=np.int64), SIGNS: signs},
    )
    run = bundle.run_with(addition, text, edits)
    return Attribution(
        embedding=run[outputs["embedding"]][..., 0],
        heads=tuple(run[name][..., 0] for name in by_layer["heads"]),
        attention_rest=_stacked(run, by_layer["attention_rest"]),
        mlps=_stacked(run, by_layer["mlp"]),
        bias=float(run[outputs["bias"]][0]),
        logit=run[outputs["logits"]][..., 0],
        neurons=None if neurons_of is None else run[outputs["neurons"]][..., 0],
    )


def _taps(bundle: Bundle, graph: onnx.GraphProto) -> AttributionTaps:
    """Return the bundle's taps, or build them for its graph if the bundle lists none."""
    stored = bundle.record.get("attribution")
    if stored is not None:
        return AttributionTaps.from_json(stored)
    return attribution_taps(graph, bundle.shape)


def _stacked(run: Run, names: Sequence[str]) -> Array:
    """Return the shares as (batch, layers, seq), float32."""
    return np.stack([run[name][..., 0] for name in names], axis=1)
