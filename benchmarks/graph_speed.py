"""Times the graphs of bundles against each other: session, a prompt of 64 tokens, one cached step.
Each round runs every graph in a process of its own, one after the other, so that a noisy machine
slows all alike; ratios are those of a round, with their quartiles.

python benchmarks/graph_speed.py --bundle 2.0=FOLDER [--bundle 1.0=FOLDER] [--rounds 9]

Of a bundle of contract 2.0 the decoder graph, and the open graph closed by identity; of one of 1.x
the interactive graph.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from closed_graph import closed_graph

NATIVE = Path(__file__).with_name("native_speed.py")
JOB = {
    "threads": 2,
    "tokens": 64,
    "prompts": 12,
    "steps": 24,
    "lastFirst": False,
    "tolerance": 1e-3,
}


def graphs_of(label: str, folder: Path) -> dict[str, Path]:
    """Return the fp32 graphs of a bundle that have a cache, by what to call them."""
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    variant = next(v for v in manifest["variants"] if v["name"] == "fp32")
    if "interactive" in variant:
        return {f"{label} interactive": folder / variant["interactive"]["path"]}
    return {
        f"{label} decoder": folder / variant["decoder"]["path"],
        f"{label} open, closed": folder / closed_graph(folder, variant),
    }


def measure(graph: Path, vocab: int) -> dict[str, float]:
    """Return milliseconds of the session, and medians of prompt and step."""
    job = {**JOB, "graph": str(graph), "vocab": vocab}
    done = subprocess.run(
        [sys.executable, str(NATIVE), json.dumps(job)], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    return {
        "session": found["session"],
        "prompt": float(np.median(found["all"])),
        "step": float(np.median(found["step"])),
    }


def main() -> None:
    """Print a row for each graph and figure: its median, and its ratio to the first graph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", action="append", required=True, metavar="NAME=FOLDER")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    graphs: dict[str, Path] = {}
    vocab = 0
    for entry in arguments.bundle:
        label, _, folder = entry.partition("=")
        graphs |= graphs_of(label, Path(folder))
        manifest = json.loads((Path(folder) / "manifest.json").read_text())
        vocab = manifest["model"]["shape"]["vocab"]
    rounds = [
        {name: measure(path, vocab) for name, path in graphs.items()}
        for _ in range(arguments.rounds)
    ]
    first = next(iter(graphs))
    for figure in ("session", "prompt", "step"):
        for name in graphs:
            values = [one[name][figure] for one in rounds]
            ratios = [one[name][figure] / one[first][figure] for one in rounds]
            low, middle, high = np.percentile(ratios, [25, 50, 75])
            print(
                f"{figure:8} {name:22} {np.median(values):8.1f} ms"
                f"   {middle:.3f} of {first} ({low:.3f} to {high:.3f})"
            )


if __name__ == "__main__":
    main()
