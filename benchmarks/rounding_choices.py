"""Compare recipes: bytes and fidelity of each candidate on the bundled demo, as a table.

`python benchmarks/rounding_choices.py` encodes the demo's weights by every candidate, calibrated on
training passages where it asks for that, expands them, runs the float32 graph over them on held-out
passages, and writes the table of docs/recipes.md, where the choice is argued.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from precision_document import markdown, nats, share

from oriel.bundle.passages import Cutting, tokenize
from oriel.bundle.read_bundle import StoredBundle, read_bundle
from oriel.graph.attach_weights import place_weights
from oriel.precision.calibration.calibrate import InputMoments, calibrate
from oriel.precision.calibration.calibration_text import calibration_passages
from oriel.precision.recipes.recipe import Recipe, bundled_recipe, parse_recipe
from oriel.precision.recipes.weight_uses import WeightUse, weight_uses
from oriel.precision.weights.expand_weights import expand_weights
from oriel.precision.weights.write_encoded import place_encoded, write_encoded_file
from story_gpt2.corpus import held_out_passages
from story_gpt2.tokenizer import END_OF_TEXT_ID

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "apps" / "web" / "static" / "models" / "demo" / "model.onnx"
DOCUMENT = ROOT / "docs" / "recipes.md"
MARKERS = ("<!-- table of candidates -->", "<!-- end of table -->")
RANDOM = "q4, calibrated on random ids"
HEADINGS = ("recipe", "demo, MB", "GPT-2 small, MB", "mean KL", "KL, 99 %", "top-1")
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
    """Yield the bundled recipes, then the others that they were chosen from."""
    yield from (bundled_recipe(name) for name in ("f16", "q8", "q4"))
    for rounding in ("nearest", "mse", "hqq", "gptq"):
        for symmetric in (True, False):
            rule = channels(symmetric, rounding)
            yield recipe(f"8 bits, channels, {told(symmetric)}, {rounding}", rule)
    for rounding, sizes in (
        ("nearest", (32,)),
        ("mse", (32,)),
        ("hqq", (32,)),
        ("gptq", (16, 32, 64, 128)),
    ):
        for block in sizes:
            for symmetric in (True, False):
                rule = blocks(4, block, symmetric, rounding)
                yield recipe(f"4 bits, {block}, {told(symmetric)}, {rounding}", rule)
    for rounding in ("nearest", "mse", "hqq", "gptq"):
        table = blocks(8, 32, True, rounding) | {"match": TABLES}
        rule = blocks(4, 32, True, rounding)
        yield recipe(f"4 bits, 32, symmetric, {rounding}; table 8 bits", table, rule)
    table = blocks(4, 16, True, "gptq") | {"match": TABLES}
    yield recipe("4 bits, 32, symmetric, gptq; table 16", table, blocks(4, 32, True, "gptq"))


def told(symmetric: bool) -> str:
    return "symmetric" if symmetric else "zero points"


def recipe(name: str, *rules: Rule) -> Recipe:
    """Make a recipe: positions in float16, the rest by the rules."""
    positions = {"match": "*.wpe.weight", "treat": "float16"}
    return parse_recipe({"name": name, "rules": [positions, *rules]})


class Judge:
    """Held-out passages, and the float32 model's logits of them."""

    def __init__(self, bundle: StoredBundle, passages: int) -> None:
        self.bundle = bundle
        assert bundle.tokenizer is not None
        cutting = Cutting((END_OF_TEXT_ID,), bundle.shape.context_length, sys.maxsize)
        texts = held_out_passages(passages)
        self.ids = tokenize(texts, bundle.tokenizer, cutting, bundle.shape.vocab).ids
        self.reference = self.logits(bundle.folder)

    def logits(self, folder: Path) -> list[Array]:
        """Compute the logits of each passage, (positions, vocab)."""
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
        """Return the mean KL divergence from float32 in nats, its 99th percentile, and the share of
        equal first choices."""
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
    """Return the bytes that the recipe gives for GPT-2 small's sizes."""
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
    last = place_encoded(place_weights(layout, ()), use, chosen)[-1]
    return last.values + last.value_bytes


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passages", type=int, default=300, help="held-out ones")
    parser.add_argument("--only", default="", help="candidates whose names contain this")
    parser.add_argument("--dry", action="store_true", help="leave docs/recipes.md as it is")
    options = parser.parse_args(argv)
    bundle = read_bundle(DEMO)
    judge = Judge(bundle, options.passages)
    text = calibration_passages(bundle.shape, bundle.tokenizer, (END_OF_TEXT_ID,), None)
    seen = calibrate(bundle.folder, bundle.graphs, bundle.shape, text, None, True)
    rows: list[list[str]] = []
    for chosen in candidates():
        if options.only in chosen.name:
            rows.append(measured(chosen, bundle, judge, seen.moments))
            print("  ".join(rows[-1]), flush=True)
    if options.only in RANDOM:
        text = calibration_passages(bundle.shape, None, (), None)
        other = calibrate(bundle.folder, bundle.graphs, bundle.shape, text, None, True)
        row = measured(bundled_recipe("q4"), bundle, judge, other.moments)
        rows.append([RANDOM, *row[1:]])
        print("  ".join(rows[-1]), flush=True)
    if not options.dry and not options.only:
        old = DOCUMENT.read_text(encoding="utf-8")
        before, marker, rest = old.partition(MARKERS[0])
        _, end, after = rest.partition(MARKERS[1])
        assert marker and end, f"{DOCUMENT} lacks its markers"
        table = markdown(HEADINGS, rows)
        DOCUMENT.write_text(f"{before}{marker}\n{table}\n{end}{after}", encoding="utf-8")


def measured(
    chosen: Recipe, bundle: StoredBundle, judge: Judge, moments: InputMoments | None
) -> list[str]:
    """Return a row of the table."""
    uses = weight_uses(bundle.graphs.decoder.model.graph)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        name = bundle.paths.weights()
        source = bundle.folder / name
        layout = bundle.graphs.layout
        target = folder / "encoded.data"
        encoded = write_encoded_file(source, layout, uses, chosen, target, moments)
        expand_weights(target, encoded.to_expansion(name), folder / name)
        kl, kl_p99, top1 = judge.judge(folder)
    sizes = [f"{size / 1e6:.2f}" for size in (encoded.bytes, gpt2_bytes(chosen))]
    return [chosen.name, *sizes, nats(kl), nats(kl_p99), share(top1)]


if __name__ == "__main__":
    main()
