"""Print as JSON everything that the installed transformers makes of a checkpoint folder: run in
environments with different versions of transformers, and compare what they print."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline

TEXTS = (
    "When Robin and Clara went to the lake, Clara gave a book to",
    "The keys to the cabinet",
    "<|endoftext|>One, two, three,",
    "One day<|endoftext|> Tom found a  box . It 's n't 5 .",
    "naïve 你好 🙂\n\n\ttab",
)
NEW_TOKENS = 8


def describe(folder: Path) -> dict[str, Any]:
    """Read, compute and generate with `folder` as a user of its model card does."""
    torch.set_num_threads(1)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder)
    return {
        "version": transformers.__version__,
        "dtype": str(model.dtype),
        "special": dict(tokenizer.special_tokens_map),
        "end": [tokenizer.eos_token_id, model.config.eos_token_id],
        "start": [tokenizer.bos_token_id, model.config.bos_token_id],
        "longest": [tokenizer.model_max_length, model.config.max_position_embeddings],
        "size": [len(tokenizer), model.config.vocab_size],
        "texts": [_of_text(model, tokenizer, text) for text in TEXTS],
        "padded": _padded(model, tokenizer),
        "pipeline": _from_pipeline(folder),
    }


def _of_text(model: Any, tokenizer: Any, text: str) -> dict[str, Any]:
    inputs = tokenizer(text, return_tensors="pt")
    ids = inputs["input_ids"][0].tolist()
    with torch.no_grad():
        logits = model(**inputs).logits[0, -1]
    greedy = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    torch.manual_seed(0)
    sampled = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=True)
    # With nothing said, the folder's generation_config.json decides what is generated.
    unasked = model.generate(**inputs)
    return {
        "inputs": sorted(inputs),
        "ids": ids,
        "decoded": tokenizer.decode(ids),
        "without special": tokenizer.decode(ids, skip_special_tokens=True),
        "logits": logits.tolist(),
        "greedy": tokenizer.decode(greedy[0]),
        "sampled": tokenizer.decode(sampled[0]),
        "unasked": tokenizer.decode(unasked[0]),
    }


def _padded(model: Any, tokenizer: Any) -> list[str]:
    """Generate for several texts at once, padded with the end token as GPT-2's users do."""
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side = "left"
    inputs = tokenizer(list(TEXTS), padding=True, return_tensors="pt")
    made = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False)
    return list(tokenizer.batch_decode(made))


def _from_pipeline(folder: Path) -> list[str]:
    generate = pipeline("text-generation", model=str(folder))
    return [
        generate(text, max_new_tokens=NEW_TOKENS, do_sample=False)[0]["generated_text"]
        for text in TEXTS
    ]


if __name__ == "__main__":
    print(json.dumps(describe(Path(sys.argv[1]))))
