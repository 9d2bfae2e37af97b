"""Prints the next token's probabilities after token ids, as JSON, by transformers' own model with
experts, which computes one expert after the other.

usage: read_experts.py CHECKPOINT, with a list of ids as JSON on standard input
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM


def main() -> None:
    """Run the checkpoint on the ids."""
    ids = torch.tensor([json.load(sys.stdin)])
    model = AutoModelForCausalLM.from_pretrained(
        sys.argv[1], attn_implementation="eager", experts_implementation="eager"
    ).eval()
    with torch.no_grad():
        logits = model(ids).logits[0, -1]
    print(json.dumps({"next": logits.softmax(-1).tolist()}))


if __name__ == "__main__":
    main()
