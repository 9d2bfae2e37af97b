"""One matrix for queries, keys and values whose outputs lie head by head."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def split_groups(states: Tensor, groups: int, queries: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries (batch, groups * queries, seq, head_dim), and keys and values (batch, groups,
    seq, head_dim), of states (batch, seq, groups * (queries + 2) * head_dim): of each group its
    queries, its key and its value."""
    parts = states.reshape(*states.shape[:2], groups, queries + 2, -1)
    query = parts[..., :-2, :].flatten(2, 3)
    key, value = parts[..., -2, :], parts[..., -1, :]
    return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
