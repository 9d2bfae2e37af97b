"""Compute a dictionary's features on a text with PyTorch and print them as JSON.

usage: read_features.py CHECKPOINT DICTIONARY, with {"ids", "feature", "position", "change"} as JSON
on standard input. The checkpoint is of GPT-2's architecture. change is null, {"add": amount} times
the feature's direction at every token, or {"clamp": value} of the feature at every token.
Prints the features (tokens, features), the explained variance of each token but the first (null)
and of the text without it, the effect of the feature on each logit at the position, and the last
token's logits.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor
from transformers import AutoModelForCausalLM

Change = Callable[[Tensor], Tensor]


def features(held: dict[str, Tensor], said: dict[str, Any], rows: Tensor) -> Tensor:
    """Return the features of rows (tokens, width), by the words of the contract."""
    sums = rows @ held["encoder_weight"] + held["encoder_bias"]
    if said["activation"] == "jumprelu":
        return sums.relu() * (sums > held["threshold"])
    if said["activation"] == "relu":
        return sums.relu()
    greatest = sums.relu().topk(said["k"], dim=-1)
    return torch.zeros_like(sums).scatter(-1, greatest.indices, greatest.values)


def watch(model: torch.nn.Module, place: dict[str, Any], change: Change) -> None:
    """Register a hook that changes an activation, (1, tokens, width), the heads in a row."""
    block = model.base_model.h[place["layer"]]
    before = {"resid_mid": block.ln_2, "attn_z": block.attn.c_proj, "mlp_act": block.mlp.c_proj}
    behind = {"resid_post": block, "mlp_output": block.mlp, "attn_output": block.attn}

    def given(_module: torch.nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (change(args[0]), *args[1:])

    def made(_module: torch.nn.Module, _args: object, out: Any) -> Any:
        return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

    if place["kind"] in before:
        before[place["kind"]].register_forward_pre_hook(given)
    else:
        behind[place["kind"]].register_forward_hook(made)


def number_or_null(value: Tensor) -> float | None:
    """Return a number for JSON: None where tokens without a spread leave a share undefined."""
    return value.item() if value.isfinite() else None


def answer(model: torch.nn.Module, file: str, asked: dict[str, Any]) -> object:
    """Return what is printed."""
    with safe_open(file, "pt") as stored:
        held = {name: stored.get_tensor(name).float() for name in stored.keys()}  # noqa: SIM118
        said = json.loads(stored.metadata()["oriel.dictionary"])
    row, change = held["decoder_weight"][asked["feature"]], asked["change"]

    def edited(rows: Tensor) -> Tensor:
        if change is None:
            return rows
        if "add" in change:
            return rows + change["add"] * row
        value = features(held, said, rows)[..., [asked["feature"]]]
        return rows + (change["clamp"] - value) * row

    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Change:
        def kept(rows: Tensor) -> Tensor:
            seen[name] = rows[0]
            return rows

        return kept

    watch(model, said["writes"], edited)
    watch(model, said["writes"], keep("writes"))
    watch(model, said["reads"], keep("reads"))
    norm = model.base_model.ln_f
    norm.register_forward_pre_hook(lambda _module, args: seen.update(last=args[0][0]))
    logits = model(torch.tensor([asked["ids"]])).logits[0, -1]
    found = features(held, said, seen["reads"])
    rebuilt = found @ held["decoder_weight"] + held["decoder_bias"]
    errors = (rebuilt - seen["writes"])[1:].square().sum(-1)
    rest = seen["writes"][1:]
    spreads = (rest - rest.mean(0)).square().sum(-1)
    block = model.base_model.h[said["writes"]["layer"]]
    through = {"attn_z": block.attn.c_proj, "mlp_act": block.mlp.c_proj}.get(said["writes"]["kind"])
    direction = row if through is None else row @ through.weight
    stream = seen["last"][asked["position"]]
    part = (direction - direction.mean()) / (stream.var(unbiased=False) + norm.eps).sqrt()
    return {
        "features": found.tolist(),
        "explained": [None, *map(number_or_null, 1 - errors / spreads)],
        "text": number_or_null(1 - errors.sum() / spreads.sum()),
        "effects": (model.get_output_embeddings().weight @ (part * norm.weight)).tolist(),
        "logits": logits.tolist(),
    }


def main() -> None:
    """Read the request and print the answer."""
    asked = json.load(sys.stdin)
    model = AutoModelForCausalLM.from_pretrained(
        Path(sys.argv[1]), dtype=torch.float32, local_files_only=True
    ).eval()
    with torch.no_grad():
        print(json.dumps(answer(model, sys.argv[2], asked)))


if __name__ == "__main__":
    main()
