"""Errors of one case's outputs, and the bounds that they are held to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from oriel.contract.activation_names import kind_of
from oriel.contract.documents import ProofApart, ProofCase, ProofOutput
from oriel.modules.compare_outputs import ABSOLUTE, compare_outputs, default_bound
from oriel.proof.artifact import Artifact, Tensors
from oriel.proof.inputs import ProofInputs
from oriel.verification.error_bounds import bounds_for

Verdict = Literal["same", "apart", "measured"]
_RATIO = 10.0
"""A ratio of norms may be off by so many bounds: the largest error of one value says little about
the sum of all where one value is far larger than the rest."""
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

    def of(self, dtypes: tuple[torch.dtype, torch.dtype]) -> float | None:
        """Return the bound of an output of these dtypes; None for none."""
        exact = not any(dtype.is_floating_point or dtype.is_complex for dtype in dtypes)
        if exact:
            return 0.0
        if self.given is not None:
            return self.given
        return max(map(default_bound, dtypes)) if self.known else None


def bound_of(reference: Artifact, candidate: Artifact, given: float | None) -> Bound:
    """Return the bound of a pair: the one given, else that of the less exact of the two."""
    precisions = {reference.precision, candidate.precision} - set(_FULL)
    if given is not None or not precisions:
        return Bound(given)
    if precisions <= set(_ROUNDED_WEIGHTS):
        table = bounds_for("f16")
        assert table is not None
        return Bound(table.relative("logits"))
    return Bound(known=False)


def compare_case(case: ProofInputs, got: Tensors, want: Tensors, bound: Bound) -> ProofCase:
    """Compare the outputs of one case, at the places that are no padding."""
    seen = _seen(case)
    return {
        "name": case.name,
        "inputs": [given.to_json(name) for name, given in case.inputs.items()],
        "outputs": [_compare(name, got[name], want[name], (bound, seen)) for name in want],
    }


@dataclass(frozen=True)
class _Seen:
    """Positions that are no padding: of the tokens of the call, and of all with the past."""

    ids: Tensor
    """(batch, sequence), True for a token."""
    whole: Tensor
    """(batch, past + sequence)."""

    def only(self, tensor: Tensor) -> Tensor:
        """Set what belongs to padding to zero: no query there has a key to attend to, so that every
        runtime gives what it likes. An axis of as many places as there are positions is one of
        them."""
        kept = tensor
        for axis in range(1, tensor.dim()):
            for mask in (self.ids, self.whole):
                if tensor.shape[axis] != mask.shape[1] or tensor.shape[0] != mask.shape[0]:
                    continue
                shape = [1] * tensor.dim()
                shape[0], shape[axis] = mask.shape
                kept = torch.where(mask.reshape(shape), kept, torch.zeros_like(kept))
                break
        return kept


def _seen(case: ProofInputs) -> _Seen | None:
    inputs: Mapping[str, Tensor] = {name: given.tensor for name, given in case.inputs.items()}
    mask = inputs.get("attention_mask")
    has_past = any(name.startswith("past_key_values.") for name in inputs)
    if mask is None or not has_past or bool(mask.all()):
        return None
    length = inputs["input_ids"].shape[1]
    return _Seen(mask[:, -length:].bool(), mask.bool())


def _compare(name: str, got: Tensor, want: Tensor, how: tuple[Bound, _Seen | None]) -> ProofOutput:
    bound, seen = how
    dtypes = want.dtype, got.dtype
    limit = bound.of(dtypes)
    if kind_of(name) == "attn_scores" and got.shape == want.shape:
        # Above the diagonal stands a mask's value in one and a score that nobody reads in another.
        got, want = got.tril(_past_of(got)), want.tril(_past_of(want))
    if seen is not None and got.shape == want.shape:
        got, want = seen.only(got), seen.only(want)
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
        "dtypes": [str(dtype).removeprefix("torch.") for dtype in dtypes],
        "absolute": found.absolute,
        "relative": found.relative,
        "norm_ratio": found.norm_ratio,
        "bound": limit,
        "passed": passed,
        "problem": problem,
    }


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
