"""Prints what transformers makes of a conversation, as JSON: the text of its chat template, its
ids, those that are special tokens, and the probabilities of the next token (vocab).

usage: read_chat.py CHECKPOINT, with the messages as JSON on standard input
"""

import json
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main() -> None:
    """Run the checkpoint on the conversation."""
    checkpoint = sys.argv[1]
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    messages = json.load(sys.stdin)
    made = {"conversation": messages, "add_generation_prompt": True}
    ids = tokenizer.apply_chat_template(**made, tokenize=True, return_dict=False)
    with torch.no_grad():
        logits = AutoModelForCausalLM.from_pretrained(checkpoint).eval()(torch.tensor([ids])).logits
    found = {
        "text": tokenizer.apply_chat_template(**made, tokenize=False),
        "ids": ids,
        "special": [token for token in ids if token in tokenizer.all_special_ids],
        "next": logits[0, -1].softmax(-1).tolist(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
