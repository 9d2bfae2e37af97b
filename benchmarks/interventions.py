"""Times edits and analyses natively, beside plain runs of the same bundle and TransformerLens'
run_with_cache of the same weights, all in turns: GPT-2 small with seeded random weights, exported
here, and the bundled model for the patching sweep.

`--write` puts the table into docs/interventions.md. TransformerLens comes from `.setup/peers`,
which `make test-peers` fills; without it its rows are left out.

python benchmarks/interventions.py --work FOLDER [--rounds 15] [--tokens 128] [--write]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from processes import spread

from oriel import Bundle, Scale
from oriel.analysis.attribution import attribute
from oriel.analysis.metrics import LogitDifference
from oriel.analysis.patching import Texts, patch_positions

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "docs" / "interventions.md"
EXPORT = ROOT / "tools" / "model-export" / "export.py"
PEERS = ROOT / ".setup" / "peers"
_MARKED = re.compile(r"(<!-- measured -->\n).*?(<!-- end of measured -->)", re.DOTALL)
MAKE_CHECKPOINT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config()).save_pretrained(sys.argv[1])
"""
_PAUSE = 0.5
"""Seconds between two runs."""
Case = Callable[[], float]
"""Runs once; returns the seconds."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="keeps checkpoint and bundles")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="into docs/interventions.md")
    chosen = parser.parse_args()
    small = bundle_of(chosen.work, "gpt2-small", "fp32,int8")
    demo = bundle_of(chosen.work, "demo", "fp32")
    ids = np.random.default_rng(0).integers(0, 50257, (1, chosen.tokens))
    cases = {
        "decoder graph": decoder_case(small, ids, chosen.threads),
        **bundle_cases(small, ids, chosen.threads),
    }
    peer = start_peer(chosen.work / "gpt2-small-checkpoint", ids, chosen.threads)
    if peer is not None:
        cases["TransformerLens run_with_cache"] = lambda: ask(peer)
    times = in_turns(cases, chosen.rounds)
    rows = table_rows(times)
    rows += sweep_rows(demo, chosen.threads, rounds=5)
    text = "\n".join(["| run | milliseconds | ratio | goal |", "| --- | --: | --: | --: |", *rows])
    text += (
        f"\n\nGPT-2 small, {chosen.tokens} tokens, {chosen.threads} threads, medians of "
        f"{chosen.rounds} rounds in turns, least and most in brackets; the sweep is of the bundled "
        "model, 12 layers × 20 positions.\n"
    )
    print(text)
    if chosen.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        filled = _MARKED.sub(lambda match: f"{match[1]}\n{text}\n{match[2]}", document)
        DOCUMENT.write_text(filled, encoding="utf-8")


def bundle_of(work: Path, name: str, precision: str) -> Path:
    """Return the folder of a bundle, exported where it isn't there yet."""
    folder = work / name
    if (folder / "manifest.json").is_file():
        return folder
    model = "demo"
    if name != "demo":
        checkpoint = work / f"{name}-checkpoint"
        make = [sys.executable, "-c", MAKE_CHECKPOINT, str(checkpoint)]
        subprocess.run(make, check=True, capture_output=True)
        model = str(checkpoint)
    command = [sys.executable, str(EXPORT), "--model", model, "--precision", precision]
    # Weights that were never trained are far from what int8's gate expects of a model.
    command += ["--output", str(folder / "model.onnx"), "--allow-lossy"]
    subprocess.run(command, check=True)
    return folder


def decoder_case(folder: Path, ids: np.ndarray, threads: int) -> Case:
    """Time the graph without joints, with the settings of oriel.Bundle's sessions."""
    from oriel.contract.manifest import read_manifest
    from oriel.runtime.onnx_graph import OnnxGraph, SessionSettings

    manifest = read_manifest(folder)
    graph = (folder / manifest.variant("fp32")["decoder"]["path"]).read_bytes()
    settings = SessionSettings(keep_memory=True, threads=threads)
    session = OnnxGraph(folder, graph, "decoder", manifest.shape, settings=settings)
    return timed(lambda: session.run(ids, ["logits"]))


