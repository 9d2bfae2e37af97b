"""Which recipe is best: bytes and fidelity of each candidate on the bundled demo, as a table.

`python benchmarks/rounding_choices.py` encodes the demo's weights by every candidate, calibrated on
training passages where it asks for that, expands them, and runs the float32 graph over them on
held-out passages. What the bundled recipes do was chosen by this table: see docs/precision.md.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from oriel.bundle.passages import Cutting, open_tokenizer, tokenize
from oriel.bundle.read_bundle import StoredBundle, read_bundle
from oriel.models.demo.corpus import held_out_passages
from oriel.models.demo.tokenizer import END_OF_TEXT_ID
from oriel.precision.calibrate import InputMoments, calibrate
from oriel.precision.calibrate_text import calibration_passages
from oriel.precision.encode_weights import encode_weights, place_encoded
from oriel.precision.expand_weights import expand_weights
from oriel.precision.recipe import Recipe, bundled_recipe, parse_recipe
from oriel.precision.weight_uses import WeightUse, weight_uses

DEMO = Path(__file__).parents[1] / "apps/web/static/models/demo/model.onnx"
GPT2_VOCAB, GPT2_WIDTH, GPT2_LAYERS, GPT2_CONTEXT = 50257, 768, 12, 1024
TABLES = ["*.wte.weight", "*.embed_tokens.weight", "lm_head.weight"]
Rule = dict[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]


def blocks(bits: int, block: int, symmetric: bool, rounding: str) -> Rule:
    how = {"bits": bits, "block": block, "symmetric": symmetric, "rounding": rounding}
    return {"match": "*", "treat": "blocks", **how}


def channels(symmetric: bool, rounding: str) -> Rule:
    return {"match": "*", "treat": "channels", "symmetric": symmetric, "rounding": rounding}


def candidates() -> Iterator[Recipe]:
    """Bundled recipes first, then what they were chosen from."""
    yield from (bundled_recipe(name) for name in ("f16", "q8", "q4"))
    for rounding in ("nearest", "mse", "hqq", "gptq"):
        for symmetric in (True, False):
            yield recipe(
                f"8 bits, channels, {told(symmetric)}, {rounding}", channels(symmetric, rounding)
            )
    for rounding in ("nearest", "mse", "hqq", "gptq"):
        for block in (16, 32, 64, 128):
            for symmetric in (True, False):
                rule = blocks(4, block, symmetric, rounding)
                name = f"4 bits, blocks of {block}, {told(symmetric)}, {rounding}"
                yield recipe(name, rule)
                if block == 32:
                    table = blocks(8, block, True, "mse") | {"match": TABLES}
                    yield recipe(f"{name}; table 8 bits", table, rule)


def told(symmetric: bool) -> str:
    return "symmetric" if symmetric else "zero points"


def recipe(name: str, *rules: Rule) -> Recipe:
    """Positions in float16, the rest by the rules."""
    positions = {"match": "*.wpe.weight", "treat": "float16"}
    return parse_recipe({"name": name, "rules": [positions, *rules]})


class Judge:
    """Held-out passages, and what float32 makes of them."""

    def __init__(self, bundle: StoredBundle, passages: int) -> None:
        self.bundle = bundle
        assert bundle.tokenizer is not None
        cutting = Cutting(END_OF_TEXT_ID, bundle.shape.context_length, sys.maxsize)
        texts = held_out_passages(passages)
        self.ids = tokenize(texts, open_tokenizer(bundle.tokenizer), cutting)
        self.reference = self.logits(bundle.folder)

    def logits(self, folder: Path) -> list[Array]:
        """Of each passage, (positions, vocab)."""
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
        session = onnxruntime.InferenceSession(
            self.bundle.graphs.plain.model.SerializeToString(),
            options,
            providers=["CPUExecutionProvider"],
        )
        return [session.run(["logits"], {"input_ids": ids[None]})[0][0] for ids in self.ids]

    def judge(self, folder: Path) -> tuple[float, float, float]:
        """Mean KL divergence from float32 in nats, its 99th percentile, share of equal first
        choices."""
        divergences, equal = [], []
        for wanted, got in zip(self.reference, self.logits(folder), strict=True):
            p, q = log_softmax(wanted), log_softmax(got)
            divergences.append(np.sum(np.exp(p) * (p - q), axis=-1))
            equal.append(p.argmax(-1) == q.argmax(-1))
        kl = np.concatenate(divergences)
        return float(kl.mean()), float(np.percentile(kl, 99)), float(np.concatenate(equal).mean())


def log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    found: Array = wide - np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return found


def gpt2_bytes(chosen: Recipe) -> int:
    """What the recipe makes of GPT-2 small's sizes."""
    width, use, layout = GPT2_WIDTH, {}, {}

    def matrix(name: str, shape: tuple[int, ...], axis: Any) -> None:
        layout[name] = shape
        use[name] = WeightUse(shape, axis)

    matrix("transformer.wte.weight", (GPT2_VOCAB, width), 1)
    matrix("transformer.wpe.weight", (GPT2_CONTEXT, width), 1)
    for layer in range(GPT2_LAYERS):
        at = f"transformer.h.{layer}."
        for name, inputs, outputs in (
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ):
            matrix(f"{at}{name}.weight", (inputs, outputs), 0)
            matrix(f"{at}{name}.bias", (outputs,), None)
        for name in ("ln_1", "ln_2"):
            matrix(f"{at}{name}.weight", (width,), None)
            matrix(f"{at}{name}.bias", (width,), None)
    matrix("transformer.ln_f.weight", (width,), None)
    matrix("transformer.ln_f.bias", (width,), None)
    from oriel.graph.attach_weights import place_weights

    last = place_encoded(place_weights(layout, ()), use, chosen)[-1]
    return last.values + last.value_bytes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=300, help="held-out ones")
    parser.add_argument("--only", default="", help="candidates whose names contain this")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    options = parser.parse_args(argv)
    bundle = read_bundle(DEMO)
    judge = Judge(bundle, options.passages)
    text = calibration_passages(bundle.shape, bundle.tokenizer, END_OF_TEXT_ID, None)
    seen = calibrate(bundle.folder, bundle.graphs, bundle.shape, text, None, True)
    rows = []
    print("| recipe | demo, MB | GPT-2 small, MB | mean KL | 99 % | top-1 |")
    print("|---|---|---|---|---|---|", flush=True)
    for chosen in candidates():
        if options.only in chosen.name:
            row = measured(chosen, bundle, judge, seen.moments)
            rows.append({"recipe": chosen.name, **row})
            print(
                f"| {chosen.name} | {row['bytes'] / 1e6:.2f} | {row['gpt2_bytes'] / 1e6:.1f} "
                f"| {row['kl']:.2g} | {row['kl_p99']:.2g} | {row['top1']:.1%} |",
                flush=True,
            )
    if options.json is not None:
        options.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


def measured(
    chosen: Recipe, bundle: StoredBundle, judge: Judge, moments: InputMoments | None
) -> dict[str, Any]:
    uses = weight_uses(bundle.graphs.interactive.model.graph)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name = bundle.paths.weights()
        source = bundle.folder / name
        layout = bundle.graphs.layout
        target = folder / "encoded.data"
        encoded = encode_weights(source, layout, uses, chosen, target, moments)
        expand_weights(target, encoded.to_expansion(name), folder / name)
        kl, kl_p99, top1 = judge.judge(folder)
    sizes = {"bytes": encoded.bytes, "gpt2_bytes": gpt2_bytes(chosen)}
    return {**sizes, "kl": kl, "kl_p99": kl_p99, "top1": top1}


if __name__ == "__main__":
    main()
