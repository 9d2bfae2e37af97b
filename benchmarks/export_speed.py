"""Export of GPT-2 small (seeded random weights) with both graphs and every tap, beside a minimal
torch.onnx.export of its logits alone: wall time and peak memory, run in turns.

python benchmarks/export_speed.py [--pairs 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import in_turns, spread

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
    parser.add_argument("--pairs", type=int, default=3)
    pairs = parser.parse_args().pairs
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
        a, b = in_turns(ours, theirs, pairs)
    print(f"pairs: {pairs}; each figure: median (min to max)")
    print(f"Oriel, both graphs, every tap: {spread([r.seconds for r in a])} s,", end=" ")
    print(f"{spread([r.peak_mb for r in a])} MB")
    print(f"torch.onnx.export, logits:     {spread([r.seconds for r in b])} s,", end=" ")
    print(f"{spread([r.peak_mb for r in b])} MB")
    cpu = [x.cpu_seconds / y.cpu_seconds for x, y in zip(a, b, strict=True)]
    seconds = [x.seconds / y.seconds for x, y in zip(a, b, strict=True)]
    memory = [x.peak_mb / y.peak_mb for x, y in zip(a, b, strict=True)]
    print(f"wall time ratio: {spread(seconds)}, goal at most 0.60")
    print(f"processor time ratio: {spread(cpu)}")
    print(f"peak memory ratio: {spread(memory)}, goal at most 1.00")


if __name__ == "__main__":
    main()
