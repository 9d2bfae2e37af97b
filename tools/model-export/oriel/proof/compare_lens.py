"""Ids that two models choose: the tokens that each finds likeliest by the logit lens, with how
likely they are, and the experts of a router.

Two that are as likely may change places: ids are held to the probabilities of what they name."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.contract.activation_names import LENS_KINDS, kind_of, kinds, parse_name
from oriel.verification.compare import Difference, lens_difference


@dataclass(frozen=True)
class LensRead:
    """The lens of one layer at the positions of text."""

    ids: Array
    """(positions, k), int64, likeliest first."""
    probs: Array
    """(positions, k)."""

    @staticmethod
    def of(ids: Tensor, probs: Tensor, seen: Tensor | None) -> LensRead:
        """Take the positions that are no padding. ids and probs (batch, seq, k); seen (batch, seq),
        None for all."""
        kept = torch.ones(ids.shape[:2], dtype=torch.bool) if seen is None else seen
        return LensRead(ids[kept].numpy(), probs[kept].to(torch.float64).numpy())

    def first(self, count: int) -> LensRead:
        """Return the likeliest tokens alone."""
        return LensRead(self.ids[:, :count], self.probs[:, :count])


def lens_pair(name: str) -> tuple[str, str] | None:
    """Return the names of a lens' ids and probabilities by either of them; None for others."""
    parsed = parse_name(name)
    if parsed is None or kind_of(name) not in LENS_KINDS:
        return None
    ids, probs = (kinds()[kind].at(parsed[1]) for kind in LENS_KINDS)
    return ids, probs


def router_probs_of(name: str) -> str | None:
    """Return the name of the probabilities that experts were chosen by; None for other names."""
    parsed = parse_name(name)
    if parsed is None or kind_of(name) != "expert_ids":
        return None
    return kinds()["router_probs"].at(parsed[1])


def choice_error(got: Tensor, want: Tensor, probs: Tensor, seen: Tensor | None) -> Difference:
    """Return how much less likely the chosen experts are than those that belong there, over the
    probability of the latter. got and want (batch, seq, active), int64; probs (batch, seq,
    experts), by which `want` was chosen; seen (batch, seq), None for all."""
    kept = torch.ones(want.shape[:2], dtype=torch.bool) if seen is None else seen
    known = probs[kept].to(torch.float64).numpy()
    best = np.take_along_axis(known, want[kept].numpy(), axis=-1)
    return lens_difference(got[kept].numpy()[None], best[None], [(slice(None), known[None])])[0]


def lens_errors(got: LensRead, want: LensRead) -> tuple[Difference, Difference]:
    """Return the errors of ids and of probabilities, over as many tokens as both name.

    An id's error is how much less likely, by the reference, the named token is than the one that
    belongs there, over the latter's probability. A token that the reference doesn't name is taken
    to be as likely as the last one that it does: it can't be likelier.
    """
    count = min(got.ids.shape[1], want.ids.shape[1])
    got = got.first(count)
    size = int(max(got.ids.max(initial=0), want.ids.max(initial=0))) + 1
    known = np.broadcast_to(want.probs[:, -1:], (len(want.probs), size)).copy()
    np.put_along_axis(known, want.ids, want.probs, axis=1)
    whole = (slice(None), known[None])
    ids, probs = lens_difference(got.ids[None], got.probs[None], [whole])
    return ids, probs
