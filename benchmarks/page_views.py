"""Measures how smooth the page's views are in Chromium: a random GPT-2 of 12 layers and 12 heads, a
text of 512 tokens, all attention maps open.

Prints, for each view, the time from the press that shows it to its paint, from a pointer's move to
the paint that follows, and the longest task of the main thread by Chromium's trace. Needs Chromium
and an otherwise idle machine.

python benchmarks/page_views.py --work FOLDER [--tokens 512] [--moves 60]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from page_benchmark import run_on_page

ROOT = Path(__file__).resolve().parents[1]
EXPORT = ROOT / "tools" / "model-export" / "export.py"
FRAME, SWITCH, TASK = 1000 / 60, 100, 50
"""Milliseconds that are aimed at."""
MAKE_CHECKPOINT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
sizes = dict(n_layer=12, n_head=12, n_embd=48, n_inner=96, vocab_size=512)
GPT2LMHeadModel(GPT2Config(**sizes, n_positions=int(sys.argv[2]))).save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Figures:
    """What one view took, in milliseconds."""

    switches: list[float]
    moves: list[float]
    tasks: list[tuple[float, float]]
    """Of the main thread, while the view was shown and the pointer moved over it: on the clock, and
    on the processor, which other load of the machine does not lengthen."""

    def row(self, name: str) -> str:
        worst = sorted(self.moves)[int(len(self.moves) * 0.95)] if self.moves else 0.0
        walls, processor = ([task[at] for task in self.tasks] for at in (0, 1))
        over = f"{sum(ms > TASK for ms in walls)} ({sum(ms > TASK for ms in processor)})"
        cells = (
            f"{statistics.median(self.switches):.0f} (most {max(self.switches):.0f})",
            f"{statistics.median(self.moves):.1f} (19 of 20 within {worst:.1f})",
            f"{max(walls, default=0.0):.0f} ({max(processor, default=0.0):.0f})",
            over,
        )
        return " | ".join([f"| {name}", *cells]) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="keeps checkpoint and bundle")
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--moves", type=int, default=60)
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    make_bundle(work, chosen.tokens)
    found = measured(work, {"tokens": chosen.tokens, "moves": chosen.moves})
    print("| view | shown, ms | pointer to paint, ms | longest task, ms | tasks over 50 ms |")
    print("| --- | --: | --: | --: | --: |")
    for name, figures in found.items():
        print(figures.row(name))
    print(f"\nAimed at: {SWITCH} ms, {FRAME:.1f} ms and {TASK} ms. Text of {chosen.tokens} tokens.")
    print("In brackets: on the processor alone, without what others took of it.")


def make_bundle(work: Path, tokens: int) -> None:
    """Export a random model that reads so many tokens, unless it is there."""
    folder = work / f"views-{tokens}"
    if (folder / "manifest.json").is_file():
        return
    checkpoint = work / f"views-{tokens}-checkpoint"
    make = [sys.executable, "-c", MAKE_CHECKPOINT, str(checkpoint), str(tokens)]
    subprocess.run(make, check=True, capture_output=True)
    command = [sys.executable, str(EXPORT), "--model", str(checkpoint), "--precision", "fp32"]
    subprocess.run([*command, "--output", str(folder / "model.onnx")], check=True)


def measured(work: Path, plan: dict[str, int]) -> dict[str, Figures]:
    """Return {view: its figures}."""
    bundle = str(work / f"views-{plan['tokens']}")
    found = run_on_page("views.spec.ts", {**plan, "bundle": bundle})
    return {name: Figures(**each) for name, each in found.items()}


if __name__ == "__main__":
    main()
