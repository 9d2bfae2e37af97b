"""Measures whether the page's memory stays flat in Chromium: while tokens are generated, beside a
page that was opened with the same text, and while the reader changes between two models.

The bytes are the resident memory of the page's process, with its workers and WebAssembly, after a
collection of garbage. Needs Chromium, Linux's /proc, and the bundles of the browser tests (`make
bundle`).

python benchmarks/page_memory.py [--tokens 200] [--switches 50]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIG = Path(__file__).resolve().parent / "browser" / "page.config.ts"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--switches", type=int, default=50)
    chosen = parser.parse_args()
    found = measured({"tokens": chosen.tokens, "switches": chosen.switches})
    print("| after | memory, MB | page opened with that text, MB |")
    print("| --- | --: | --: |")
    for tokens, stepped, opened in found["generated"]:
        print(f"| {tokens} generated tokens | {stepped / 1e6:.1f} | {opened / 1e6:.1f} |")
    for switches, held in found["switched"]:
        print(f"| {switches} changes of the model | {held / 1e6:.1f} | |")


def measured(plan: dict[str, int]) -> dict[str, list[list[float]]]:
    """Return rows of a count and bytes, for `generated` and `switched`."""
    with tempfile.TemporaryDirectory() as folder:
        answers = Path(folder) / "answers.json"
        environment = {
            **os.environ,
            "ORIEL_BENCHMARK": "page_memory.spec.ts",
            "ORIEL_BENCHMARK_PLAN": json.dumps({**plan, "answers": str(answers)}),
        }
        command = ["npx", "playwright", "test", "--config", str(CONFIG)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        found: dict[str, list[list[float]]] = json.loads(answers.read_text(encoding="utf-8"))
    return found


if __name__ == "__main__":
    main()
