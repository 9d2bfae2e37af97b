"""QK attribution: which earlier parts of the model make a head look from one token to another.

A score before the softmax is scale · q_i · k_j. Queries and keys are linear in what the norm before
attention gives, and that norm divides by one number for each position, so that the score is a
bilinear form in the parts of the stream: one number for each pair of a part at the query and a part
at the key, which sum to the score (Elhage et al., 2021, "A Mathematical Framework for Transformer
Circuits": the QK circuit; with the norm's divisor held as in direct logit attribution).

Nothing but runs with edits is needed: the layer's stream is replaced by each part alone, and what
the layer makes of it is the part's query and key. So positions, biases and grouped heads are the
model's own.
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
"""Root mean square of what is fed in a part's place: the norm's epsilon is nothing beside it."""


@dataclass(frozen=True)
class Part:
    """A part of the stream."""

    kind: str
    """embedding, head, attention_rest (what attention adds beside its heads), mlp, or bias: the
    norm's bias and those of the matrices that make queries and keys."""
    layer: int | None = None
    head: int | None = None


@dataclass(frozen=True, eq=False)
class ScoreParts:
    """The parts of one score before the softmax."""

    parts: tuple[Part, ...]
    """The bias is the last."""
    values: Array
    """(parts at the query, parts at the key), float32."""
    score: float
    """What they sum to, but for rounding."""

    def by_query(self) -> Array:
        """Return (parts): the share of each part at the query, with every part at the key."""
        found: Array = self.values.sum(axis=1)
        return found

    def by_key(self) -> Array:
        """Return (parts): the share of each part at the key, with every part at the query."""
        found: Array = self.values.sum(axis=0)
        return found


@dataclass(frozen=True)
class Score:
    """The score of a head from a query to a key: tokens counted from the text's first."""

    layer: int
    head: int
    query: int
    key: int


def attribute_score(
    bundle: Bundle, ids: Sequence[int], score: Score, *, most_bytes: int = GIB
) -> ScoreParts:
    """Return the parts of a score in one text.

    most_bytes: bound of a batch's activations. Raises OptionError for a head or token that isn't
    there, or a key that the query doesn't see, and where one run goes beyond the bound. Kernels
    that round what they multiply (int8, int4) make the sum another than the score by as much.
    """
    _check(bundle, ids, score)
    # Tokens behind the query change nothing.
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
    """Return (parts, parts), float32: the products of the parts of a query and of a key, each
    (parts, width)."""
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
        # A text for each head alone, and one without any: each layer gives what that head adds.
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
    """Runs of the text with the stream of the score's layer replaced."""

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
    """Return what queries and keys get of each part and, last, of biases: (parts + 1, seq, width),
    float64."""
    whole = stream.astype(np.float64)
    nothing, even = np.zeros_like(whole), np.full_like(whole, _LENGTH)
    probe = fed.heads_of(np.concatenate([whole, nothing, even]).astype(np.float32))
    # A norm that takes the mean away makes nothing of one number everywhere.
    centred = all(_length(p[2] - p[1]) <= 1e-3 * _length(p[0] - p[1]) for p in probe)
    both = np.concatenate([whole, values.astype(np.float64)])
    if centred:
        both -= both.mean(axis=-1, keepdims=True)
    lengths = np.sqrt((both**2).mean(axis=-1, keepdims=True))
    even_sized = _divided(both * _LENGTH, lengths)
    got = fed.heads_of(even_sized.astype(np.float32))
    moved = [g - p[1] for g, p in zip(got, probe, strict=True)]
    # The divisor of the whole stream has the norm's epsilon in it.
    real = np.concatenate([p[0] - p[1] for p in probe], axis=-1)
    free = np.concatenate([m[0] for m in moved], axis=-1)
    size = (free * free).sum(axis=-1, keepdims=True)
    share = _divided((real * free).sum(axis=-1, keepdims=True), size)
    factor = _divided(lengths[1:], lengths[:1]) * share
    found = [np.concatenate([m[1:] * factor, p[1:2]]) for m, p in zip(moved, probe, strict=True)]
    return found[0], found[1]


def _divided(values: Array, by: Array) -> Array:
    """Return values / by; 0 where that is 0."""
    found: Array = np.divide(values, by, out=np.zeros_like(values), where=by > 0)
    return found


def _length(values: Array) -> float:
    return float(np.linalg.norm(values))


def _scale(run: Run, score: Score, bundle: Bundle) -> float:
    """Return what the head multiplies its products by, from all pairs of tokens."""
    shape = bundle.shape.at(score.layer)
    key_head = score.head // (shape.heads // shape.kv_heads)
    q, k = run.of("q", score.layer)[0, score.head], run.of("k", score.layer)[0, key_head]
    seen = np.tri(len(q), dtype=bool)
    products = (q.astype(np.float64) @ k.T.astype(np.float64))[seen]
    given = run.of("attn_scores", score.layer)[0, score.head][seen]
    return float((products * given).sum() / (products * products).sum())
