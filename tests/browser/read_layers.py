"""Prints what PyTorch says of a text, as JSON: measures of the lens at each layer and position, or
the neurons of each layer.

usage: read_layers.py CHECKPOINT, with {"ids", "token", "pack"} as JSON on standard input, where
pack is a tuned lens's file or null, or with {"ids", "neuron", "off"}, where neuron is a layer, a
number and a position whose effect on the logits is printed, and off is a layer and a neuron that is
switched off, or null.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoModelForCausalLM


def streams(model: torch.nn.Module, ids: list[int]) -> list[Tensor]:
    """Return (tokens, hidden) before the first block and behind each."""
    found: list[Tensor] = []
    base = model.base_model
    blocks = base.h if hasattr(base, "h") else base.layers

    def seen(_module: torch.nn.Module, given: tuple[Tensor, ...], output: object) -> None:
        if not found:
            found.append(given[0][0])
        found.append((output[0] if isinstance(output, tuple) else output)[0])

    hooks = [block.register_forward_hook(seen) for block in blocks]
    model(torch.tensor([ids]))
    for hook in hooks:
        hook.remove()
    return found


def measures(model: torch.nn.Module, ids: list[int], token: int, pack: str | None) -> object:
    """Return each measure by name, (layers, tokens)."""
    before, *after = streams(model, ids)
    base = model.base_model
    norm = base.ln_f if hasattr(base, "ln_f") else base.norm
    maps = load_file(pack) if pack is not None else {}
    final = model.get_output_embeddings()(norm(after[-1]))
    predicted = final.argmax(-1)
    rows: dict[str, list[list[float]]] = {}
    for layer, stream in enumerate(after):
        entering = after[layer - 1] if layer > 0 else before
        read = stream
        if f"layer_{layer}.weight" in maps:
            weight, bias = (maps[f"layer_{layer}.{part}"].float() for part in ("weight", "bias"))
            read = stream + stream @ weight + bias
        logits = model.get_output_embeddings()(norm(read))
        probabilities = logits.softmax(-1)
        order = logits.argsort(dim=-1, descending=True, stable=True)
        at = torch.arange(len(ids))
        next_tokens = torch.tensor([*ids[1:], 0])

        def rank(tokens: Tensor, order: Tensor = order) -> Tensor:
            return (order == tokens[:, None]).float().argmax(-1) + 1

        found = {
            "top": logits.argmax(-1),
            "certainty": probabilities.max(-1).values,
            "divergence": torch.nn.functional.kl_div(
                logits.log_softmax(-1), final.log_softmax(-1), log_target=True, reduction="none"
            ).sum(-1),
            "entropy": torch.distributions.Categorical(logits=logits).entropy(),
            "rank": rank(predicted),
            "probability": probabilities[at, predicted],
            "rank.next": rank(next_tokens),
            "probability.next": probabilities[at, next_tokens],
            "rank.token": rank(torch.full_like(predicted, token)),
            "probability.token": probabilities[:, token],
            "norm": stream.norm(dim=-1),
            "growth": stream.norm(dim=-1) / entering.norm(dim=-1),
            "turn": torch.nn.functional.cosine_similarity(stream, entering, dim=-1),
            "final": torch.nn.functional.cosine_similarity(stream, after[-1], dim=-1),
        }
        for name, values in found.items():
            rows.setdefault(name, []).append(values.tolist())
    return rows


def neurons(model: torch.nn.Module, asked: dict[str, object]) -> object:
    """Return activations (tokens, neurons) and norms of rows (neurons) of each layer, the effect of
    one neuron on each logit, and the last token's logits."""
    base = model.base_model
    blocks = base.h if hasattr(base, "h") else base.layers
    matrices = [b.mlp.c_proj if hasattr(base, "h") else b.mlp.down_proj for b in blocks]
    activations: list[Tensor] = []

    def seen(layer: int) -> object:
        def change(_module: torch.nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            act = given[0].clone()
            if asked["off"] is not None and asked["off"][0] == layer:
                act[..., asked["off"][1]] = 0
            activations.append(act[0])
            return (act,)

        return change

    for layer, matrix in enumerate(matrices):
        matrix.register_forward_pre_hook(seen(layer))
    norm = base.ln_f if hasattr(base, "ln_f") else base.norm
    streams: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _m, given: streams.append(given[0][0]))
    logits = model(torch.tensor([asked["ids"]])).logits[0, -1]
    rows = [m.weight if hasattr(base, "h") else m.weight.T for m in matrices]
    layer, neuron, position = asked["neuron"]
    row, stream = rows[layer][neuron], streams[0][position]
    if hasattr(base, "ln_f"):
        row = (row - row.mean()) / (stream.var(unbiased=False) + norm.eps).sqrt()
    else:
        row = row / (stream.pow(2).mean() + norm.variance_epsilon).sqrt()
    return {
        "activations": [each.tolist() for each in activations],
        "rows": [each.norm(dim=-1).tolist() for each in rows],
        "effects": (model.get_output_embeddings().weight @ (row * norm.weight)).tolist(),
        "logits": logits.tolist(),
    }


def main() -> None:
    """Read the request and print the measures."""
    asked = json.load(sys.stdin)
    model = AutoModelForCausalLM.from_pretrained(
        Path(sys.argv[1]), dtype=torch.float32, local_files_only=True
    ).eval()
    with torch.no_grad():
        if "neuron" in asked:
            print(json.dumps(neurons(model, asked)))
        else:
            print(json.dumps(measures(model, asked["ids"], asked["token"], asked["pack"])))


if __name__ == "__main__":
    main()
