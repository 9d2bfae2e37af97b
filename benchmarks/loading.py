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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from precision_models import Models, export, manifest_of, quantize
from processes import run_once, spread

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
    words = parser.parse_args()
    models = Models(words.folder, words.tiny)
    make(models)
    show("publishing", publishing(models))
    show("loading", loading(models, words.variant, words.rounds))


def make(models: Models) -> None:
    models.folder.mkdir(parents=True, exist_ok=True)
    models.make_checkpoint()
    if not (models.bundle / "manifest.json").is_file():
        export(str(models.checkpoint), models.bundle)
        quantize(models.bundle, *VARIANTS)


def publishing(models: Models) -> list[tuple[str, str]]:
    """Bytes and time of publishing: first, again, with another variant, with one tensor changed."""
    published = models.folder / "published"
    one = models.folder / "one-variant"
    shutil.rmtree(published, ignore_errors=True)
    if not one.is_dir():
        export(str(models.checkpoint), one)
    rows = [publish("first, fp32 alone", one, published, "1.0.0")]
    rows.append(publish("again, nothing changed", one, published, "1.0.0"))
    rows.append(publish(f"with {' and '.join(VARIANTS)}", models.bundle, published, "1.1.0"))
    return rows


def publish(what: str, bundle: Path, to: Path, version: str) -> tuple[str, str]:
    command = [*PUBLISH, str(bundle), "--to", str(to), "--version", version, "--json"]
    run = run_once(command[:-1])
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    return what, f"{run.seconds:.2f} s; {json.loads(again.stdout)}"


def loading(models: Models, variant: str, rounds: int) -> list[tuple[str, str]]:
    plan, answers = models.folder / "plan.json", models.folder / "answers.json"
    manifest = manifest_of(models.bundle)
    chosen = next(v for v in manifest["variants"] if v["name"] == variant)
    weights = chosen["weights"][0]
    sizes = {file["path"]: int(file["bytes"]) for file in manifest["files"]}
    bare = {
        "graph": f"/files/{models.bundle.name}/{chosen['interactive']['path']}",
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
