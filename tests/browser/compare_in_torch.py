"""Runs texts through a checkpoint with transformers, and prints what a comparison of two of them
must show: streams after each layer, what the logit lens reads there, and the last token's logits.

Reads a JSON object from standard input: `checkpoint`, and `texts`, each with `patches`: (from text,
from layer, from position, layer, position), values that are put into the stream after a layer.
Shares no code with the page.
"""

import json
import sys
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, AutoTokenizer


def run(model: Any, ids: list[int], patches: list[tuple[int, int, Tensor]]) -> dict[str, Any]:
    """Run a text with streams put in at (layer, position), and return its numbers as tensors."""
    blocks, streams, handles = model.transformer.h, {}, []

    def hook(layer: int) -> Any:
        def put_in(_module: Any, _args: Any, output: Any) -> Any:
            stream = (output[0] if isinstance(output, tuple) else output).clone()
            for at, position, value in patches:
                if at == layer:
                    stream[0, position] = value
            streams[layer] = stream
            return (stream, *output[1:]) if isinstance(output, tuple) else stream

        return put_in

    for layer, block in enumerate(blocks):
        handles.append(block.register_forward_hook(hook(layer)))
    with torch.no_grad():
        logits = model(torch.tensor([ids]), use_cache=False).logits[0, -1]
        read = [
            model.lm_head(model.transformer.ln_f(streams[layer][0])) for layer in range(len(blocks))
        ]
    for handle in handles:
        handle.remove()
    return {"logits": logits, "streams": [streams[i][0] for i in range(len(blocks))], "lens": read}


def main() -> None:
    """Print the numbers of every text."""
    asked = json.load(sys.stdin)
    model: Any = AutoModelForCausalLM.from_pretrained(asked["checkpoint"])
    model = model.float().eval()
    tokenizer = AutoTokenizer.from_pretrained(asked["checkpoint"])
    found: list[dict[str, Any]] = []
    for text in asked["texts"]:
        patches = [
            (layer, position, found[source]["streams"][source_layer][source_position])
            for source, source_layer, source_position, layer, position in text["patches"]
        ]
        ids = tokenizer(text["text"])["input_ids"]
        found.append({"ids": ids, **run(model, ids, patches)})
    print(
        json.dumps(
            [
                {
                    "ids": each["ids"],
                    "logits": each["logits"].tolist(),
                    "streams": [stream.tolist() for stream in each["streams"]],
                    "guesses": [read.argmax(-1).tolist() for read in each["lens"]],
                    "likeliest": [
                        read.softmax(-1).max(-1).values.tolist() for read in each["lens"]
                    ],
                }
                for each in found
            ]
        )
    )


if __name__ == "__main__":
    main()
