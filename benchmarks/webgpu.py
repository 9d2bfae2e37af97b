"""Everything on WebGPU, on a machine with a GPU, beside wasm in the same run: one command.

python benchmarks/webgpu.py                     GPT-2 small: fp32, fp16 and int4, on a GPU
python benchmarks/webgpu.py --tiny --software   a tiny model on an adapter in software: a trial run

For each variant: the decoder graph, the neutral open graph, one edit, all activations; a cache that
grows, one of fixed length, and that one with a recorded step that the GPU replays. Of each, the
time of the session and of the first run, a prompt of 128 tokens, tokens a second, and the bytes of
GPU buffers at their peak. Prints the table, and writes all times as JSON (--json). Models are kept
in a folder outside the repository (--folder). It needs a Chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from precision_models import LOSSY, ORIEL, Models, manifest_of
from processes import run_once

from oriel.contract.activation_names import ModelShape, joint_specs, kinds
from oriel.graph.closings import close_joints, closing_input
from oriel.graph.taps import Tap, open_taps

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
VARIANTS = ("fp32", "fp16", "int8", "int8_static", "int4", "f16", "q8", "q4")
WAYS = ("decoder", "open", "edit", "activations", "static", "captured")
PROMPT = 128
COLUMNS = ("variant", "on", "way", "session s", "first ms", "prompt ms", "tokens/s", "GPU MB")


@dataclass(frozen=True)
class Plan:
    """A bundle and the ways to measure it."""

    bundle: Path
    variants: Sequence[str]
    prompt: int
    steps: int
    rounds: int
    threads: int


def main() -> int:
    """Run the benchmark. Return 0, or 1 if WebGPU is unavailable, with the reason in one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    known = f"some of {', '.join(VARIANTS)}"
    parser.add_argument("--variants", default="fp32,fp16,int4", help=known)
    parser.add_argument("--static-cache", type=int, default=512, help="slots of the fixed cache")
    parser.add_argument("--tokens", type=int, default=64, help="steps of one token")
    parser.add_argument("--rounds", type=int, default=5, help="prompts")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="of wasm")
    parser.add_argument(
        "--software",
        action="store_true",
        help="an adapter in software",
    )
    parser.add_argument("--tiny", action="store_true", help="a tiny model: its times say nothing")
    folder = Path.home() / ".cache" / "oriel-benchmark" / "webgpu"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--json", type=Path, help="file for all times")
    args = parser.parse_args()
    variants = args.variants.split(",")
    unknown = sorted(set(variants) - set(VARIANTS))
    if unknown:
        parser.error(f"--variants has {unknown[0]!r}; expected {known}")
    models = Models(args.folder, args.tiny)
    prompt = 16 if args.tiny else PROMPT
    length = min(args.static_cache, 128) if args.tiny else args.static_cache
    if prompt + args.tokens + 1 > length:
        parser.error(f"--tokens and the prompt need {prompt + args.tokens + 1} slots, not {length}")
    make(models, variants, length)
    plan = Plan(models.bundle, variants, prompt, args.tokens, args.rounds, args.threads)
    answers = measure(models, jobs_of(plan), args.software)
    adapter = answers["adapter"]
    if isinstance(adapter, str):
        hint = "" if args.software else "; --software measures an adapter in software"
        print(f"error: {adapter} in Chromium {answers['version']}{hint}", file=sys.stderr)
        return 1
    show(answers, models, plan)
    if args.json is not None:
        args.json.write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")
    return 0


def make(models: Models, variants: Sequence[str], length: int) -> None:
    """Export the model with static graphs, on every run since the exporter may have changed."""
    models.folder.mkdir(parents=True, exist_ok=True)
    models.make_checkpoint()
    output = str(models.bundle / "model.onnx")
    # Remove graphs that an earlier run wrote here; they don't belong to the bundle.
    shutil.rmtree(models.bundle, ignore_errors=True)
    words = ("--model", str(models.checkpoint), "--output", output, "--static-cache", str(length))
    run_once([*ORIEL, "export", *words, "--precision", ",".join(variants), LOSSY])


def jobs_of(plan: Plan) -> list[dict[str, Any]]:
    """Return a job for each variant and way on WebGPU, and on wasm for variants that run there."""
    manifest = manifest_of(plan.bundle)
    shape = ModelShape.from_json(manifest["model"]["shape"])
    found = {v["name"]: v for v in manifest["variants"]}
    jobs = []
    for name in plan.variants:
        for provider, ways in (("webgpu", WAYS), ("wasm", WAYS[:4])):
            jobs += [job_of(plan, found[name], shape, way, provider) for way in ways]
    return jobs


