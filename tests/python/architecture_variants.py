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
TINY_BERT: dict[str, Any] = {
    "vocab_size": 61,
    "max_position_embeddings": 34,
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
}
TWO_LAYERS = {**TINY_LLAMA, "num_hidden_layers": 2, "pad_token_id": None}
TWO_LIKE_GPT2 = {**TINY_GPT2, "n_layer": 2}
TINY_GPT_NEO = {
    **{"vocab_size": 61, "max_position_embeddings": 32, "hidden_size": 24, "num_layers": 2},
    **{"num_heads": 3, "window_size": 4, "bos_token_id": 0, "eos_token_id": 0},
}
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


def like_gpt2(name: str, **settings: Any) -> Variant:
    """Describe a random model of two layers whose config has GPT-2's names."""
    return Variant(f"{name}Config", f"{name}ForCausalLM", TWO_LIKE_GPT2, settings)


def bloom(**settings: Any) -> Variant:
    """Describe a random BLOOM of two layers."""
    sizes = {"vocab_size": 61, "seq_length": 32, "hidden_size": 24, "n_layer": 2, "n_head": 4}
    return Variant("BloomConfig", "BloomForCausalLM", sizes, settings)


def gpt_neo(**settings: Any) -> Variant:
    """Describe a random GPT-Neo of two layers."""
    return Variant("GPTNeoConfig", "GPTNeoForCausalLM", TINY_GPT_NEO, settings)


def small(name: str, **settings: Any) -> Variant:
    """Describe a random model of two layers, by what transformers' names of it begin with."""
    model = f"{name.removesuffix('Text')}ForCausalLM"
    return Variant(f"{name}Config", model, TWO_LAYERS, settings)


def encoder(name: str, **settings: Any) -> Variant:
    """Describe a random masked language model of two layers."""
    return Variant(f"{name}Config", f"{name}ForMaskedLM", TINY_BERT, settings)


