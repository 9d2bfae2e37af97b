"""GPT-Neo: GPT-2's parts with separate matrices for queries, keys and values, scores that aren't
scaled, and a window in some layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.interface import InterfaceAttention, split_heads
from oriel.models.architectures.windows import with_window_in, within_window

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig
    from transformers.cache_utils import Cache


def _windows(config: PreTrainedConfig) -> list[bool]:
    """Return which layers have a window."""
    return [kind == "local" for kind in config.attention_layers]


class _Attention(InterfaceAttention):
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        layer_past: Cache | None = None,
        **_: object,
    ) -> tuple[Tensor, Tensor]:
        query, key, value = (
            split_heads(self.by(matrix, hidden_states), self.config.num_heads)
            for matrix in ("q_proj", "k_proj", "v_proj")
        )
        if _windows(self.config)[self.layer_idx]:
            attention_mask = within_window(attention_mask, self.config.window_size)
        mix, probs = self.attend((query, key, value), layer_past, attention_mask, scaling=1.0)
        return self.by("out_proj", mix), probs


def _shape(config: PreTrainedConfig) -> ModelShape:
    shape = ModelShape(
        layers=config.num_layers,
        hidden=config.hidden_size,
        heads=config.num_heads,
        kv_heads=config.num_heads,
        head_dim=config.hidden_size // config.num_heads,
        intermediate=config.intermediate_size or 4 * config.hidden_size,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
    )
    return with_window_in(shape, _windows(config), "window_size", config.window_size)


ARCHITECTURE = Architecture(
    model_type="gpt_neo",
    model_class="GPTNeoForCausalLM",
    blocks="transformer.h",
    attention="attn.attention",
    attention_output_matrix="attn.attention.out_proj",
    mlp_norm="ln_2",
    mlp="mlp",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.c_proj",
    final_norm="transformer.ln_f",
    token_embedding="transformer.wte",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: len(set(config.attention_layers)) == 1,
    check_config=lambda config: None,
    base_prefix="transformer.",
    through_interface=_Attention,
    ignored_weights=(r"(transformer\.)?h\.\d+\.attn\.attention\.(masked_)?bias",),
)
