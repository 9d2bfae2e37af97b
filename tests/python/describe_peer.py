"""Run a checkpoint through another library and save all that it names. Runs with that library on
PYTHONPATH, as test_peer_names.py does, and imports nothing of ours, so that no mistake is
shared."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor
from transformers import AutoConfig

Arrays = dict[str, NDArray[Any]]


def hooked_transformer(model: Any, ids: Tensor) -> Arrays:
    """TransformerLens 3, its own implementation with the checkpoint's weights as they are."""
    from transformer_lens import HookedTransformer, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import (
        convert_gpt2_weights,
        convert_llama_weights,
        convert_mixtral_weights,
    )

    theirs = model.config
    same = {
        "n_layers": theirs.num_hidden_layers,
        "d_model": theirs.hidden_size,
        "n_heads": theirs.num_attention_heads,
        "n_ctx": theirs.max_position_embeddings,
        "d_vocab": theirs.vocab_size,
        "dtype": torch.float32,
        "device": "cpu",
    }
    if theirs.model_type == "gpt2":
        config = HookedTransformerConfig(
            d_head=theirs.n_embd // theirs.n_head,
            d_mlp=theirs.n_inner,
            act_fn="gelu_new",
            eps=theirs.layer_norm_epsilon,
            normalization_type="LN",
            **same,
        )
        weights = convert_gpt2_weights(model, config)
    else:
        experts: dict[str, Any] = {}
        if theirs.model_type == "mixtral":
            experts = {"num_experts": theirs.num_local_experts, "norm_topk_prob": True}
            experts |= {"experts_per_token": theirs.num_experts_per_tok}
        config = HookedTransformerConfig(
            **experts,
            d_head=theirs.head_dim,
            d_mlp=theirs.intermediate_size,
            n_key_value_heads=theirs.num_key_value_heads,
            act_fn="silu",
            gated_mlp=True,
            eps=theirs.rms_norm_eps,
            normalization_type="RMS",
            final_rms=True,
            positional_embedding_type="rotary",
            rotary_dim=theirs.head_dim,
            rotary_adjacent_pairs=False,
            rotary_base=int(theirs.rope_parameters["rope_theta"]),
            **same,
        )
        convert = convert_mixtral_weights if experts else convert_llama_weights
        weights = convert(model, config)
    hooked = HookedTransformer(config)
    hooked.load_state_dict(weights, strict=False)
    return _arrays(hooked.eval().run_with_cache(ids)[1])


def hooked_encoder(model: Any, ids: Tensor) -> Arrays:
    """TransformerLens 3, its own BERT with the checkpoint's weights as they are."""
    from transformer_lens import HookedEncoder, HookedTransformerConfig
    from transformer_lens.pretrained.weight_conversions import convert_bert_weights

    theirs = model.config
    config = HookedTransformerConfig(
        n_layers=theirs.num_hidden_layers,
        d_model=theirs.hidden_size,
        n_heads=theirs.num_attention_heads,
        d_head=theirs.hidden_size // theirs.num_attention_heads,
        d_mlp=theirs.intermediate_size,
        n_ctx=theirs.max_position_embeddings,
        d_vocab=theirs.vocab_size,
        act_fn="gelu",
        eps=theirs.layer_norm_eps,
        attention_dir="bidirectional",
        dtype=torch.float32,
        device="cpu",
    )
    hooked = HookedEncoder(config)
    # It asks for the heads of pretraining, which a masked language model lacks and doesn't read.
    whole = transformers.BertForPreTraining(theirs)
    whole.load_state_dict(model.state_dict(), strict=False)
    hooked.load_state_dict(convert_bert_weights(whole, config), strict=False)
    return _arrays(hooked.eval().run_with_cache(ids)[1])


def bridge(model: Any, ids: Tensor) -> Arrays:
    """TransformerLens 3 or 4: hooks around the modules of transformers."""
    from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_from_module

    wrapped = build_bridge_from_module(model, type(model).__name__, hf_config=model.config)
    return _arrays(wrapped.run_with_cache(ids)[1])


def interp_engine(model: Any, ids: Tensor) -> Arrays:
    """interp-engine's eager backend: every point that it doesn't refuse."""
    from interp_engine.capture import capture
    from interp_engine.model import EagerModel

    class NoTokenizer:
        chat_template = None
        bos_token_id = eos_token_id = 0

    engine = EagerModel("local", hf_model=model, tokenizer=NoTokenizer(), device="cpu")
    found: Arrays = {}
    for point in engine.points():
        layers = (
            [""] if point.scope.value == "global" else [f".{n}" for n in range(engine.n_layers)]
        )
        for address in (point.name + layer for layer in layers):
            if engine.refuses(address) is None:
                found[address] = capture(engine, ids, [address])[address].numpy()
    return found


def _arrays(cache: Any) -> Arrays:
    tensors = {name: value for name, value in cache.items() if isinstance(value, Tensor)}
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


LIBRARIES = {
    "hooked_transformer": hooked_transformer,
    "hooked_encoder": hooked_encoder,
    "bridge": bridge,
    "interp_engine": interp_engine,
}


def main(library: str, checkpoint: str, ids: str, output: str) -> None:
    """Save every array that the library names to `output`, a safetensors file."""
    torch.set_num_threads(1)
    config = AutoConfig.from_pretrained(Path(checkpoint))
    # With its head over the vocabulary, of a causal or of a masked language model.
    (name,) = config.architectures
    model: Any = getattr(transformers, name).from_pretrained(
        Path(checkpoint), attn_implementation="eager"
    )
    with torch.no_grad():
        found = LIBRARIES[library](model.eval(), torch.from_numpy(np.load(ids)))
    save_file({name: np.ascontiguousarray(value) for name, value in found.items()}, output)


if __name__ == "__main__":
    main(*sys.argv[1:])
