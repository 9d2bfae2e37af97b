"""Attention as a function that hands out what it computes, registered with transformers under a
name of ours; and the cache that does the same for keys and values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.cache_utils import Cache
from transformers.masking_utils import sdpa_mask

from oriel.capture.capture_state import CaptureState
from oriel.errors import ArchitectureError

NAME = "oriel_capture"

Record = Callable[[str, int, Tensor], None]
"""(kind, layer, value): called for everything that the contract names."""


class CaptureCache(Cache):
    """Keys and values from flat tensors; what is fed and what results is handed to `record`."""

    def __init__(self, past: list[tuple[Tensor, Tensor]], record: Record) -> None:
        super().__init__(layers=[])
        self.past = past
        self.present: list[tuple[Tensor, Tensor]] = []
        self.record = record

    def update(
        self,
        key_states: Tensor,
        value_states: Tensor,
        layer_idx: int,
        *args: object,
        **kwargs: object,
    ) -> tuple[Tensor, Tensor]:
        """(batch, kv_heads, seq, head_dim) each in; (batch, kv_heads, total, head_dim) each out."""
        self.record("k", layer_idx, key_states)
        self.record("v", layer_idx, value_states)
        keys, values = self.past[layer_idx]
        whole = torch.cat([keys, key_states], dim=-2), torch.cat([values, value_states], dim=-2)
        self.present.append(whole)
        return whole

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self.past[0][0].shape[-2]

    def get_mask_sizes(self, query_length: int, layer_idx: int = 0) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_query_offset(self, layer_idx: int = 0) -> int:
        return self.get_seq_length()


def capture_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    softcap: float | None = None,
    **more: object,
) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention (Vaswani et al., 2017, eq. 1), grouped keys shared among heads;
    with a softcap c, scores are c tanh(score / c) (Gemma 2, 2024).

    query (batch, heads, seq, head_dim); key and value (batch, kv_heads, total, head_dim);
    attention_mask (batch, 1, seq, total), bool, True where attention is allowed.
    Scores get the argument alibi added, (batch or 1, heads, 1, total), if it is given.
    Returns the mix (batch, seq, heads, head_dim) and the probabilities (batch, heads, seq, total).
    Raises ArchitectureError for an argument that would change either.
    """
    added = more.pop("alibi", None)
    _refuse_others(module, more)
    state: CaptureState | None = getattr(module, "oriel_state", None)
    if state is None:
        raise ArchitectureError(
            f"{type(module).__name__} computes attention outside of the path for it",
            next_step="correct that path in its file in oriel/models/architectures.",
        )
    record, layer = state.record, int(module.oriel_layer)  # type: ignore[arg-type]
    record("q", layer, query)
    if not state.has_cache:
        # A cache records them before it joins them to those of the past.
        record("k", layer, key)
        record("v", layer, value)
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = _spread(key, groups), _spread(value, groups)
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scores = torch.matmul(query, key.transpose(-1, -2)) * scale
    if softcap is not None:
        scores = torch.tanh(scores / softcap) * softcap
    if isinstance(added, Tensor):
        scores = scores + added
    if attention_mask is not None:
        scores = torch.where(attention_mask, scores, torch.finfo(scores.dtype).min)
    record("attn_scores", layer, scores)
    probs = torch.softmax(scores, dim=-1)
    record("attn_probs", layer, probs)
    mix = torch.matmul(probs, value)
    record("attn_z", layer, mix)
    return mix.transpose(1, 2), probs


_WITHOUT_EFFECT = frozenset(
    {
        *("cache_position", "output_attentions", "output_hidden_states", "position_ids"),
        *("sliding_window", "use_cache", "deterministic"),
    }
)
"""Arguments that models pass on from their own call. What they ask for happens elsewhere: a window
is in the mask, which transformers makes from the same setting, and gradients aren't computed."""


def _refuse_others(module: nn.Module, arguments: Mapping[str, object]) -> None:
    """Raise ArchitectureError for arguments that are set and mean another attention: a sink, a
    bias, dropout. Left out, they would make numbers that are wrong without a sign."""
    given = {
        name: value
        for name, value in arguments.items()
        if name not in _WITHOUT_EFFECT and (isinstance(value, Tensor) or value)
    }
    # A causal mask arrives as the mask itself.
    if arguments.get("is_causal", True) is not False:
        given.pop("is_causal", None)
    else:
        given["is_causal"] = False
    if not given:
        return
    model_type = getattr(module.config, "model_type", type(module).__name__)
    shown = [
        f"{name}, a tensor" if isinstance(value, Tensor) else f"{name}={value!r:.40}"
        for name, value in sorted(given.items())
    ]
    raise ArchitectureError(
        f"the attention of {model_type} takes what the capture doesn't implement",
        got="; ".join(shown),
        expected="a softmax of scaled and capped products under a causal mask, and no more",
        next_step="export a checkpoint whose config.json doesn't ask for it.",
    )


def _spread(states: Tensor, groups: int) -> Tensor:
    batch, kv_heads, total, head_dim = states.shape
    wide = states[:, :, None].expand(batch, kv_heads, groups, total, head_dim)
    return wide.reshape(batch, kv_heads * groups, total, head_dim)


def _capture_mask(*args: Any, **kwargs: Any) -> Tensor:  # noqa: ANN401 - sdpa_mask's own
    """Make the mask (batch or 1, 1, seq, total), bool. The padding, (batch, total), is joined to it
    by one And: sdpa_mask would gather it position by position."""
    padding: Tensor | None = kwargs.pop("attention_mask", None)
    always = {"allow_is_causal_skip": False, "allow_is_bidirectional_skip": False}
    mask = sdpa_mask(*args, **{**kwargs, **always})
    assert mask is not None
    return mask if padding is None else mask & padding[:, None, None, :].bool()


def register() -> None:
    """Make NAME an attention implementation that any transformers config can ask for."""
    AttentionInterface.register(NAME, capture_attention)
    AttentionMaskInterface.register(NAME, _capture_mask)
