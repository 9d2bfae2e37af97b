"""A classifier's logits as logits of distributions, so that a variant's divergence from the
reference is measured as that of a language model is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from oriel.fidelity.distributions import Logits

Problem = Literal["single_label", "multi_label", "regression"]


@dataclass(frozen=True)
class LabelDistributions:
    """What a classifier's logits are distributions of: its labels, or yes and no for each of them.
    Of a regression, yes says that a number is above the reference's mean, and the logit is the
    distance from it in standard deviations."""

    problem: Problem
    mean: float = 0.0
    spread: float = 1.0

    def of(self, logits: Logits) -> Logits:
        """Return (distributions, outcomes) of logits (rows, labels)."""
        if self.problem == "single_label":
            return logits
        flat = logits.reshape(-1).astype(np.float64)
        yes = (flat - self.mean) / self.spread
        return np.stack([yes, np.zeros_like(yes)], axis=-1).astype(np.float32)


def label_distributions(problem: Problem, reference: Iterable[Logits]) -> LabelDistributions:
    """Return the distributions of a classifier whose reference gives these logits."""
    if problem != "regression":
        return LabelDistributions(problem)
    values = np.concatenate([logits.reshape(-1) for logits in reference]).astype(np.float64)
    # Numbers that are all the same have no spread to measure by.
    return LabelDistributions(problem, float(values.mean()), float(values.std()) or 1.0)
