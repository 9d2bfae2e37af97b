"""Activation patching: one text's activations, put into the run of another, place by place, in
batches; and path patching, from one head to what another head reads.

Vig et al., 2020, "Investigating Gender Bias in Language Models Using Causal Mediation Analysis";
Wang et al., 2022, "Interpretability in the Wild"."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

import numpy as np

from oriel.analysis.metrics import Metric
from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.errors import OptionError
from oriel.runtime.bundle import Bundle
from oriel.runtime.edits import Edit, Replace
from oriel.runtime.run import Run

Progress = Callable[[int, int], None]
"""Called with the runs done and their number; what it raises ends the sweep."""

GIB = 1 << 30


@dataclass(frozen=True)
class Sweep:
    """A metric for each patched place."""

    values: Array
    """(layers, positions), (layers, heads), or as the sweep says; float32."""
    clean: float
    """The metric of the text whose activations are put in."""
    corrupted: float
    """The metric of the text that they are put into, unpatched."""

    def restored(self) -> Array:
        """Return how much of the difference each place brings back: 0 for none, 1 for all. Raises
        OptionError where both texts have one metric."""
        if self.clean == self.corrupted:
            raise OptionError(
                "clean and corrupted text have the same metric, so nothing to restore"
            )
        found: Array = (self.values - self.corrupted) / (self.clean - self.corrupted)
        return found


@dataclass(frozen=True)
class Texts:
    """Two texts of one length: token ids."""

    clean: Sequence[int]
    corrupted: Sequence[int]

    def __post_init__(self) -> None:
        if len(self.clean) != len(self.corrupted):
            raise OptionError(
                "clean and corrupted text differ in length",
                got=f"{len(self.clean)} and {len(self.corrupted)} tokens",
                expected="as many tokens in both, so that positions match",
            )


def patch_positions(
    bundle: Bundle,
    texts: Texts,
    metric: Metric,
    *,
    joint: str = "resid_pre",
    most_bytes: int = GIB,
    progress: Progress | None = None,
) -> Sweep:
    """Return the metric with one joint of one layer patched at one position: (layers, positions).

    joint: resid_pre, attn_output, mlp_output or any other without pairs of tokens. most_bytes:
    bound of a batch's activations, and of those that are kept to put them in. Raises OptionError
    where one run, or what is kept, goes beyond it.
    """
    if "total_sequence_length" in kinds()[joint].shape:
        raise OptionError(f"{joint} is of pairs of tokens", expected="a joint of single tokens")
    _check_memory(bundle.shape, [joint], bundle.shape.layers, len(texts.clean), most_bytes)
    layers, positions = range(bundle.shape.layers), range(len(texts.clean))
    clean = bundle.run([list(texts.clean)], activations=[joint])
    edits = [
        [Replace(joint, layer=layer, position=position, from_run=clean)]
        for layer, position in product(layers, positions)
    ]
    values = _measured(bundle, texts, metric, edits, most_bytes, progress)
    return _sweep(bundle, texts, metric, clean, values.reshape(len(layers), len(positions)))


def patch_heads(
    bundle: Bundle,
    texts: Texts,
    metric: Metric,
    *,
    joint: str = "attn_z",
    most_bytes: int = GIB,
    progress: Progress | None = None,
) -> Sweep:
    """Return the metric with one head patched at all positions: (layers, heads).

    joint: attn_z for what a head gives, q or attn_probs for a part of it. most_bytes, and errors:
    as of `patch_positions`.
    """
    _check_memory(bundle.shape, [joint], bundle.shape.layers, len(texts.clean), most_bytes)
    clean = bundle.run([list(texts.clean)], activations=[joint])
    heads = bundle.shape.heads
    edits = [
        [Replace(joint, layer=layer, head=head, from_run=clean)]
        for layer, head in product(range(bundle.shape.layers), range(heads))
    ]
    values = _measured(bundle, texts, metric, edits, most_bytes, progress)
    return _sweep(bundle, texts, metric, clean, values.reshape(-1, heads))


@dataclass(frozen=True)
class Receiver:
    """The reader at a path's end: a head's queries, keys or values."""

    layer: int
    head: int
    reads: str = "q"
    """q, k or v; heads of k and v are key heads."""


def patch_paths(
    bundle: Bundle,
    texts: Texts,
    metric: Metric,
    receiver: Receiver,
    *,
    most_bytes: int = GIB,
    progress: Progress | None = None,
) -> Sweep:
    """Return the metric with one head's effect on what the receiver reads: (layers before, heads).

    For each sender, the corrupted text is run with the sender's attn_z of the clean text and every
    other head and MLP as it was without: only the direct path through the stream is left. What the
    receiver then reads is put into a run of the corrupted text. most_bytes, and errors: as of
    `patch_positions`.
    """
    if receiver.reads not in ("q", "k", "v"):
        raise OptionError("a head reads q, k or v", got=receiver.reads)
    if not 0 < receiver.layer < bundle.shape.layers:
        raise OptionError(
            "no head stands before the receiver's layer",
            got=f"layer {receiver.layer}",
            expected=f"1 to {bundle.shape.layers - 1}",
        )
    read = kinds()[receiver.reads].at(receiver.layer)
    frozen = ["attn_z", "mlp_output"]
    _check_memory(bundle.shape, frozen, receiver.layer, len(texts.clean), most_bytes)
    clean = bundle.run([list(texts.clean)], activations=["attn_z"])
    corrupted = bundle.run([list(texts.corrupted)], activations=[*frozen, read])
    layers, heads = range(receiver.layer), range(bundle.shape.heads)
    found = np.empty((len(layers), len(heads)), dtype=np.float32)
    for layer in layers:
        for head in heads:
            sent = bundle.run(
                [list(texts.corrupted)],
                activations=[*frozen, read],
                edits=_one_path(layer, head, receiver.layer, clean, corrupted, bundle.shape),
                logits=0,
            )
            got = Replace(receiver.reads, layer=receiver.layer, head=receiver.head, from_run=sent)
            run = bundle.run([list(texts.corrupted)], edits=[got], logits=-metric.position)
            found[layer, head] = metric(run.scores(metric.position))[0]
            if progress is not None:
                progress(layer * len(heads) + head + 1, len(layers) * len(heads))
    return _sweep(bundle, texts, metric, clean, found)


def _one_path(
    layer: int, head: int, end: int, clean: Run, corrupted: Run, shape: ModelShape
) -> list[Edit]:
    """Return edits that let one head's clean output reach a layer by the stream alone."""
    edits: list[Edit] = []
    for at in range(layer, end):
        others = [h for h in range(shape.heads) if (at, h) != (layer, head)]
        if others:
            edits.append(Replace("attn_z", layer=at, head=others, from_run=corrupted))
        edits.append(Replace("mlp_output", layer=at, from_run=corrupted))
    edits.append(Replace("attn_z", layer=layer, head=head, from_run=clean))
    return edits


