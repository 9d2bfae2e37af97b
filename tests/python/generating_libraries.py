"""Tiny decoders, and the tokens that libraries must generate with their files: for float32 those of
transformers, for a quantized graph those of a plain loop over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tokenizer_folders import VOCAB
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

PAD, NEW_TOKENS, SEED = 0, 8, 3
PROMPTS = [[5, 170, 33], [91, 12, 250, 7, 66, 201, 18], [44]]
GREEDY: dict[str, Any] = {"do_sample": False}
Tokens = list[list[int]]
Array = np.ndarray[Any, Any]


def tiny_decoder(name: str) -> PreTrainedModel:
    common: dict[str, Any] = {"vocab_size": VOCAB, "bos_token_id": 0, "eos_token_id": 0}
    if name == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_positions=32, n_embd=24, n_layer=3, n_head=3, **common))
    return LlamaForCausalLM(
        LlamaConfig(
            max_position_embeddings=32,
            hidden_size=32,
            intermediate_size=44,
            num_hidden_layers=3,
            num_attention_heads=4,
            num_key_value_heads=2,
            **common,
        )
    )


def padded(prompts: Sequence[Sequence[int]]) -> tuple[Array, Array]:
    """Pad prompts on the left. Return ids and mask."""
    longest = max(map(len, prompts))
    ids = [[PAD] * (longest - len(prompt)) + list(prompt) for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    return np.array(ids), np.array(mask)


def in_transformers(checkpoint: Path, how: Mapping[str, Any]) -> Tokens:
    """Return what the checkpoint itself generates."""
    ids, mask = map(torch.from_numpy, padded(PROMPTS))
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint)
    torch.manual_seed(SEED)
    made = model.generate(
        input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, pad_token_id=PAD, **how
    )
    tokens: Tokens = made[:, ids.shape[1] :].tolist()
    return tokens


def in_a_loop(graph: Path, prompts: Sequence[Sequence[int]]) -> Tokens:
    """Return what the graph's likeliest tokens are, each fed after the ones before. Quantized
    graphs are another model than the checkpoint, so this is what libraries must give for them."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options)
    ids, mask = padded(prompts)
    past = {
        port.name: np.zeros((len(ids), port.shape[1], 0, port.shape[3]), np.float32)
        for port in session.get_inputs()
        if port.name.startswith("past_key_values.")
    }
    names = ["logits", *(name.replace("past_key_values", "present") for name in past)]
    # int8's ranges are drawn over a whole call, so even the positions of pads count: all use 1.
    positions = np.where(mask == 1, mask.cumsum(1) - 1, 1)
    made: list[Array] = []
    for _ in range(NEW_TOKENS):
        feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **past}
        logits, *present = session.run(names, feeds)
        ids = logits[:, -1].argmax(-1)[:, None]
        made.append(ids)
        past = dict(zip(past, present, strict=True))
        mask = np.concatenate([mask, np.ones_like(ids)], 1)
        positions = positions[:, -1:] + 1
    tokens: Tokens = np.concatenate(made, 1).tolist()
    return tokens


def asked_of(folder: Path, how: Mapping[str, Any], **more: object) -> dict[str, object]:
    """Return what a program of tests/libraries is asked for."""
    return {
        "folder": str(folder),
        "file": None,
        "prompts": PROMPTS,
        "pad": PAD,
        "new_tokens": NEW_TOKENS,
        "seed": SEED,
        "how": how,
        **more,
    }
