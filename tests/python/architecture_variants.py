"""Tiny random models of every architecture, one for each setting that changes the computation, and
configs that are refused. The tests export each model and compare it with transformers;
scripts/generate_architectures.py lists both in docs/architectures.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import transformers
from transformers import PreTrainedConfig, PreTrainedModel

TINY_GPT2: dict[str, Any] = {
    "vocab_size": 61,
    "n_positions": 32,
    "n_embd": 24,
    "n_layer": 5,
    "n_head": 3,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
TINY_LLAMA: dict[str, Any] = {
    "vocab_size": 61,
    "max_position_embeddings": 32,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 5,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "bos_token_id": 0,
    "eos_token_id": 0,
}
TWO_LAYERS = {**TINY_LLAMA, "num_hidden_layers": 2, "pad_token_id": None}
HALF_ROTARY = {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}
ALTERNATING = ["sliding_attention", "full_attention"]


@dataclass(frozen=True)
class Variant:
    """A random model: the names of its classes in transformers, and its config's entries."""

    config_class: str
    model_class: str
    sizes: Mapping[str, Any]
    settings: Mapping[str, Any]
    """Entries that differ from the sizes and from transformers' defaults."""

    def config(self) -> PreTrainedConfig:
        made: PreTrainedConfig = getattr(transformers, self.config_class)(
            **{**self.sizes, **self.settings}
        )
        return made

    def __call__(self) -> PreTrainedModel:
        model: PreTrainedModel = getattr(transformers, self.model_class)(self.config())
        return model


def gpt2(**settings: Any) -> Variant:
    """Describe a random GPT-2."""
    return Variant("GPT2Config", "GPT2LMHeadModel", TINY_GPT2, settings)


def llama(**settings: Any) -> Variant:
    """Describe a random Llama of five layers."""
    return Variant("LlamaConfig", "LlamaForCausalLM", TINY_LLAMA, settings)


def small(name: str, **settings: Any) -> Variant:
    """Describe a random model of two layers, by what transformers' names of it begin with."""
    model = f"{name.removesuffix('Text')}ForCausalLM"
    return Variant(f"{name}Config", model, TWO_LAYERS, settings)


