"""Qwen2-0.5B's sizes with seeded random weights, by `oriel export` (three graphs, every tap, a
reference pass) beside Optimum's exporter, with past, and that of transformers: wall and processor
time, and peak memory, in turns and as processes of their own. `make test-libraries` brings Optimum.
What one writes is removed before the next: about 7 GB on disk.

python benchmarks/qwen2_export.py [--rounds 3] [--size 0.5]
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from large_models import SIZES
from processes import Run, print_ratios, run_once, spread

from oriel.tracing.kept_graphs import FOLDER as TRACE_CACHE

HERE = Path(__file__).resolve().parent
OPTIMUM = HERE.parent / ".setup" / "libraries" / "optimum"
GOALS = "goals: time 0.4 and memory 0.5 of theirs"
NAMES = ("Oriel, first", "Oriel, graph kept", "Optimum", "transformers.exporters")
OURS = 2
"""The number of these that are Oriel's."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", choices=SIZES, default="0.5")
    args = parser.parse_args()
    if not OPTIMUM.is_dir():
        raise SystemExit("there is no Optimum in .setup/libraries: run make test-libraries first")
    with tempfile.TemporaryDirectory(prefix="oriel-qwen2-") as name:
        checkpoint = Path(name) / "checkpoint"
        make = [sys.executable, str(HERE / "large_models.py"), "--make", args.size]
        # float32, so that nobody exports in another type than the others.
        run_once([*make, "--float32", "--folder", str(checkpoint)])
        runs = measure(checkpoint, Path(name), args.rounds)
    for label, own in zip(NAMES, runs, strict=True):
        seconds, cpu = spread([r.seconds for r in own]), spread([r.cpu_seconds for r in own])
        print(
            f"{label}: {seconds} s, processor {cpu} s, peak {spread([r.peak_mb for r in own])} MB"
        )
    print(GOALS)
    print_ratios(NAMES, runs, OURS)


def measure(checkpoint: Path, folder: Path, rounds: int) -> Sequence[Sequence[Run]]:
    """Return the runs of each exporter, all in turns; the checkpoint was just written, so that none
    reads it from the disk."""
    out = folder / "out"
    ours = [sys.executable, "-m", "oriel", "export", "--model", str(checkpoint)]
    ours += ["--output", str(out / "model.onnx")]
    optimum = [sys.executable, str(HERE / "encoders" / "with_optimum.py"), str(checkpoint)]
    script = [sys.executable, str(HERE / "transformers_export.py"), str(checkpoint), str(out)]
    commands = [
        ["env", f"{TRACE_CACHE}=", *ours],
        ["env", f"{TRACE_CACHE}={folder / 'graphs'}", *ours],
        ["env", f"PYTHONPATH={OPTIMUM}", *optimum, str(out), "text-generation-with-past"],
        script,
    ]
    runs: list[list[Run]] = [[] for _ in commands]
    for _ in range(rounds):
        for number, command in enumerate(commands):
            shutil.rmtree(out, ignore_errors=True)
            run = run_once(command)
            print(f"{NAMES[number]}: {run}", file=sys.stderr, flush=True)
            runs[number].append(run)
    return runs


if __name__ == "__main__":
    main()
