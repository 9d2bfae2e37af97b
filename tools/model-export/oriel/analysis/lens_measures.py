"""How far a layer's prediction is from the model's own: rank and probability of a token, divergence
and entropy of the logits that the logit lens, or a lens pack, reads from the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oriel.analysis.metrics import divergence, log_softmax
from oriel.arrays import Array
from oriel.lenses.pack import LensPack
from oriel.runtime.bundle import Bundle
from oriel.runtime.edits import Edit, Replace
from oriel.runtime.fed_text import check_tokens

MOST_BYTES = 32 << 20
"""Maximum of the logits that are computed at a time."""


@dataclass(frozen=True, eq=False)
class LensMeasures:
    """Measures of one text, (layers, seq) each."""

    top: Array
    """int64: the likeliest token; of equal ones the lowest id."""
    top_probability: Array
    divergence: Array
    """Kullback-Leibler divergence from the final layer, sum of p_final ln(p_final / p_layer), in
    nats; 0 in the last row."""
    entropy: Array
    """Shannon entropy in nats."""
    rank: Array
    """int64: rank of the token that was asked about, 1 for the likeliest."""
    probability: Array
    """Probability of the token that was asked about."""


def ranks(logits: Array, tokens: Array) -> Array:
    """Return (…): the rank of a token in logits (…, vocab), 1 for the likeliest. Of equal logits
    the lower id comes first. tokens: (…), int64."""
    own = np.take_along_axis(logits, tokens[..., None], axis=-1)
    before = np.arange(logits.shape[-1]) < tokens[..., None]
    found: Array = 1 + ((logits > own) | ((logits == own) & before)).sum(axis=-1)
    return found


def divergences(final: Array, logits: Array) -> Array:
    """Return (…): the divergence of logits (…, vocab) from the final layer's, in nats."""
    found: Array = np.maximum(0, divergence(final, logits))
    return found


def entropies(logits: Array) -> Array:
    """Return (…): the Shannon entropy of the softmax of logits (…, vocab), in nats."""
    logs = log_softmax(logits)
    found: Array = np.maximum(0, -(np.exp(logs) * logs).sum(axis=-1))
    return found


def probabilities(logits: Array, tokens: Array) -> Array:
    """Return (…): the probability of a token, from logits (…, vocab). tokens: (…), int64."""
    logs = log_softmax(logits)
    found: Array = np.exp(np.take_along_axis(logs, tokens[..., None], axis=-1)[..., 0])
    return found


def measure_lens(
    bundle: Bundle,
    ids: Sequence[int],
    *,
    token: int | None = None,
    lens: str | None = None,
    edits: Sequence[Edit] = (),
) -> LensMeasures:
    """Measure what each layer of a bundle predicts at each token of a text.

    token: the token whose rank and probability are measured; by default the last layer's likeliest
    at each position. lens: a lens of the bundle, "logit" by default. edits: edits of the run.

    The streams are read out by further runs, in whose last layer they are put in, so the variant's
    own final norm and unembedding compute the logits: a few positions of one layer at a time.
    Raises OptionError for a token or a lens that isn't there.
    """
    if token is not None:
        check_tokens(token, bundle.shape.vocab)
    shape = bundle.shape
    pack = bundle.lens_pack(lens)
    run = bundle.run([list(ids)], ["resid_post"], edits, logits=0)
    streams = [run.of("resid_post", layer)[0] for layer in range(shape.layers)]
    step = max(1, min(shape.context_length, MOST_BYTES // (4 * shape.vocab)))
    reader = _Reader(bundle, pack, token)
    found = [
        reader.measured([stream[at : at + step] for stream in streams])
        for at in range(0, len(ids), step)
    ]
    return LensMeasures(*(np.concatenate(parts, axis=1) for parts in zip(*found, strict=True)))


@dataclass(frozen=True)
class _Reader:
    """Reads streams out through the final norm and the unembedding."""

    bundle: Bundle
    pack: LensPack | None
    token: int | None

    def measured(self, streams: Sequence[Array]) -> tuple[Array, ...]:
        """Return the fields of LensMeasures, (layers, positions) each; streams: one (positions,
        hidden) for each layer."""
        final = self._logits(len(streams) - 1, streams[-1])
        top = final.argmax(axis=-1)
        followed = top if self.token is None else np.full_like(top, self.token)
        rows = [
            self._row(self._logits(layer, stream), final, followed)
            for layer, stream in enumerate(streams)
        ]
        return tuple(np.stack(column) for column in zip(*rows, strict=True))

    def _row(self, logits: Array, final: Array, followed: Array) -> tuple[Array, ...]:
        top = logits.argmax(axis=-1)
        return (
            top,
            probabilities(logits, top),
            divergences(final, logits),
            entropies(logits),
            ranks(logits, followed),
            probabilities(logits, followed),
        )

    def _logits(self, layer: int, stream: Array) -> Array:
        """Return (positions, vocab): what the lens reads from a layer's stream."""
        read = stream if self.pack is None else self.pack.apply(layer, stream)
        last = self.bundle.shape.layers - 1
        put_in = Replace("resid_post", layer=last, value=read[None])
        run = self.bundle.run([[0] * len(read)], (), [put_in])
        logits: Array = run.logits[0]
        return logits
