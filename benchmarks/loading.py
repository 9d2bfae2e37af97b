"""Loading and publishing: against the least there can be, on loopback.

python benchmarks/loading.py                  publishes, then loads in rounds; about ten minutes
python benchmarks/loading.py --rounds 2       fewer rounds
python benchmarks/loading.py --before main    the page of that revision too, in the same rounds

The models are GPT-2 small with random weights and the bundled one; `--models` and `--variants`
choose. Ways of loading, each a browser of its own: plain `fetch` of the weights and the graph,
expanding where the variant needs it, then `InferenceSession.create` (its time alone is the least
that a warm cache can reach); ours for the first time; ours once more, from what the browser kept.
Models are kept in a folder outside the repository (--folder). It needs a Chromium and Linux'
/proc.
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
LOADED = (*VARIANTS, "fp32")
MODELS = ("gpt2-small", "bundled")
THREADS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--variants", nargs="+", choices=LOADED, default=LOADED)
    parser.add_argument("--before", metavar="REVISION", help="a revision to compare with")
    parser.add_argument("--no-publishing", action="store_true", help="don't time publishing")
    folder = Path.home() / ".cache" / "oriel-benchmark" / "loading"
    parser.add_argument("--folder", type=Path, default=folder)
    parser.add_argument("--tiny", action="store_true", help="a tiny model: its times say nothing")
    args = parser.parse_args()
    models = Models(args.folder, args.tiny)
    make(models, with_plain=not args.no_publishing)
    if not args.no_publishing:
        show("publishing", publishing(models))
    before = None if args.before is None else checkout(args.before, models.folder)
    bundles = {"gpt2-small": models.bundle, "bundled": models.trained_bundle}
    for name in args.models:
        published = models.folder / f"published-{name}"
        publish(bundles[name], published, "1.0.0")
        for variant in args.variants:
            rows = loading(bundles[name], published, variant, args.rounds, before)
            show(f"loading {name}, {variant}", rows)


def make(models: Models, *, with_plain: bool) -> None:
    """Make the models unless they exist: bundles with variants and, if `with_plain`, one in float32
    only and a copy of it with one tensor changed."""
    models.folder.mkdir(parents=True, exist_ok=True)
    models.make_checkpoint()
    for model, bundle in ((str(models.checkpoint), models.bundle), ("demo", models.trained_bundle)):
        if not (bundle / "manifest.json").is_file():
            export(model, bundle)
            quantize(bundle, *VARIANTS)
    if not with_plain:
        return
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


def checkout(revision: str, folder: Path) -> Path:
    """Return a copy of the repository at a revision, with this checkout's packages."""
    git = ("git", "-C", str(ROOT))
    commit = subprocess.run(
        [*git, "rev-parse", "--verify", f"{revision}^{{commit}}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    tree = folder / f"before-{commit[:12]}"
    if not tree.is_dir():
        tree.mkdir()
        archive = subprocess.run([*git, "archive", commit], stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive.stdout, check=True)
        (tree / "node_modules").symlink_to(ROOT / "node_modules")
    return tree


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


def loading(
    bundle: Path, published: Path, variant: str, rounds: int, before: Path | None
) -> list[tuple[str, str]]:
    folder = bundle.parent
    plan, answers = folder / "plan.json", folder / "answers.json"
    chosen = next(v for v in manifest_of(bundle)["variants"] if v["name"] == variant)
    weights = chosen["weights"][0]
    expansion = chosen.get("expansion")
    bare = {
        "graph": f"/files/{bundle.name}/{closed_graph(bundle, chosen)}",
        "weights": f"/files/{bundle.name}/{weights}",
        "location": weights if expansion is None else expansion["path"],
        "expansion": expansion,
        "threads": THREADS,
    }
    content = {
        "rounds": rounds,
        "url": f"files/{published.name}/manifest.json",
        "variant": variant,
        "bare": bare,
        "before": before is not None,
        "answers": str(answers),
    }
    plan.write_text(json.dumps(content), encoding="utf-8")
    environment = {
        **os.environ,
        "ORIEL_BENCHMARK_FILES": str(folder),
        "ORIEL_BENCHMARK_PLAN": str(plan),
    }
    if before is not None:
        environment["ORIEL_BENCHMARK_BEFORE"] = str(before)
        # The earlier page is built into a folder of its own; the models are the same.
        (folder / "before").mkdir(exist_ok=True)
        link = folder / "before" / published.name
        if not link.is_symlink():
            link.symlink_to(published)
    config = HERE / "browser" / "loading.config.ts"
    command = ["npx", "playwright", "test", "--config", str(config)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    downloaded = (bundle / weights).stat().st_size
    read = downloaded if expansion is None else int(expansion["bytes"])
    return figures(json.loads(answers.read_text(encoding="utf-8"))["rounds"], downloaded, read)


def figures(rounds: Sequence[dict[str, Any]], downloaded: int, read: int) -> list[tuple[str, str]]:
    """Return times, and the page's memory above an idle page divided by the weights that the
    runtime reads."""
    bare = [round["bare"]["fetch"] + round["bare"]["session"] for round in rounds]
    session = [round["bare"]["session"] for round in rounds]

    def seconds(times: Sequence[float]) -> str:
        return spread([time / 1000 for time in times])

    def over(times: Sequence[float], least: Sequence[float]) -> str:
        return spread([a / b for a, b in zip(times, least, strict=True)])

    def memory(name: str, key: str) -> str:
        return spread([(round[name][key] - round["idle"]) / read for round in rounds])

    rows = [
        ("weights as downloaded and as read, MB", f"{downloaded / 1e6:.1f}, {read / 1e6:.1f}"),
        ("plain fetch and session, s", seconds(bare)),
        ("of that the session, s", seconds(session)),
        ("plain: memory over weights at its highest", memory("bare", "peak")),
    ]
    for page in ("before", "now"):
        if f"{page}-cold" not in rounds[0]:
            continue
        cold = [round[f"{page}-cold"]["all"] for round in rounds]
        warm = [round[f"{page}-warm"]["all"] for round in rounds]
        rows += [
            (f"{page}: first visit, s", seconds(cold)),
            (f"{page}: first visit over plain", over(cold, bare)),
            (f"{page}: next visit, s", seconds(warm)),
            (f"{page}: next visit over the plain session", over(warm, session)),
            (f"{page}: memory, first visit at its highest", memory(f"{page}-cold", "peak")),
            (f"{page}: memory, first visit when open", memory(f"{page}-cold", "after")),
            (f"{page}: memory, next visit at its highest", memory(f"{page}-warm", "peak")),
        ]
    return rows


def show(title: str, rows: Sequence[tuple[str, str]]) -> None:
    print(f"\n{title}")
    for what, value in rows:
        print(f"  {what:<42} {value}")


if __name__ == "__main__":
    main()