def job_of(
    plan: Plan, variant: dict[str, Any], shape: ModelShape, way: str, provider: str
) -> dict[str, Any]:
    expansion = variant.get("expansion")
    static = variant["static"]["activations"]["cache_length"] if way in WAYS[4:] else None
    place = f"/files/{plan.bundle.name}"
    # An expanded variant reads fp32's data file, once it exists.
    files = [expansion["path"]] if expansion else variant["weights"]
    graph, edit = prepared(plan.bundle, variant, shape, way)
    sizes = {
        f"past_key_values.{layer}.{part}": (at.kv_heads, at.size(width))
        for layer in range(shape.layers)
        for at in (shape.at(layer),)
        for part, width in (("key", "head_dim"), ("value", "value_dim"))
    }
    return {
        **{"variant": variant["name"], "way": way, "provider": provider},
        "graph": f"{place}/{graph}",
        "weights": [{"path": path, "url": f"{place}/{path}"} for path in files],
        **{"cache": sizes, "cacheLength": static, "edit": edit, "vocab": shape.vocab},
        **{"prompt": plan.prompt, "steps": plan.steps, "rounds": plan.rounds},
        "threads": plan.threads,
    }


def prepared(
    bundle: Path, variant: dict[str, Any], shape: ModelShape, way: str
) -> tuple[str, list[dict[str, Any]]]:
    """Write the graph of a way, with joints closed and taps appended. Return its name, and its
    edit."""
    if way == "decoder":
        return str(variant["decoder"]["path"]), []
    kind = "static" if way in WAYS[4:] else "open"
    joint = kinds()["attn_z"].spec(shape, shape.layers // 2)
    closings = {joint.name: ["scale"]} if way == "edit" else {}
    data = (bundle / variant[kind]["path"]).read_bytes()
    data += close_joints(joint_specs(shape), closings)
    if way == "activations":
        taps = [Tap.from_json(tap) for tap in variant["taps"]]
        data = open_taps(data, taps)
    name = f"{variant['name']}.{way}.closed.onnx"
    (bundle / name).write_bytes(data)
    scale = {"name": closing_input(joint.name, 0, "scale"), "dims": [1, 1, 1, 1], "value": 0.5}
    return name, [scale] if way == "edit" else []


def measure(models: Models, jobs: Sequence[dict[str, Any]], software: bool) -> dict[str, Any]:
    plan, answers = models.folder / "plan.json", models.folder / "answers.json"
    plan.write_text(json.dumps({"jobs": jobs, "answers": str(answers)}), encoding="utf-8")
    environment = {
        **os.environ,
        "ORIEL_BENCHMARK_FILES": str(models.folder),
        "ORIEL_BENCHMARK_PLAN": str(plan),
        "ORIEL_BENCHMARK_ADAPTER": "software" if software else "gpu",
    }
    config = HERE / "browser" / "webgpu.config.ts"
    command = ["npx", "playwright", "test", "--config", str(config)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def show(answers: dict[str, Any], models: Models, plan: Plan) -> None:
    adapter = answers["adapter"]
    kind = "an adapter in SOFTWARE, which says nothing of a GPU" if adapter["software"] else "a GPU"
    print(f"\n{adapter['name']}: {kind}; Chromium {answers['version']}")
    model = "a tiny model" if models.tiny else "GPT-2 small"
    sizes = f"prompt of {plan.prompt} tokens, {plan.rounds} times; {plan.steps} steps"
    print(f"{model}; {sizes}; medians")
    rows = [COLUMNS, *(row_of(answered) for answered in answers["answered"])]
    widths = [max(len(row[at]) for row in rows) for at in range(len(COLUMNS))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    for line in disagreements(answers["answered"]):
        print(line)


def row_of(answered: dict[str, Any]) -> tuple[str, ...]:
    job, times = answered["job"], answered.get("times")
    what = (job["variant"], job["provider"], job["way"])
    if times is None:
        return (*what, "-", "-", "-", "-", f"not measured: {answered['error']}")
    gpu = f"{times['gpuPeak'] / 1e6:.1f}" if job["provider"] == "webgpu" else "-"
    return (
        *what,
        f"{times['session'] / 1000:.2f}",
        f"{times['first']:.1f}",
        f"{statistics.median(times['prefill']):.1f}",
        f"{1000 / statistics.median(times['step']):.1f}",
        gpu,
    )


def disagreements(answered: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each variant whose ways, except the edit, give different logits."""
    lines = []
    for name in dict.fromkeys(a["job"]["variant"] for a in answered):
        ends = {
            f"{a['job']['way']} on {a['job']['provider']}": a["times"]["largest"]
            for a in answered
            if a["job"]["variant"] == name and "times" in a and a["job"]["way"] != "edit"
        }
        if ends and max(ends.values()) - min(ends.values()) > 0.01 * max(map(abs, ends.values())):
            lowest, highest = min(ends, key=ends.__getitem__), max(ends, key=ends.__getitem__)
            lines.append(
                f"WRONG: the largest logit of {name} is {ends[lowest]:.5g} ({lowest}) and "
                f"{ends[highest]:.5g} ({highest})"
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
