"""GPT-NeoX and Pythia: LayerNorm, rotary positions in a part of each head, one matrix for queries,
keys and values, and blocks that are mostly parallel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.llama import check_rotary

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def _shape(config: PreTrainedConfig) -> ModelShape:
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        intermediate=config.intermediate_size,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
        parallel_residual=config.use_parallel_residual,
    )


ARCHITECTURE = Architecture(
    model_type="gpt_neox",
    model_class="GPTNeoXForCausalLM",
    blocks="gpt_neox.layers",
    attention="attention",
    attention_output_matrix="attention.dense",
    mlp_norm="post_attention_layernorm",
    mlp="mlp",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.dense_4h_to_h",
    final_norm="gpt_neox.final_layer_norm",
    token_embedding="gpt_neox.embed_in",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=check_rotary,
    base_prefix="gpt_neox.",
    ignored_weights=(
        r"(gpt_neox\.)?layers\.\d+\.attention\.(masked_)?bias",
        r"(gpt_neox\.)?layers\.\d+\.attention\.rotary_emb\.inv_freq",
    ),
    renamed_weights=((r"^embed_out\.", "lm_head."),),
)
