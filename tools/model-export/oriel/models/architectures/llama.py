"""Llama: rotary positions, RMSNorm, grouped keys and values, gated MLP."""

from __future__ import annotations

from typing import Any

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture


def _shape(config: Any) -> ModelShape:
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_key_value_heads,
        head_dim=config.head_dim or config.hidden_size // config.num_attention_heads,
        intermediate=config.intermediate_size,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
    )


def _check_config(config: Any) -> None:
    kind = config.rope_parameters.get("rope_type", "default")
    # These two choose their frequencies by the length at hand, which one fixed graph can't do.
    if kind in ("dynamic", "longrope"):
        raise ArchitectureError(
            "these rotary positions change with the length of the text",
            got=f"rope_type {kind!r}",
            expected="default, linear, llama3 or yarn",
            next_step="set a fixed rope_type in the checkpoint's config.json.",
        )


ARCHITECTURE = Architecture(
    model_type="llama",
    model_class="LlamaForCausalLM",
    blocks="model.layers",
    attention="self_attn",
    attention_output_matrix="self_attn.o_proj",
    mlp_norm="post_attention_layernorm",
    mlp="mlp",
    mlp_nonlinearity="mlp.act_fn",
    mlp_output_matrix="mlp.down_proj",
    final_norm="model.norm",
    token_embedding="model.embed_tokens",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="model.",
    ignored_weights=(r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq",),
)