MODERN = {
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
    **{"cls_token_id": 1, "sep_token_id": 2},
}
VARIANTS: dict[str, Variant] = {
    "bert": encoder("Bert"),
    "bert-repeated": encoder("Bert", num_hidden_layers=4, hidden_act="gelu_new"),
    "bert-untied-one-segment": encoder("Bert", tie_word_embeddings=False, type_vocab_size=1),
    "bloom": bloom(),
    "bloom-untied-heads-between-powers": bloom(
        n_layer=4, n_head=6, tie_word_embeddings=False, pretraining_tp=2
    ),
    "cohere": small("Cohere", logit_scale=0.5, use_qk_norm=True),
    "distilbert": Variant(
        "DistilBertConfig",
        "DistilBertForMaskedLM",
        {"vocab_size": 61, "max_position_embeddings": 32, "dim": 24, "hidden_dim": 40},
        {"n_layers": 2, "n_heads": 3, "activation": "relu"},
    ),
    "distilbert-fixed-positions-untied": Variant(
        "DistilBertConfig",
        "DistilBertForMaskedLM",
        {"vocab_size": 61, "max_position_embeddings": 32, "dim": 24, "hidden_dim": 40},
        {"n_layers": 2, "n_heads": 3, "sinusoidal_pos_embds": True, "tie_word_embeddings": False},
    ),
    "electra": encoder("Electra", embedding_size=24),
    "electra-narrow-embeddings": encoder("Electra", embedding_size=16, type_vocab_size=3),
    "falcon": small("Falcon", hidden_size=48, alibi=False),
    "falcon-alibi-sequential-biased": small(
        "Falcon",
        alibi=True,
        multi_query=False,
        parallel_attn=False,
        bias=True,
        num_kv_heads=6,
        num_hidden_layers=4,
    ),
    "falcon-grouped-two-norms-untied": small(
        "Falcon",
        hidden_size=48,
        new_decoder_architecture=True,
        num_kv_heads=2,
        ffn_hidden_size=40,
        tie_word_embeddings=False,
    ),
    "falcon-grouped-alibi-one-norm": small(
        "Falcon",
        alibi=True,
        new_decoder_architecture=True,
        num_kv_heads=3,
        num_ln_in_parallel_attn=1,
        activation="relu",
    ),
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
    "gpt_neo": gpt_neo(attention_types=[[["global", "local"], 1]]),
    "gpt_neo-windows-untied": gpt_neo(
        num_layers=4,
        attention_types=[[["local"], 4]],
        tie_word_embeddings=False,
        intermediate_size=17,
    ),
    "gpt_neox": small("GPTNeoX", hidden_size=48, rope_parameters=HALF_ROTARY),
    "gpt_neox-sequential-tied-unbiased": small(
        "GPTNeoX",
        hidden_size=48,
        use_parallel_residual=False,
        tie_word_embeddings=True,
        attention_bias=False,
    ),
    "gptj": like_gpt2("GPTJ", rotary_dim=4),
    "gptj-tied-wholly-rotary": like_gpt2(
        "GPTJ",
        n_layer=4,
        rotary_dim=8,
        tie_word_embeddings=True,
        n_inner=17,
        activation_function="relu",
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
    "modernbert": encoder(
        "ModernBert",
        **MODERN,
        num_hidden_layers=3,
        local_attention=4,
        global_attn_every_n_layers=2,
    ),
    "modernbert-biased-everywhere-seen": encoder(
        "ModernBert",
        **MODERN,
        layer_types=["full_attention", "full_attention"],
        attention_bias=True,
        mlp_bias=True,
        norm_bias=True,
        classifier_bias=True,
        decoder_bias=False,
        tie_word_embeddings=False,
    ),
    "opt": small("OPT", ffn_dim=40),
    "opt-norms-after-sums-projected": small(
        "OPT", ffn_dim=40, do_layer_norm_before=False, word_embed_proj_dim=12
    ),
    "opt-untied-unbiased-exact-gelu": small(
        "OPT",
        ffn_dim=17,
        num_hidden_layers=4,
        tie_word_embeddings=False,
        enable_bias=False,
        layer_norm_elementwise_affine=False,
        activation_function="gelu",
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
    "roberta": encoder("Roberta", type_vocab_size=1),
    "roberta-untied-other-padding": encoder(
        "Roberta", tie_word_embeddings=False, pad_token_id=0, num_hidden_layers=3
    ),
    "smollm3": small("SmolLM3", no_rope_layers=[1, 0], tie_word_embeddings=False),
    "stablelm": small("StableLm", hidden_size=48, use_qkv_bias=True, qk_layernorm=True),
    "stablelm-parallel": small("StableLm", hidden_size=48, use_parallel_residual=True),
    "starcoder2": small("Starcoder2", sliding_window=None),
    "starcoder2-window-unbiased": small("Starcoder2", sliding_window=4, use_bias=False),
}

TINY_DISTILBERT: dict[str, Any] = {
    **{"vocab_size": 61, "max_position_embeddings": 32, "dim": 24, "hidden_dim": 40},
    **{"n_layers": 2, "n_heads": 3},
}


def classifier(name: str, of: str, labels: int, **settings: Any) -> Variant:
    """Describe a random encoder of two layers with a head over labels: of "Sequence", whole texts,
    or of "Token"."""
    sizes = TINY_DISTILBERT if name == "DistilBert" else TINY_BERT
    settings = {"num_labels": labels, **settings}
    return Variant(f"{name}Config", f"{name}For{of}Classification", sizes, settings)


CLASSIFIERS: dict[str, Variant] = {
    "bert-texts": classifier("Bert", "Sequence", 3),
    "bert-number": classifier("Bert", "Sequence", 1, num_hidden_layers=4, type_vocab_size=1),
    "bert-tokens": classifier("Bert", "Token", 5),
    "distilbert-texts": classifier("DistilBert", "Sequence", 4),
    "distilbert-tokens": classifier("DistilBert", "Token", 2),
    "electra-texts": classifier("Electra", "Sequence", 2, embedding_size=16),
    "electra-tokens": classifier("Electra", "Token", 3, embedding_size=24),
    "modernbert-texts-first": classifier(
        "ModernBert", "Sequence", 3, **MODERN, classifier_pooling="cls"
    ),
    "modernbert-texts-mean-several": classifier(
        "ModernBert",
        "Sequence",
        2,
        **MODERN,
        classifier_pooling="mean",
        local_attention=4,
        problem_type="multi_label_classification",
    ),
    "modernbert-tokens": classifier(
        "ModernBert", "Token", 4, **MODERN, classifier_bias=True, norm_bias=True
    ),
    "roberta-texts-numbers": classifier("Roberta", "Sequence", 2, problem_type="regression"),
    "roberta-tokens": classifier("Roberta", "Token", 3),
}
"""Encoders with a head over labels, which test_classifiers.py compares."""

LONG = {
    **{"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 16},
    **{"short_factor": [1.0, 1.0], "long_factor": [1.0, 2.0]},
}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
ROTARY = (
    *(
        "Cohere",
        "Falcon",
        "Gemma",
        "Gemma2",
        "GPTNeoX",
        "Granite",
        "Llama",
        "Mistral",
        "Olmo",
        "Olmo2",
    ),
    *("Mixtral", "Olmoe", "Phi", "Qwen2", "Qwen3", "Qwen3Moe", "SmolLM3", "StableLm", "Starcoder2"),
)
REFUSED: tuple[tuple[Variant, str], ...] = (
    (
        bloom(apply_residual_connection_post_layernorm=True),
        "apply_residual_connection_post_layernorm: true",
    ),
    (bloom(slow_but_exact=True), "slow_but_exact: true"),
    (gpt2(add_cross_attention=True), "add_cross_attention: true"),
    *(
        (encoder(name, is_decoder=True), "is_decoder: true")
        for name in ("Bert", "Roberta", "Electra")
    ),
    (encoder("Roberta", pad_token_id=None), "pad_token_id: None"),
    (
        encoder("ModernBert", **MODERN, rope_parameters={"full_attention": DYNAMIC}),
        "rope_type 'dynamic'",
    ),
    *((small(name, rope_parameters=DYNAMIC), "rope_type 'dynamic'") for name in ROTARY),
    (
        small("Gemma3Text", rope_parameters={"full_attention": DYNAMIC}),
        "rope_type 'dynamic'",
    ),
    (
        small("Falcon", new_decoder_architecture=True, parallel_attn=False),
        "parallel_attn: false with new_decoder_architecture: true",
    ),
    (
        small("Falcon", num_ln_in_parallel_attn=2),
        "num_ln_in_parallel_attn: 2 with new_decoder_architecture: false",
    ),
    (
        small("Falcon", multi_query=False, num_kv_heads=2),
        "num_kv_heads: 2 with new_decoder_architecture: false",
    ),
    (small("Gemma2", use_bidirectional_attention=True), "use_bidirectional_attention: true"),
    (small("Gemma3Text", use_bidirectional_attention=True), "use_bidirectional_attention: true"),
    (gpt_neo(attention_types=[[["local"], 2]], window_size=0), "window_size: 0"),
    (like_gpt2("GPTJ", rotary_dim=10), "rotary_dim: 10"),
    (like_gpt2("GPTJ", rotary_dim=3), "rotary_dim: 3"),
    (small("OPT", _remove_final_layer_norm=True), "_remove_final_layer_norm: true"),
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

UNFIT: dict[str, tuple[Variant, str]] = {
    "olmoe-head-dim": (
        small("Olmoe", num_experts=4, num_experts_per_tok=2, head_dim=10),
        "RuntimeError in transformers' own pass",
    ),
    "olmoe-heads": (
        small(
            "Olmoe",
            num_experts=4,
            num_experts_per_tok=2,
            num_attention_heads=7,
            num_key_value_heads=7,
        ),
        "RuntimeError in transformers' own pass",
    ),
    "phi-heads": (
        small("Phi", hidden_size=48, num_attention_heads=7, num_key_value_heads=7),
        "RuntimeError in transformers' own pass",
    ),
    "llama-odd-head-dim": (llama(head_dim=3), "RuntimeError in transformers' own pass"),
    "llama-key-heads": (llama(num_key_value_heads=4), "6 heads over 4 key heads"),
    "gpt2-negative-heads": (gpt2(n_head=-3), "heads -3"),
    "llama-width-0": (llama(hidden_size=0), "hidden 0"),
    "mixtral-neurons-0": (small("Mixtral", intermediate_size=0), "intermediate 0"),
}
"""Configs that transformers itself can't compute, and what the refusal names."""
