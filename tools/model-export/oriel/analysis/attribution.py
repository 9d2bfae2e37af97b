"""Direct logit attribution: how much each part of the model adds to a token's logit, computed by
the graph from its own weights, in every variant (graph/attribution.py has the nodes)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.errors import OptionError
from oriel.graph import attribution as nodes
from oriel.runtime.bundle import Addition, Bundle, Texts
from oriel.runtime.edits import Edit
from oriel.runtime.fed_text import check_tokens


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
    """(batch, seq): the logit itself, or the difference."""
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
    names = [nodes.heads_output(layer) for layer in layers]
    names += [nodes.EMBEDDING, nodes.ATTENTION_REST, nodes.MLPS, nodes.BIAS]
    names += [nodes.NEURONS] if neurons_of is not None else []
    addition = Addition(
        f"attribution {neurons_of}",
        lambda graph: nodes.attribution_nodes(graph, bundle.shape, neurons_of),
        tuple(names),
        {nodes.TOKENS: np.array(tokens, dtype=np.int64), nodes.SIGNS: signs},
    )
    run = bundle.run_with(addition, text, edits)
    logits = run.logits[..., tokens] @ signs
    return Attribution(
        embedding=run[nodes.EMBEDDING][..., 0],
        heads=tuple(run[nodes.heads_output(layer)][..., 0] for layer in layers),
        attention_rest=run[nodes.ATTENTION_REST][..., 0],
        mlps=run[nodes.MLPS][..., 0],
        bias=float(run[nodes.BIAS][0]),
        logit=logits[..., 0],
        neurons=None if neurons_of is None else run[nodes.NEURONS][..., 0],
    )
