"""Run a GPT-2 checkpoint by TransformerLens with all activations kept, once for each line read, and
print the seconds. benchmarks/interventions.py starts it, with TransformerLens on PYTHONPATH.

python run_with_cache.py CHECKPOINT THREADS ID…
"""

from __future__ import annotations

import sys
import time

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig
from transformer_lens.pretrained.weight_conversions import convert_gpt2_weights
from transformers import GPT2LMHeadModel


def main() -> None:
    checkpoint, threads, *ids = sys.argv[1:]
    torch.set_num_threads(int(threads))
    theirs = GPT2LMHeadModel.from_pretrained(checkpoint)
    sizes = theirs.config
    config = HookedTransformerConfig(
        n_layers=sizes.n_layer,
        d_model=sizes.n_embd,
        n_heads=sizes.n_head,
        d_head=sizes.n_embd // sizes.n_head,
        d_mlp=4 * sizes.n_embd,
        n_ctx=sizes.n_positions,
        d_vocab=sizes.vocab_size,
        act_fn="gelu_new",
        eps=sizes.layer_norm_epsilon,
        normalization_type="LN",
        device="cpu",
    )
    model = HookedTransformer(config)
    model.load_state_dict(convert_gpt2_weights(theirs, config), strict=False)
    tokens = torch.tensor([[int(token) for token in ids]])
    with torch.inference_mode():
        for _ in sys.stdin:
            start = time.perf_counter()
            model.run_with_cache(tokens)
            print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    main()
