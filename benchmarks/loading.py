"""Loading and publishing GPT-2 small: against the least there can be, on loopback.

python benchmarks/loading.py                  publishes, then loads in rounds; about five minutes
python benchmarks/loading.py --rounds 2       fewer rounds

Ways of loading, each a browser of its own: plain `fetch` of the weights and the graph, then
`InferenceSession.create` (its time alone is the least that a warm cache can reach); ours for the
first time; ours once more, from what the browser kept. Models are kept in a folder outside the
repository (--folder). It needs a Chromium and Linux' /proc.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from closed_graph import closed_graph
from precision_models import Models, export, manifest_of, quantize
from processes import spread
from safetensors.torch import load_file, save_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PUBLISH = (sys.executable, str(ROOT / "tools" / "model-export" / "publish.py"))
VARIANTS = ("int8", "q4")
THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--variant", choices=VARIANTS, default=VARIANTS[0])
    folder = Path.home() / ".cache" / "oriel-benchmark" / "loading"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--tiny", action="store_true", help="a tiny model: its times say nothing")
    args = parser.parse_args()
    models = Models(args.folder, args.tiny)
    make(models)
    show("publishing", publishing(models))
    show("loading", loading(models, args.variant, args.rounds))


def make(models: Models) -> None:
    """Once: the model with its variants, in float32 alone, and so with one tensor changed."""
    models.folder.mkdir(parents=True, exist_ok=True)
    models.make_checkpoint()
    if not (models.bundle / "manifest.json").is_file():
        export(str(models.checkpoint), models.bundle)
        quantize(models.bundle, *VARIANTS)
    plain, changed = models.folder / "plain", models.folder / "changed"
    if not (plain / "manifest.json").is_file():
        export(str(models.checkpoint), plain)
    if not (changed / "manifest.json").is_file():
        checkpoint = models.folder / "changed-checkpoint"
        shutil.copytree(models.checkpoint, checkpoint, dirs_exist_ok=True)
        file = checkpoint / "model.safetensors"
        tensors = load_file(file)
        changing = next(name for name in tensors if name.endswith("h.1.mlp.c_fc.weight"))
        tensors[changing] = tensors[changing] + 0.001
        save_file(tensors, file, {"format": "pt"})
        export(str(checkpoint), changed)


def publishing(models: Models) -> list[tuple[str, str]]:
    """Time and bytes of publishing into a folder, each time upon what lies there already."""
    published = models.folder / "published"
    shutil.rmtree(published, ignore_errors=True)
    plain, changed = models.folder / "plain", models.folder / "changed"
    return [
        ("fp32 alone, for the first time", publish(plain, published, "1.0.0")),
        ("again, nothing changed", publish(plain, published, "1.0.0")),
        ("one tensor of 9.4 MB changed", publish(changed, published, "1.0.1")),
        (f"with {', '.join(VARIANTS)}", publish(models.bundle, published, "1.1.0")),
    ]


def publish(bundle: Path, to: Path, version: str) -> str:
    command = [*PUBLISH, str(bundle), "--to", str(to), "--version", version, "--json"]
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    seconds = time.perf_counter() - began
    result = json.loads(done.stdout)
    sent, whole = (result[key] / 1e6 for key in ("sent_bytes", "bytes"))
    return f"{seconds:.2f} s, {result['sent']} files and {sent:.1f} of {whole:.1f} MB sent"


def loading(models: Models, variant: str, rounds: int) -> list[tuple[str, str]]:
    plan, answers = models.folder / "plan.json", models.folder / "answers.json"
    manifest = manifest_of(models.bundle)
    chosen = next(v for v in manifest["variants"] if v["name"] == variant)
    weights = chosen["weights"][0]
    sizes = {file["path"]: int(file["bytes"]) for file in manifest["files"]}
    bare = {
        "graph": f"/files/{models.bundle.name}/{closed_graph(models.bundle, chosen)}",
        "weights": f"/files/{models.bundle.name}/{weights}",
        "location": weights,
        "threads": THREADS,
    }
    content = {
        "rounds": rounds,
        "url": "files/published/manifest.json",
        "variant": variant,
        "bare": bare,
        "answers": str(answers),
    }
    plan.write_text(json.dumps(content), encoding="utf-8")
    environment = {
        **os.environ,
        "ORIEL_BENCHMARK_FILES": str(models.folder),
        "ORIEL_BENCHMARK_PLAN": str(plan),
    }
    config = HERE / "browser" / "loading.config.ts"
    command = ["npx", "playwright", "test", "--config", str(config)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return figures(json.loads(answers.read_text(encoding="utf-8"))["rounds"], sizes[weights])


def figures(rounds: Sequence[dict[str, Any]], weights: int) -> list[tuple[str, str]]:
    bare = [round["bare"]["fetch"] + round["bare"]["session"] for round in rounds]
    session = [round["bare"]["session"] for round in rounds]
    cold = [round["cold"]["all"] for round in rounds]
    warm = [round["warm"]["all"] for round in rounds]

    def over(times: Sequence[float], least: Sequence[float]) -> str:
        return spread([a / b for a, b in zip(times, least, strict=True)])

    def peak(name: str) -> str:
        above = [(round[name]["peak"] - round["idle"]) / weights for round in rounds]
        whole = [round[name]["peak"] / weights for round in rounds]
        return f"{spread(above)} above an idle page; {spread(whole)} whole"

    return [
        ("weights, MB", f"{weights / 1e6:.1f}"),
        ("plain fetch and session, s", spread([time / 1000 for time in bare])),
        ("of that the session, s", spread([time / 1000 for time in session])),
        ("first visit, s", spread([time / 1000 for time in cold])),
        ("next visit, s", spread([time / 1000 for time in warm])),
        ("first visit / plain fetch and session", over(cold, bare)),
        ("next visit / session from memory", over(warm, session)),
        ("peak memory over weights, first visit", peak("cold")),
        ("peak memory over weights, next visit", peak("warm")),
        ("peak memory over weights, plain", peak("bare")),
    ]


def show(title: str, rows: Sequence[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for what, value in rows:
        print(f"  {what:<42} {value}")


if __name__ == "__main__":
    main()
