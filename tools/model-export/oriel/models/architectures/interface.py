"""Attention through transformers' interface, for modules that transformers has without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from oriel.models.architectures.replaced import ReplacedModule

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig
    from transformers.cache_utils import Cache


class InterfaceAttention(ReplacedModule):
    """An attention module that asks for the implementation that its config names."""

    def __init__(self, own: nn.Module, config: PreTrainedConfig, layer: int) -> None:
        super().__init__(own)
        self.config = config
        self.layer_idx = layer

    def attend(
        self,
        states: tuple[Tensor, Tensor, Tensor],
        cache: Cache | None,
        mask: Tensor | None,
        **arguments: object,
    ) -> tuple[Tensor, Tensor]:
        """states: queries (batch, heads, seq, head_dim), and keys and values (batch, kv_heads, seq,
        head_dim), which go through the cache; mask and arguments as the implementation takes them.

        Returns the mix, heads side by side, (batch, seq, heads * head_dim), and the probabilities
        (batch, heads, seq, total).
        """
        query, key, value = states
        if cache is not None:
            key, value = cache.update(key, value, self.layer_idx)
        implementation = ALL_ATTENTION_FUNCTIONS[self.config._attn_implementation or "eager"]
        mix, probs = implementation(self, query, key, value, mask, **arguments)
        return mix.flatten(2), probs


def split_heads(states: Tensor, heads: int) -> Tensor:
    """Return (batch, heads, seq, head_dim) of (batch, seq, heads * head_dim)."""
    return states.reshape(*states.shape[:2], heads, -1).transpose(1, 2)