def _measured(
    bundle: Bundle,
    texts: Texts,
    metric: Metric,
    edits: Sequence[Sequence[Edit]],
    most_bytes: int,
    progress: Progress | None,
) -> Array:
    """Return the metric of one run of the corrupted text for each list of edits, in batches."""
    rows = rows_within(bundle.shape, len(texts.corrupted), most_bytes)
    found: list[Array] = []
    done = 0
    for part in _parts(edits, rows):
        placed = [replace(edit, row=row) for row, one in enumerate(part) for edit in one]
        ids = np.array([list(texts.corrupted)] * len(part))
        run = bundle.run(ids, edits=placed, logits=-metric.position)
        found.append(metric(run.scores(metric.position)))
        done += len(part)
        if progress is not None:
            progress(done, len(edits))
    return np.concatenate(found).astype(np.float32)


def _parts(edits: Sequence[Sequence[Edit]], rows: int) -> Iterable[Sequence[Sequence[Edit]]]:
    return (edits[at : at + rows] for at in range(0, len(edits), rows))


def rows_within(shape: ModelShape, tokens: int, most_bytes: int) -> int:
    """Return how many texts of so many tokens run together within a bound of bytes: of the largest
    tensors that live at once, scores and probabilities of a layer, its MLP and the stream. Raises
    OptionError where one text goes beyond it."""
    pairs = 3 * max(shape.at(layer).heads for layer in range(shape.layers)) * tokens
    widest = max(shape.at(layer).intermediate for layer in range(shape.layers))
    each = 4 * tokens * (pairs + 3 * widest + 8 * shape.hidden) + 4 * shape.vocab
    _check_fit(each, f"for a text of {tokens} tokens", most_bytes)
    return max(1, most_bytes // each)


def _check_memory(
    shape: ModelShape, joints: Sequence[str], layers: int, tokens: int, most_bytes: int
) -> None:
    """Raise OptionError if a run of one text, or both texts' values of these joints up to a layer,
    take more bytes than the bound. The page has the same rule: apps/web/src/analysis/patching.ts.
    """
    rows_within(shape, tokens, most_bytes)
    specs = [kinds()[joint].spec(shape, layer) for layer in range(layers) for joint in joints]
    kept = sum(4 * prod(spec.sizes(batch=2, seq=tokens)) for spec in specs)
    _check_fit(kept, "of both texts' activations of every layer", most_bytes)


def _check_fit(needed: int, what: str, most_bytes: int) -> None:
    """Raise OptionError if so many bytes are more than the bound; `what` says what they hold."""
    if needed > most_bytes:
        raise OptionError(
            "the sweep would not fit in memory",
            got=f"{needed:,} bytes {what}",
            expected=f"at most {most_bytes:,}",
            next_step="give a larger most_bytes, or a shorter text.",
        )


def _sweep(bundle: Bundle, texts: Texts, metric: Metric, clean: Run, values: Array) -> Sweep:
    corrupted = bundle.run([list(texts.corrupted)], logits=-metric.position)
    ends = [float(metric(run.scores(metric.position))[0]) for run in (clean, corrupted)]
    return Sweep(values.astype(np.float32), *ends)
