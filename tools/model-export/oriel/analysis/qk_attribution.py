"""QK attribution: computes which earlier parts of the model make a head attend from one token to
another.

A score before the softmax is scale · q_i · k_j. Queries and keys are linear in the output of the
norm before attention, and that norm divides by one number for each position. So the score is a
bilinear form in the parts of the residual stream: it is the sum of one number for each pair of a
part at the query and a part at the key (Elhage et al., 2021, "A Mathematical Framework for
Transformer Circuits": the QK circuit; with the norm's divisor held fixed as in direct logit
attribution).

Only runs with edits are needed: the stream that enters the layer is replaced by one part at a time,
and the queries and keys that the layer computes from it are the part's. So positions, biases and
grouped heads are handled as the model handles them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oriel.analysis.patching import GIB, rows_within
from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.errors import OptionError
from oriel.runtime.bundle import Bundle
from oriel.runtime.edits import Edit, Replace
from oriel.runtime.run import Run

_LENGTH = 1000.0
"""Root mean square of a part as it is fed to the layer: so large that the norm's epsilon doesn't
matter."""


@dataclass(frozen=True)
class Part:
    """A part of the residual stream."""

    kind: str
    """embedding, head, attention_rest (the attention output that comes from no head, such as its
    bias), mlp, or bias (of the norm and of the matrices that make queries and keys)."""
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True, eq=False)
class ScoreParts:
    """One score before the softmax, split into pairs of parts."""

    parts: tuple[Part, ...]
    """The parts in the order of the rows and columns of `values`; the bias is last."""
    values: Array
    """(parts at the query, parts at the key), float32."""
    score: float
    """The score, which `values` sum to up to rounding."""

    def by_query(self) -> Array:
        """Return (parts), float32: the share of each part at the query, summed over all parts at
        the key."""
        found: Array = self.values.sum(axis=1)
        return found

    def by_key(self) -> Array:
        """Return (parts), float32: the share of each part at the key, summed over all parts at the
        query."""
        found: Array = self.values.sum(axis=0)
        return found


@dataclass(frozen=True)
class Score:
    """The score of one head from a query to a key, both token indices counted from 0."""

    layer: int
    head: int
    query: int
    key: int


def attribute_score(
    bundle: Bundle, ids: Sequence[int], score: Score, *, most_bytes: int = GIB
) -> ScoreParts:
    """Split one score of a text into the products of parts.

    most_bytes: memory limit of a batch's activations. In variants whose kernels round their inputs
    (int8, int4), the sum of the parts differs from the score by that rounding. Raises OptionError
    if the model has no such layer or head, if the text has no such token, if the key lies after the
    query, or if one run needs more than most_bytes.
    """
    _check(bundle, ids, score)
    # Tokens after the query have no influence on the score.
    text = list(ids[: score.query + 1])
    layers = range(score.layer)
    read = [kinds()[kind].at(score.layer) for kind in ("q", "k", "attn_scores", "resid_pre")]
    by_layer = [
        kinds()[kind].at(at) for kind in ("attn_z", "attn_output", "mlp_output") for at in layers
    ]
    first = kinds()["resid_pre"].at(0)
    run = bundle.run([text], activations=[first, *read, *by_layer], logits=0)
    parts, values = _stream_parts(bundle, run, text, score.layer)
    fed = _Fed(bundle, text, score, rows_within(bundle.shape, len(text), most_bytes))
    queries, keys = _linear_parts(fed, values, run[read[3]])
    scale = _scale(run, score, bundle)
    matrix = score_products(queries[:, score.query], keys[:, score.key], scale)
    found = float(run[read[2]][0, score.head, score.query, score.key])
    return ScoreParts((*parts, Part("bias")), matrix, found)


def score_products(queries: Array, keys: Array, scale: float) -> Array:
    """Multiply the parts of a query with those of a key, each (parts, width). Return (parts,
    parts), float32."""
    found: Array = (scale * (queries.astype(np.float64) @ keys.T.astype(np.float64))).astype(
        np.float32
    )
    return found


def _check(bundle: Bundle, ids: Sequence[int], score: Score) -> None:
    shape = bundle.shape
    if not 0 <= score.layer < shape.layers:
        raise OptionError(
            "the model has no such layer",
            got=f"layer {score.layer}",
            expected=f"0 to {shape.layers - 1}",
        )
    heads = shape.at(score.layer).heads
    if not 0 <= score.head < heads:
        raise OptionError("no such head", got=f"head {score.head}", expected=f"0 to {heads - 1}")
    if not 0 <= score.key <= score.query < len(ids):
        raise OptionError(
            "the query doesn't see the key",
            got=f"query {score.query} and key {score.key} of {len(ids)} tokens",
            expected="a key that is the query's token or before it",
        )


def _stream_parts(
    bundle: Bundle, run: Run, text: list[int], layer: int
) -> tuple[list[Part], Array]:
    """Return the parts of the stream that enters a layer, and their values (parts, seq, hidden)."""
    parts, values = [Part("embedding")], [run[kinds()["resid_pre"].at(0)][0]]
    most = max((bundle.shape.at(at).heads for at in range(layer)), default=0)
    edits: list[Edit] = []
    for at in range(layer):
        # One text for each head alone, and one without heads: each layer gives what that head adds.
        z = run.of("attn_z", at)
        alone = np.zeros((most + 1, *z.shape[1:]), dtype=np.float32)
        for head in range(z.shape[1]):
            alone[head, head] = z[0, head]
        edits.append(Replace("attn_z", layer=at, value=alone))
    outputs = [kinds()["attn_output"].at(at) for at in range(layer)]
    each = bundle.run([text] * (most + 1), outputs, edits, logits=0) if layer else None
    for at in range(layer):
        assert each is not None
        given, rest = each.of("attn_output", at), each.of("attn_output", at)[most]
        for head in range(bundle.shape.at(at).heads):
            parts.append(Part("head", at, head))
            values.append(given[head] - rest)
        parts += [Part("attention_rest", at), Part("mlp", at)]
        values += [rest, run.of("mlp_output", at)[0]]
    return parts, np.stack(values)


@dataclass(frozen=True)
class _Fed:
    """Runs the text with the stream that enters the score's layer replaced."""

    bundle: Bundle
    text: list[int]
    score: Score
    rows: int

    def heads_of(self, streams: Array) -> tuple[Array, Array]:
        """Return the head's queries and keys, (n, seq, width), of streams (n, seq, hidden)."""
        at, shape = self.score.layer, self.bundle.shape.at(self.score.layer)
        key_head = self.score.head // (shape.heads // shape.kv_heads)
        names = [kinds()[kind].at(at) for kind in ("q", "k")]
        queries, keys = [], []
        for start in range(0, len(streams), self.rows):
            part = streams[start : start + self.rows]
            edit = Replace("resid_pre", layer=at, value=part)
            run = self.bundle.run([self.text] * len(part), names, [edit], logits=0)
            queries.append(run[names[0]][:, self.score.head])
            keys.append(run[names[1]][:, key_head])
        found = [np.concatenate(each).astype(np.float64) for each in (queries, keys)]
        return found[0], found[1]


