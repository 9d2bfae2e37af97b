"""Computes with PyTorch and transformers what the page's views of the prediction must show.

Reads a JSON list of requests from standard input, each with "checkpoint", "ids", "depth", "width",
"top", "sampling" and "steer"; prints a JSON list with, for each: the probability, rank, entropy and
likeliest tokens at every position; the beams of transformers' own beam search with their joint
log-probabilities; how many tokens each of transformers' sampling rules leaves, and what they hold;
and the next token's probabilities with the stream steered along two tokens' unembedding. Shares no
code with the page.
"""

import json
import sys
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    MinPLogitsWarper,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)


def positions(model: Any, ids: list[int], top: int) -> list[dict[str, Any]]:
    """Return what the model expected at each position from the second on."""
    logits = model(torch.tensor([ids])).logits[0].double()
    rows = []
    for at in range(1, len(ids)):
        shares = logits[at - 1].softmax(-1)
        likeliest = shares.topk(top)
        own = shares[ids[at]]
        rows.append(
            {
                "position": at,
                "probability": own.item(),
                "rank": int((shares > own).sum()),
                "entropy": -(shares * shares.log2()).nansum().item(),
                "ids": likeliest.indices.tolist(),
                "probabilities": likeliest.values.tolist(),
            }
        )
    return rows


def beams(model: Any, ids: list[int], depth: int, width: int) -> list[dict[str, Any]]:
    """Return the best continuations by transformers' beam search, also those that end early."""
    found = model.generate(
        torch.tensor([ids]),
        attention_mask=torch.ones(1, len(ids), dtype=torch.long),
        max_new_tokens=depth,
        num_beams=width,
        num_return_sequences=width,
        do_sample=False,
        length_penalty=0.0,
        early_stopping="never",
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
    )
    end = model.generation_config.eos_token_id
    rows = []
    for row, score in zip(found.sequences, found.sequences_scores, strict=True):
        path = row[len(ids) :].tolist()
        stop = path.index(end) + 1 if end in path else len(path)
        rows.append({"path": path[:stop], "joint": score.item()})
    return rows


def kept(logits: torch.Tensor, settings: dict[str, float]) -> list[dict[str, float]]:
    """Return, after each rule, how many tokens are left and what the model gave them."""
    truth = logits.softmax(-1)
    # No rule reads the text.
    ids: Any = torch.zeros(1, 0, dtype=torch.long)
    scores = TemperatureLogitsWarper(settings["temperature"])(ids, logits)
    rows = []
    for rule in (
        TopKLogitsWarper(int(settings["topK"])),
        TopPLogitsWarper(settings["topP"]),
        MinPLogitsWarper(settings["minP"]),
    ):
        scores = rule(ids, scores)
        left = scores > -float("inf")
        rows.append({"tokens": int(left.sum()), "mass": truth[left].sum().item()})
    return rows


def steered(model: Any, ids: list[int], by: dict[str, Any]) -> dict[str, list[float]]:
    """Return the probabilities of the next token, and of each token of the text, where a block's
    output moves along the direction of two tokens' logits: their columns of the unembedding,
    through the final norm's weight."""
    blocks, norm = (
        (model.transformer.h, model.transformer.ln_f)
        if hasattr(model, "transformer")
        else (model.model.layers, model.model.norm)
    )
    towards, away = by["tokens"]
    rows = model.get_output_embeddings().weight
    direction = (rows[towards] - rows[away]) * norm.weight
    if isinstance(norm, torch.nn.LayerNorm):
        direction = direction - direction.mean()
    step = by["strength"] * direction / direction.norm()

    def add(_module: object, _inputs: object, output: Any) -> Any:
        return (output[0] + step, *output[1:]) if isinstance(output, tuple) else output + step

    handle = blocks[by["layer"]].register_forward_hook(add)
    shares = model(torch.tensor([ids])).logits[0].softmax(-1)
    handle.remove()
    of_text = [shares[at, token].item() for at, token in enumerate(ids[1:])]
    return {"next": shares[-1].tolist(), "text": of_text}


def main() -> None:
    """Answer every request of standard input."""
    answers = []
    for asked in json.load(sys.stdin):
        model: Any = AutoModelForCausalLM.from_pretrained(asked["checkpoint"])
        model = model.float().eval()
        with torch.no_grad():
            logits = model(torch.tensor([asked["ids"]])).logits[:, -1].double()
            answers.append(
                {
                    "positions": positions(model, asked["ids"], asked["top"]),
                    "beams": beams(model, asked["ids"], asked["depth"], asked["width"]),
                    "kept": kept(logits, asked["sampling"]),
                    "steered": steered(model, asked["ids"], asked["steer"]),
                }
            )
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
