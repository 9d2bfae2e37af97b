"""Export of GPT-2 small (seeded random weights) with its three graphs and every tap, beside a
minimal torch.onnx.export of its logits alone: wall time and peak memory, run in turns. Ours twice:
traced anew, and with the graph that an earlier export of such a model has kept.

python benchmarks/export_speed.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import in_turns, spread

from oriel.tracing.kept_graphs import FOLDER

HERE = Path(__file__).resolve().parent
EXPORT = HERE.parent / "tools" / "model-export" / "export.py"


MAKE_CHECKPOINT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config()).save_pretrained(sys.argv[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "checkpoint"
        # In a process of its own: a child's peak memory counts what its parent held when it forked.
        subprocess.run([sys.executable, "-c", MAKE_CHECKPOINT, checkpoint], check=True)
        minimal = folder / "minimal"
        minimal.mkdir()
        ours = [sys.executable, str(EXPORT), "--model", str(checkpoint), "--force"]
        ours += ["--output", str(folder / "bundle" / "model.onnx")]
        theirs = [sys.executable, str(HERE / "minimal_onnx_export.py"), str(checkpoint)]
        theirs += [str(minimal / "model.onnx")]
        anew = ["env", f"{FOLDER}=", *ours]
        kept = ["env", f"{FOLDER}={folder / 'traced_graphs'}", *ours]
        runs = in_turns((anew, kept, theirs), rounds)
    names = ("Oriel, traced anew", "Oriel, kept graph", "torch.onnx.export, logits alone")
    print(f"rounds: {rounds}; each figure: median (min to max)")
    for label, own in zip(names, runs, strict=True):
        seconds, peak = spread([r.seconds for r in own]), spread([r.peak_mb for r in own])
        print(f"{label}: {seconds} s, {peak} MB")
    for label, own in zip(names[:2], runs[:2], strict=True):
        pairs = list(zip(own, runs[2], strict=True))
        print(f"{label}, as a part of torch's:")
        wall = spread([x.seconds / y.seconds for x, y in pairs])
        cpu = spread([x.cpu_seconds / y.cpu_seconds for x, y in pairs])
        peak = spread([x.peak_mb / y.peak_mb for x, y in pairs])
        print(f"  wall time {wall}, processor time {cpu}, peak memory {peak}")


if __name__ == "__main__":
    main()