def _linear_parts(fed: _Fed, values: Array, stream: Array) -> tuple[Array, Array]:
    """Return the contribution of each part and, last, of the biases to queries and to keys: two
    arrays (parts + 1, seq, width), float64."""
    whole = stream.astype(np.float64)
    nothing, even = np.zeros_like(whole), np.full_like(whole, _LENGTH)
    probe = fed.heads_of(np.concatenate([whole, nothing, even]).astype(np.float32))
    # LayerNorm subtracts the mean, so it maps a constant vector to zero; RMSNorm doesn't.
    centred = all(_length(p[2] - p[1]) <= 1e-3 * _length(p[0] - p[1]) for p in probe)
    both = np.concatenate([whole, values.astype(np.float64)])
    if centred:
        both -= both.mean(axis=-1, keepdims=True)
    lengths = np.sqrt((both**2).mean(axis=-1, keepdims=True))
    even_sized = _divided(both * _LENGTH, lengths)
    got = fed.heads_of(even_sized.astype(np.float32))
    moved = [g - p[1] for g, p in zip(got, probe, strict=True)]
    # The whole stream's divisor includes the norm's epsilon.
    real = np.concatenate([p[0] - p[1] for p in probe], axis=-1)
    free = np.concatenate([m[0] for m in moved], axis=-1)
    size = (free * free).sum(axis=-1, keepdims=True)
    share = _divided((real * free).sum(axis=-1, keepdims=True), size)
    factor = _divided(lengths[1:], lengths[:1]) * share
    found = [np.concatenate([m[1:] * factor, p[1:2]]) for m, p in zip(moved, probe, strict=True)]
    return found[0], found[1]


def _divided(values: Array, by: Array) -> Array:
    """Return values / by, and 0 where `by` is 0."""
    found: Array = np.divide(values, by, out=np.zeros_like(values), where=by > 0)
    return found


def _length(values: Array) -> float:
    return float(np.linalg.norm(values))


def _scale(run: Run, score: Score, bundle: Bundle) -> float:
    """Return the factor by which the head scales q · k, fitted to all pairs of tokens."""
    shape = bundle.shape.at(score.layer)
    key_head = score.head // (shape.heads // shape.kv_heads)
    q, k = run.of("q", score.layer)[0, score.head], run.of("k", score.layer)[0, key_head]
    seen = np.tri(len(q), dtype=bool)
    products = (q.astype(np.float64) @ k.T.astype(np.float64))[seen]
    given = run.of("attn_scores", score.layer)[0, score.head][seen]
    return float((products * given).sum() / (products * products).sum())
