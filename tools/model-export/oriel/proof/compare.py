"""Errors of one case's outputs, and the bounds that they are held to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from oriel.contract.activation_names import kind_of
from oriel.contract.documents import ProofApart, ProofCase, ProofOutput
from oriel.modules.compare_outputs import ABSOLUTE, compare_outputs, default_bound
from oriel.proof.artifact import Artifact, Tensors
from oriel.proof.compare_lens import (
    LensRead,
    choice_error,
    lens_errors,
    lens_pair,
    router_probs_of,
)
from oriel.proof.contract_ports import PAST
from oriel.proof.inputs import ProofInputs
from oriel.verification.compare import Difference
from oriel.verification.error_bounds import bounds_for

Verdict = Literal["same", "apart", "measured"]
_RATIO = 10.0
"""A ratio of norms may be off by so many bounds: the largest error of one value says little about
the sum of all where one value is far larger than the rest."""
_CHOSEN = ("lens_ids", "expert_ids")
"""Kinds of ids that are the likeliest of many."""
_FULL = ("fp32", None)
_ROUNDED_WEIGHTS = ("fp16", "f16")
"""Precisions whose bound against the float32 model follows from the dtype. Others lose as much as
their recipe lets them: they are measured."""


@dataclass(frozen=True)
class Bound:
    """The largest relative error that floats may have."""

    given: float | None = None
    known: bool = True
    """False where a precision has no bound, and none was given."""
    by_kind: Mapping[str, float] = field(default_factory=dict)
    """Those of a precision, for kinds of activation that have one of their own."""

    def of(self, name: str, dtypes: tuple[torch.dtype, torch.dtype]) -> float | None:
        """Return the bound of an output of these dtypes; None for none. Ids that a model chooses
        are held to probabilities, which are floats."""
        kind = kind_of(name)
        exact = not any(dtype.is_floating_point or dtype.is_complex for dtype in dtypes)
        if exact and kind not in _CHOSEN:
            return 0.0
        if kind in self.by_kind:
            return self.by_kind[kind]
        if self.given is not None:
            return self.given
        if not self.known:
            return None
        return default_bound(torch.float32) if exact else max(map(default_bound, dtypes))


def bound_of(reference: Artifact, candidate: Artifact, given: float | None) -> Bound:
    """Return the bound of a pair: the one given, else that of the less exact of the two."""
    precisions = {reference.precision, candidate.precision} - set(_FULL)
    if given is not None or not precisions:
        return Bound(given)
    if precisions <= set(_ROUNDED_WEIGHTS):
        table = bounds_for("f16")
        assert table is not None
        by_kind = {kind: table.relative(kind) for kind in _CHOSEN}
        return Bound(table.relative("logits"), by_kind=by_kind)
    return Bound(known=False)


@dataclass(frozen=True)
class Seen:
    """Positions that are no padding: of the tokens of the call, and of all with the past."""

    ids: Tensor
    """(batch, sequence), True for a token."""
    whole: Tensor
    """(batch, past + sequence)."""

    def only(self, tensor: Tensor, shape: Sequence[int | str]) -> Tensor:
        """Set what belongs to padding to zero: no query there has a key to attend to, so that every
        runtime gives what it likes. shape: as the artifact says it; an axis of as many places as
        there are positions is one of them, unless its size is the model's own."""
        kept = tensor
        for axis in range(1, tensor.dim()):
            if len(shape) == tensor.dim() and not isinstance(shape[axis], str):
                continue
            for mask in (self.ids, self.whole):
                if tensor.shape[axis] != mask.shape[1] or tensor.shape[0] != mask.shape[0]:
                    continue
                sizes = [1] * tensor.dim()
                sizes[0], sizes[axis] = mask.shape
                kept = torch.where(mask.reshape(sizes), kept, torch.zeros_like(kept))
                break
        return kept


def seen_positions(case: ProofInputs) -> Seen | None:
    """Return the positions of a case's texts; None where nothing is padding, or the model has no
    past: then each of its outputs says what it is."""
    inputs: Mapping[str, Tensor] = {name: given.tensor for name, given in case.inputs.items()}
    mask = inputs.get("attention_mask")
    has_past = any(name.startswith(PAST) for name in inputs)
    if mask is None or not has_past or bool(mask.all()):
        return None
    length = inputs["input_ids"].shape[1]
    return Seen(mask[:, -length:].bool(), mask.bool())


@dataclass(frozen=True)
class Outputs:
    """Outputs of both in one case, and the way they are compared."""

    got: Tensors
    want: Tensors
    bound: Bound
    seen: Seen | None = None
    shapes: Mapping[str, Sequence[int | str]] = field(default_factory=dict)
    """As an artifact says them: a dynamic size is a name."""


def compare_case(case: ProofInputs, outputs: Outputs) -> ProofCase:
    """Compare the outputs of one case, at the places that are no padding."""
    return {
        "name": case.name,
        "inputs": [given.to_json(name) for name, given in case.inputs.items()],
        "outputs": [_compare(name, outputs) for name in outputs.want],
    }


