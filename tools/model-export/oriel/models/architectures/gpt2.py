"""GPT-2: learned positions, LayerNorm before each part, Conv1D matrices, usually tied
embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def _shape(config: PreTrainedConfig) -> ModelShape:
    return ModelShape(
        layers=config.n_layer,
        hidden=config.n_embd,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_dim=config.n_embd // config.n_head,
        intermediate=config.n_inner if config.n_inner is not None else 4 * config.n_embd,
        vocab=config.vocab_size,
        context_length=config.n_positions,
    )


def gpt2_shape_but(**properties: bool) -> Callable[[PreTrainedConfig], ModelShape]:
    """Return a function that reads GPT-2's sizes, with other properties of a ModelShape."""
    return lambda config: replace(_shape(config), **properties)  # type: ignore[arg-type]


def _check_config(config: PreTrainedConfig) -> None:
    if config.add_cross_attention:
        raise ArchitectureError(
            "this GPT-2 reads a second sequence through cross-attention",
            got="add_cross_attention: true",
            expected="a decoder alone",
            next_step="export the checkpoint's decoder with add_cross_attention: false.",
        )


ARCHITECTURE = Architecture(
    model_type="gpt2",
    model_class="GPT2LMHeadModel",
    blocks="transformer.h",
    attention="attn",
    attention_output_matrix="attn.c_proj",
    mlp_norm="ln_2",
    mlp="mlp",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.c_proj",
    final_norm="transformer.ln_f",
    token_embedding="transformer.wte",
    unembedding="lm_head",
    shape=_shape,
    # The inverse layer index makes each block's scale its own.
    repeatable=lambda config: not config.scale_attn_by_inverse_layer_idx,
    check_config=_check_config,
    base_prefix="transformer.",
    ignored_weights=(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias",),
    telling_entries=frozenset({"n_embd", "n_head", "n_layer"}),
)
