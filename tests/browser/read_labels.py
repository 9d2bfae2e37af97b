"""Prints what transformers makes of a text for a classifier, as JSON: its tokenizer's ids, and the
labels' probabilities, (labels) of the whole text or (tokens, labels), also with the first head of
the first layer switched off.

usage: read_labels.py CHECKPOINT, with the text on standard input
"""

import json
import sys

import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)


def main() -> None:
    """Run the checkpoint on the text."""
    checkpoint = sys.argv[1]
    fed = AutoTokenizer.from_pretrained(checkpoint)(sys.stdin.read(), return_tensors="pt")
    config = AutoConfig.from_pretrained(checkpoint)
    of_texts = config.architectures[0].endswith("ForSequenceClassification")
    loader = AutoModelForSequenceClassification if of_texts else AutoModelForTokenClassification
    model = loader.from_pretrained(checkpoint).eval()
    matrix = model.bert.encoder.layer[0].attention.output.dense
    width = config.hidden_size // config.num_attention_heads
    with torch.no_grad():
        before = model(**fed).logits[0].softmax(-1)
        matrix.register_forward_pre_hook(
            lambda _m, given: (torch.cat([given[0][..., :width] * 0, given[0][..., width:]], -1),)
        )
        after = model(**fed).logits[0].softmax(-1)
    labels = [config.id2label[at] for at in range(config.num_labels)]
    found = {"ids": fed["input_ids"][0].tolist(), "labels": labels}
    print(json.dumps(found | {"before": before.tolist(), "after": after.tolist()}))


if __name__ == "__main__":
    main()