def _compare(name: str, outputs: Outputs) -> ProofOutput:
    pair = lens_pair(name)
    if pair is not None and set(pair) <= outputs.got.keys() & outputs.want.keys():
        return _compare_lens(name, pair, outputs)
    got, want = outputs.got[name], outputs.want[name]
    dtypes = want.dtype, got.dtype
    limit = outputs.bound.of(name, dtypes)
    probs = outputs.want.get(router_probs_of(name) or "")
    if probs is not None and got.shape == want.shape:
        seen = None if outputs.seen is None else outputs.seen.ids
        return _chosen(name, outputs, choice_error(got, want, probs, seen))
    if kind_of(name) == "expert_ids" and limit is not None:
        # With nothing to tell which choices are as likely, none may differ.
        limit = 0.0
    if kind_of(name) == "attn_scores" and got.shape == want.shape:
        got, want = _read_scores(got, want)
    if outputs.seen is not None and got.shape == want.shape:
        shape = outputs.shapes.get(name, ())
        got, want = outputs.seen.only(got, shape), outputs.seen.only(want, shape)
    # Files may compute in another dtype of the same kind, such as int32 ids or float16.
    if got.dtype != want.dtype and got.is_floating_point() == want.is_floating_point():
        got, want = got.to(torch.float64), want.to(torch.float64)
    (found,) = compare_outputs([name], [got], [want], bound=limit)
    passed = found.passed if limit is not None else None
    problem = found.problem
    if problem is not None:
        passed = False
    elif passed and limit and not _same_size(found.norm_ratio, found.absolute, limit):
        passed, problem = False, "another norm"
    return {
        "name": name,
        "shape": list(want.shape),
        "dtypes": _names_of(dtypes),
        "absolute": found.absolute,
        "relative": found.relative,
        "norm_ratio": found.norm_ratio,
        "bound": limit,
        "passed": passed,
        "problem": problem,
    }


def _compare_lens(name: str, pair: tuple[str, str], outputs: Outputs) -> ProofOutput:
    seen = None if outputs.seen is None else outputs.seen.ids
    got = LensRead.of(outputs.got[pair[0]], outputs.got[pair[1]], seen)
    want = LensRead.of(outputs.want[pair[0]], outputs.want[pair[1]], seen)
    return _chosen(name, outputs, lens_errors(got, want)[pair.index(name)])


def _chosen(name: str, outputs: Outputs, found: Difference) -> ProofOutput:
    """Return the row of ids that a model chose, or of their probabilities."""
    dtypes = outputs.want[name].dtype, outputs.got[name].dtype
    limit = outputs.bound.of(name, dtypes)
    twice = not math.isfinite(found.relative)
    return {
        "name": name,
        "shape": list(outputs.got[name].shape),
        "dtypes": _names_of(dtypes),
        "absolute": None if twice else found.absolute,
        "relative": None if twice else found.relative,
        "norm_ratio": found.norm_ratio,
        "bound": limit,
        "passed": False if twice else None if limit is None else found.relative <= limit,
        "problem": "an id is named twice, or is none" if twice else None,
    }


def _names_of(dtypes: Sequence[torch.dtype]) -> list[str]:
    return [str(dtype).removeprefix("torch.") for dtype in dtypes]


def _read_scores(got: Tensor, want: Tensor) -> tuple[Tensor, Tensor]:
    """Set scores to zero that nobody reads: a mask's value stands there in one, and may be the
    score itself in another. Where tokens see later ones, some above the diagonal are read."""
    lowest = torch.finfo(torch.float32).min
    hidden = (got <= lowest) | (want <= lowest)
    later = torch.ones_like(hidden).triu(_past_of(got) + 1)
    if not bool(hidden.any()) or bool(hidden[later].all()):
        hidden = hidden | later
    zero = torch.zeros_like(got)
    return torch.where(hidden, zero, got), torch.where(hidden, zero.to(want.dtype), want)


def _past_of(scores: Tensor) -> int:
    """Return the number of past tokens of scores (…, sequence, past + sequence)."""
    return scores.shape[-1] - scores.shape[-2]


def _same_size(ratio: float | None, absolute: float | None, bound: float) -> bool:
    if absolute is not None and absolute <= ABSOLUTE:
        return True
    return ratio is not None and abs(ratio - 1) <= _RATIO * bound


def first_apart(cases: Sequence[ProofCase]) -> ProofApart | None:
    """Return the first output that is apart, case by case in the order of computation."""
    for case in cases:
        for output in case["outputs"]:
            if output["passed"] is False:
                return {"case": case["name"], "output": output["name"]}
    return None


def verdict_of(cases: Sequence[ProofCase]) -> Verdict:
    """Return `apart` if any output is, `measured` if one has no bound, else `same`."""
    verdicts = {output["passed"] for case in cases for output in case["outputs"]}
    if False in verdicts:
        return "apart"
    return "measured" if None in verdicts else "same"
