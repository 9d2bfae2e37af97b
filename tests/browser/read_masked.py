"""Prints what transformers makes of a text for a masked language model, as JSON: its tokenizer's
ids, the probabilities at each position (tokens, vocab), and the first layer's attention of the
first head (tokens, tokens).

usage: read_masked.py CHECKPOINT, with the text on standard input
"""

import json
import sys

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer


def main() -> None:
    """Run the checkpoint on the text."""
    checkpoint = sys.argv[1]
    fed = AutoTokenizer.from_pretrained(checkpoint)(sys.stdin.read(), return_tensors="pt")
    model = AutoModelForMaskedLM.from_pretrained(checkpoint, attn_implementation="eager").eval()
    with torch.no_grad():
        made = model(**fed, output_attentions=True)
    found = {
        "ids": fed["input_ids"][0].tolist(),
        "probabilities": made.logits[0].softmax(-1).tolist(),
        "attention": made.attentions[0][0, 0].tolist(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
