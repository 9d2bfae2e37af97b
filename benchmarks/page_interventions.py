"""Times edits and analyses in the page's engine, in Chromium on WebAssembly, next to plain runs:
GPT-2 small with seeded random weights, and the bundled model for the patching sweep.
interventions.py measures the same natively and exports the same bundles.

`--write` puts the table into docs/interventions.md. Needs Chromium and an otherwise idle machine.

python benchmarks/page_interventions.py --work FOLDER [--rounds 15] [--tokens 128] [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
from pathlib import Path

import numpy as np
import onnx
from interventions import DOCUMENT, ROOT, bundle_of, ratios
from onnx import numpy_helper

from oriel.contract.activation_names import NUM_LOGITS
from oriel.contract.manifest import read_manifest

CONFIG = Path(__file__).resolve().parent / "browser" / "interventions.config.ts"
_MARKED = re.compile(
    r"(<!-- measured on the page -->\n).*?(<!-- end of measured on the page -->)", re.DOTALL
)
COMPARED = {
    "open graph, no edit": ("decoder graph", "1.02"),
    "one head switched off": ("open graph, no edit", "1.05"),
    "attribution of a token": ("open graph, no edit", "1.3"),
}
SWEEP_GOAL = "10000"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="keeps checkpoint and bundles")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--write", action="store_true", help="into docs/interventions.md")
    chosen = parser.parse_args()
    work = chosen.work.resolve()
    small = bundle_of(work, "gpt2-small", "fp32,int8")
    bundle_of(work, "demo", "fp32")
    graph = decoder_alone(small, work / "gpt2-small-decoder")
    times = measured(
        work,
        {
            "rounds": chosen.rounds,
            "tokens": chosen.tokens,
            "open": "files/gpt2-small/manifest.json",
            "decoder": f"files/gpt2-small-decoder/{graph}",
            "demo": "files/demo/manifest.json",
        },
    )
    rows = [row(name, each, times) for name, each in times.items()]
    text = "\n".join(["| run | milliseconds | ratio | goal |", "| --- | --: | --: | --: |", *rows])
    text += (
        f"\n\nThe same in Chromium on WebAssembly: medians of {chosen.rounds} rounds in turns, as "
        "the page waits for them.\n"
    )
    print(text)
    if chosen.write:
        document = DOCUMENT.read_text(encoding="utf-8")
        filled, found = _MARKED.subn(lambda match: f"{match[1]}\n{text}\n{match[2]}", document)
        if found != 1:
            raise SystemExit(f"{DOCUMENT} has no place for the table")
        DOCUMENT.write_text(filled, encoding="utf-8")


def decoder_alone(bundle: Path, folder: Path) -> str:
    """Write the decoder graph without a manifest, so that the page opens it as a bare graph. Return
    its name.

    It computes the logits of one token, as the open graph does: the browser runtime can't override
    the default of a graph input.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variant = read_manifest(bundle).variant("fp32")
    name = str(variant["decoder"]["path"])
    model = onnx.load(bundle / name, load_external_data=False)
    for initializer in model.graph.initializer:
        if initializer.name == NUM_LOGITS:
            initializer.CopyFrom(numpy_helper.from_array(np.array(1, np.int64), NUM_LOGITS))
    (folder / name).write_bytes(model.SerializeToString())
    for weights in variant["weights"]:
        if not (folder / weights).is_file():
            shutil.copyfile(bundle / weights, folder / weights)
    return name


def measured(work: Path, plan: dict[str, object]) -> dict[str, list[float]]:
    """Return {case: its times in milliseconds}."""
    answers, plan_file = work / "page_times.json", work / "page_plan.json"
    answers.unlink(missing_ok=True)
    plan_file.write_text(json.dumps({**plan, "answers": str(answers)}), encoding="utf-8")
    environment = {
        **os.environ,
        "ORIEL_BENCHMARK_FILES": str(work),
        "ORIEL_BENCHMARK_PLAN": str(plan_file),
    }
    command = ["npx", "playwright", "test", "--config", str(CONFIG)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    found: dict[str, list[float]] = json.loads(answers.read_text(encoding="utf-8"))
    return found


def row(name: str, times: list[float], all_times: dict[str, list[float]]) -> str:
    """Return a row of the table, with the case that its goal compares it with."""
    other, goal = COMPARED.get(name, ("", ""))
    ratio = f"{ratios(times, all_times[other])} of {other}" if other else ""
    goal = SWEEP_GOAL if name.startswith("patching sweep") else goal
    return f"| {name} | {statistics.median(times):.0f} | {ratio} | {goal} |"


if __name__ == "__main__":
    main()
