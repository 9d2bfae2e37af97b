"""Time and peak memory of exporting and quantizing larger models, per billion parameters.

python benchmarks/large_models.py                     0.3 billion; two bundles, about 3 GB on disk
python benchmarks/large_models.py --sizes 0.3 1.5     Qwen2-1.5B's sizes too: about 11 GB more
python benchmarks/large_models.py --no-int4           the float32 bundle alone

The weights are random, in bfloat16 and in shards, and made tensor by tensor. Each step is a process
of its own, so that its peak is its own; a tiny model of the same kind shows what the interpreter,
torch and the tracing take by themselves, and the difference is what grows with the model. Files are
removed when a size is done.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import torch
from processes import Run, run_once
from safetensors.torch import save_file
from transformers import Qwen2Config, Qwen2ForCausalLM

ORIEL = (sys.executable, "-m", "oriel")
SIZES: dict[str, dict[str, int]] = {
    "tiny": {
        "vocab_size": 1024,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
    },
    "0.3": {
        "vocab_size": 32000,
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 22,
        "num_attention_heads": 16,
        "num_key_value_heads": 4,
    },
    "0.5": {
        "vocab_size": 151936,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
    },
    "1.5": {
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
    },
}
"""Sizes by billions of parameters; the last two are Qwen2-0.5B's and Qwen2-1.5B's."""
SHARD_BYTES = 1_000_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", choices=[s for s in SIZES if s != "tiny"])
    folder = Path.home() / ".cache" / "oriel-benchmark" / "large"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--no-int4", action="store_true", help="don't quantize")
    parser.add_argument("--make", choices=SIZES, help="only write that model into --folder")
    parser.add_argument("--float32", action="store_true", help="with --make, not in bfloat16")
    args = parser.parse_args()
    if args.make is not None:
        dtype = torch.float32 if args.float32 else torch.bfloat16
        make_checkpoint(SIZES[args.make], args.folder, dtype)
        return
    # A kept trace would hide what tracing takes.
    os.environ["ORIEL_TRACE_CACHE"] = ""
    sizes = ["tiny", *(args.sizes or ["0.3"])]
    rows = [(size, measure(size, args.folder / size, not args.no_int4)) for size in sizes]
    report(rows)


def measure(size: str, folder: Path, with_int4: bool) -> dict[str, Run]:
    """Make the model, export it, quantize it, and remove all of it. Returns the run of each
    step."""
    shutil.rmtree(folder, ignore_errors=True)
    checkpoint, bundle = folder / "checkpoint", folder / "bundle"
    try:
        # Linux counts what a process held when it forked as its child's peak too.
        run_once([sys.executable, __file__, "--make", size, "--folder", str(checkpoint)])
        graph = str(bundle / "model.onnx")
        runs = {"doctor": run_once([*ORIEL, "doctor", str(checkpoint)])}
        command = [*ORIEL, "export", "--model", str(checkpoint), "--output", graph]
        runs["export"] = run_once(command)
        # The float32 weights are the bundle's own from here on.
        shutil.rmtree(checkpoint)
        if with_int4:
            flags = ["--precision", "int4", "--allow-lossy"]
            runs["int4"] = run_once([*ORIEL, "quantize", graph, *flags])
        return runs
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def config_of(sizes: Mapping[str, Any]) -> Qwen2Config:
    return Qwen2Config(
        **sizes,
        max_position_embeddings=32768,
        rope_parameters={"rope_type": "default", "rope_theta": 1e6},
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=None,
    )


def shapes_of(sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = Qwen2ForCausalLM(config_of(sizes))
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def make_checkpoint(sizes: dict[str, int], folder: Path, dtype: torch.dtype) -> None:
    """Write random weights in shards; no more than one shard is held."""
    folder.mkdir(parents=True)
    config_of(sizes).save_pretrained(folder)
    draw = torch.Generator().manual_seed(0)
    places = {}
    shards = list(in_shards(shapes_of(sizes)))
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        tensors = {}
        for name, shape in names.items():
            values = torch.randn(shape, generator=draw, dtype=torch.float32) * 0.02
            tensors[name] = (values + 1 if len(shape) == 1 else values).to(dtype)
            places[name] = file
        save_file(tensors, folder / file, metadata={"format": "pt"})
    total = sum(prod(shape) for names in shards for shape in names.values()) * dtype.itemsize
    index = json.dumps({"metadata": {"total_size": total}, "weight_map": places})
    (folder / "model.safetensors.index.json").write_text(index)


def in_shards(
    shapes: dict[str, tuple[int, ...]],
) -> Iterator[dict[str, tuple[int, ...]]]:
    shard: dict[str, tuple[int, ...]] = {}
    size = 0
    for name, shape in shapes.items():
        taken = 2 * prod(shape)
        if shard and size + taken > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = shape
        size += taken
    yield shard


def report(rows: Sequence[tuple[str, dict[str, Run]]]) -> None:
    """Print a row for each step of each size, in Markdown."""
    tiny = dict(rows)["tiny"]
    print("| parameters | largest tensor | step | time | processor, per 10⁹ | peak | over tiny |")
    print("|---|---|---|---|---|---|---|")
    for size, runs in rows:
        shapes = shapes_of(SIZES[size])
        parameters = sum(map(prod, shapes.values()))
        largest = 4 * max(map(prod, shapes.values())) / 1e6
        for step, run in runs.items():
            more = run.cpu_seconds - tiny[step].cpu_seconds
            share = "" if size == "tiny" else f"{more * 1e9 / parameters:.0f} s"
            over = "" if size == "tiny" else f"{run.peak_mb - tiny[step].peak_mb:.0f} MB"
            print(
                f"| {parameters / 1e6:.1f} M | {largest:.0f} MB | {step} | {run.seconds:.0f} s "
                f"| {share} | {run.peak_mb:.0f} MB | {over} |"
            )


if __name__ == "__main__":
    main()