def bundle_cases(folder: Path, ids: np.ndarray, threads: int) -> dict[str, Case]:
    """Return runs of the open graph, each of a bundle of its own, so that none has another's
    closings or taps."""
    plain, edited, attributed, every = (Bundle(folder, threads=threads) for _ in range(4))
    lean = Bundle(folder, "int8", threads=threads)
    edit = Scale("attn_z", layer=5, head=2)
    return {
        "open graph, no edit": timed(lambda: plain.run(ids)),
        "one head switched off": timed(lambda: edited.run(ids, edits=[edit])),
        "attribution of a token": timed(lambda: attribute(attributed, ids, 7)),
        "all activations": timed(lambda: every.run(ids, ["all"])),
        "all activations, int8": timed(lambda: lean.run(ids, ["all"])),
    }


def timed(run: Callable[[], object]) -> Case:
    def case() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    return case


def start_peer(checkpoint: Path, ids: np.ndarray, threads: int) -> subprocess.Popen[str] | None:
    """Start a process that runs TransformerLens once for each line it reads; None without it."""
    package = PEERS / "transformer_lens_3"
    if not package.is_dir():
        print("no TransformerLens in .setup/peers: run make test-peers to have it beside")
        return None
    program = Path(__file__).resolve().parent / "peer" / "run_with_cache.py"
    tests = ROOT / "tests" / "python"
    path = os.pathsep.join(map(str, (package, PEERS / "shared", tests)))
    return subprocess.Popen(
        [sys.executable, str(program), str(checkpoint), str(threads), *map(str, ids[0])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def ask(peer: subprocess.Popen[str]) -> float:
    """Return the seconds of one run. Raises RuntimeError where the process has ended."""
    assert peer.stdin is not None and peer.stdout is not None
    peer.stdin.write("run\n")
    peer.stdin.flush()
    line = peer.stdout.readline()
    if not line:
        raise RuntimeError("TransformerLens' process has ended: see above")
    return float(line)


def in_turns(cases: dict[str, Case], rounds: int) -> dict[str, list[float]]:
    """Return the seconds of each case: warmed up twice, then A B C A B C …"""
    for case in cases.values():
        case()
        case()
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            # The one before leaves its own weights in the cache, and PyTorch's threads spinning.
            time.sleep(_PAUSE)
            case()
            times[name].append(case())
    return times


def table_rows(times: dict[str, list[float]]) -> list[str]:
    """Return a line for each case, beside what its goal compares it with."""
    compared = {
        "open graph, no edit": ("decoder graph", "1.02"),
        "one head switched off": ("open graph, no edit", "1.05"),
        "attribution of a token": ("open graph, no edit", "1.3"),
        "all activations": ("open graph, no edit", "1.02"),
    }
    lines = []
    for name, seconds in times.items():
        milliseconds = f"{statistics.median(seconds) * 1000:.0f}"
        other, goal = compared.get(name, ("", ""))
        ratio = f"{ratios(seconds, times[other])} of {other}" if other else ""
        lines.append(f"| {name} | {milliseconds} | {ratio} | {goal} |")
    peer = times.get("TransformerLens run_with_cache")
    if peer is not None:
        for name, goal in (("all activations", "0.75"), ("all activations, int8", "0.5")):
            ratio = f"{ratios(times[name], peer)} of TransformerLens"
            lines.append(f"| {name} |  | {ratio} | {goal} |")
    return lines


def ratios(times: list[float], others: list[float]) -> str:
    return spread([one / other for one, other in zip(times, others, strict=True)])


def sweep_rows(folder: Path, threads: int, rounds: int) -> list[str]:
    """Time the patching sweep: 12 layers by 20 positions in the bundled model."""
    with Bundle(folder, threads=threads) as bundle:
        random = np.random.default_rng(1).integers(1, bundle.shape.vocab, (2, 20)).tolist()
        texts, metric = Texts(random[0], random[1]), LogitDifference(5, 6)
        case = timed(lambda: patch_positions(bundle, texts, metric))
        case()
        seconds = [case() for _ in range(rounds)]
    found = f"{statistics.median(seconds) * 1000:.0f}"
    return [f"| patching sweep, 240 runs | {found} |  | 3000 |"]


if __name__ == "__main__":
    main()