VARIANTS: dict[str, Variant] = {
    "cohere": small("Cohere", logit_scale=0.5, use_qk_norm=True),
    "gemma": small("Gemma", head_dim=10),
    "gemma2": small(
        "Gemma2",
        head_dim=10,
        sliding_window=4,
        attn_logit_softcapping=3.0,
        final_logit_softcapping=2.0,
        query_pre_attn_scalar=7,
        layer_types=ALTERNATING,
    ),
    "gemma3": small(
        "Gemma3Text",
        head_dim=10,
        sliding_window=4,
        layer_types=ALTERNATING,
        final_logit_softcapping=2.0,
        rope_parameters={
            "full_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 50000.0},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    "gpt2": gpt2(),
    "gpt2-two-layers": gpt2(n_layer=2),
    "gpt2-one-layer-one-head": gpt2(n_layer=1, n_head=1),
    "gpt2-untied": gpt2(tie_word_embeddings=False),
    "gpt2-unscaled": gpt2(scale_attn_weights=False),
    "gpt2-inverse-layer-scale": gpt2(scale_attn_by_inverse_layer_idx=True),
    "gpt2-reordered": gpt2(
        reorder_and_upcast_attn=True, scale_attn_by_inverse_layer_idx=True, n_layer=4
    ),
    "gpt2-relu-narrow": gpt2(activation_function="relu", n_inner=17),
    "gpt2-exact-gelu": gpt2(activation_function="gelu"),
    "gpt2-quick-gelu": gpt2(activation_function="quick_gelu"),
    "gpt2-silu-odd-vocabulary": gpt2(activation_function="silu", vocab_size=97, n_embd=21),
    "gpt_neox": small("GPTNeoX", hidden_size=48, rope_parameters=HALF_ROTARY),
    "gpt_neox-sequential-tied-unbiased": small(
        "GPTNeoX",
        hidden_size=48,
        use_parallel_residual=False,
        tie_word_embeddings=True,
        attention_bias=False,
    ),
    "granite": small(
        "Granite",
        embedding_multiplier=3.0,
        residual_multiplier=0.3,
        attention_multiplier=0.2,
        logits_scaling=4.0,
    ),
    "llama": llama(),
    "llama-tied-wide-heads": llama(tie_word_embeddings=True, head_dim=10),
    "llama-biased-scaled-rope": llama(
        attention_bias=True,
        mlp_bias=True,
        rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0},
    ),
    "mistral": small("Mistral", sliding_window=None, head_dim=10),
    "mistral-window-repeated": small("Mistral", sliding_window=4, num_hidden_layers=4),
    "mixtral": small("Mixtral", num_local_experts=4, head_dim=10),
    "mixtral-window-all-experts-repeated": small(
        "Mixtral",
        num_local_experts=3,
        num_experts_per_tok=3,
        sliding_window=4,
        num_hidden_layers=4,
        tie_word_embeddings=True,
    ),
    "olmo": small("Olmo", clip_qkv=0.6),
    "olmo2": small("Olmo2"),
    "olmoe": small("Olmoe", num_experts=5, num_experts_per_tok=3, clip_qkv=0.6),
    "olmoe-normed-weights": small(
        "Olmoe",
        num_experts=4,
        num_experts_per_tok=2,
        norm_topk_prob=True,
        hidden_act="gelu_new",
        attention_bias=True,
    ),
    "phi": small("Phi", hidden_size=48, num_key_value_heads=6, rope_parameters=HALF_ROTARY),
    "phi-norm-of-queries-grouped": small("Phi", hidden_size=48, qk_layernorm=True),
    "phi3": small("Phi3", sliding_window=None),
    "phi3-window-partly-rotary": small(
        "Phi3", hidden_size=48, sliding_window=4, rope_parameters=HALF_ROTARY
    ),
    "qwen2": small("Qwen2", tie_word_embeddings=True),
    "qwen2-windows-in-later-layers": small(
        "Qwen2", use_sliding_window=True, sliding_window=4, max_window_layers=1
    ),
    "qwen3": small("Qwen3", head_dim=10, attention_bias=True),
    "qwen3_moe": small(
        "Qwen3Moe", num_experts=4, num_experts_per_tok=1, moe_intermediate_size=14, head_dim=10
    ),
    "qwen3_moe-one-mlp-in-some-layers": small(
        "Qwen3Moe",
        num_hidden_layers=5,
        num_experts=4,
        num_experts_per_tok=2,
        moe_intermediate_size=14,
        norm_topk_prob=True,
        decoder_sparse_step=2,
        mlp_only_layers=[1],
        use_sliding_window=True,
        sliding_window=4,
    ),
    "smollm3": small("SmolLM3", no_rope_layers=[1, 0], tie_word_embeddings=False),
    "stablelm": small("StableLm", hidden_size=48, use_qkv_bias=True, qk_layernorm=True),
    "stablelm-parallel": small("StableLm", hidden_size=48, use_parallel_residual=True),
    "starcoder2": small("Starcoder2", sliding_window=None),
    "starcoder2-window-unbiased": small("Starcoder2", sliding_window=4, use_bias=False),
}

LONG = {
    **{"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16},
    **{"short_factor": [1.0, 1.0], "long_factor": [1.0, 2.0]},
}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
ROTARY = (
    *("Cohere", "Gemma", "Gemma2", "GPTNeoX", "Granite", "Llama", "Mistral", "Olmo", "Olmo2"),
    *("Mixtral", "Olmoe", "Phi", "Qwen2", "Qwen3", "Qwen3Moe", "SmolLM3", "StableLm", "Starcoder2"),
)
REFUSED: tuple[tuple[Variant, str], ...] = (
    (gpt2(add_cross_attention=True), "add_cross_attention: true"),
    *((small(name, rope_parameters=DYNAMIC), "rope_type 'dynamic'") for name in ROTARY),
    (
        small("Gemma3Text", rope_parameters={"full_attention": DYNAMIC}),
        "rope_type 'dynamic'",
    ),
    (small("Gemma2", use_bidirectional_attention=True), "use_bidirectional_attention: true"),
    (small("Gemma3Text", use_bidirectional_attention=True), "use_bidirectional_attention: true"),
    (small("Phi3", rope_parameters=LONG), "rope_type 'longrope'"),
    (small("Granite", residual_multiplier=0.0), "residual_multiplier: 0.0"),
    (small("Granite", logits_scaling=0.0), "logits_scaling: 0.0"),
    (small("Mistral", sliding_window=0), "sliding_window: 0"),
    (
        small("Mixtral", num_local_experts=2, num_experts_per_tok=3),
        "num_experts_per_tok: 3 of 2",
    ),
)
"""Configs, and what the refusal names."""
