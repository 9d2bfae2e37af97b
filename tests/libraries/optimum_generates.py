"""Generate with Optimum's ORTModelForCausalLM, beside transformers 4. Reads the request of
test_libraries.py on standard input and prints the tokens after each prompt."""

from __future__ import annotations

import json
import sys

import torch
from optimum.onnxruntime import ORTModelForCausalLM


def main() -> None:
    asked = json.load(sys.stdin)
    # The folder alone, as a user says it; other dtypes by their file.
    chosen = {"subfolder": "onnx", "file_name": asked["file"]} if asked["file"] else {}
    model = ORTModelForCausalLM.from_pretrained(asked["folder"], **chosen)
    longest = max(map(len, asked["prompts"]))
    pads = [longest - len(prompt) for prompt in asked["prompts"]]
    ids = [[asked["pad"]] * n + p for n, p in zip(pads, asked["prompts"], strict=True)]
    mask = [[0] * n + [1] * (longest - n) for n in pads]
    torch.manual_seed(asked["seed"])
    made = model.generate(
        input_ids=torch.tensor(ids),
        attention_mask=torch.tensor(mask),
        max_new_tokens=asked["new_tokens"],
        pad_token_id=asked["pad"],
        **asked["how"],
    )
    print(json.dumps(made[:, longest:].tolist()))


main()
