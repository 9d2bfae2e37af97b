"""GPT-NeoX and Pythia: LayerNorm, rotary positions in a part of each head, one matrix for queries,
keys and values, and blocks that are mostly parallel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.llama import check_rotary
from oriel.models.architectures.plain_heads import plain_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def _shape(config: PreTrainedConfig) -> ModelShape:
    parallel = config.use_parallel_residual
    return replace(plain_shape(config, config.intermediate_size), parallel_residual=parallel)


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
