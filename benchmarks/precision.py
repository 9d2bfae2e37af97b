"""Bytes, fidelity and speed of every variant, beside transformers.js, into docs/precision.md.

python benchmarks/precision.py                           measures all; about half an hour
python benchmarks/precision.py --parts browser,native    measures these anew, keeps the rest
python benchmarks/precision.py --quick --output FILE     on a tiny model: its times say nothing

Models, libraries and figures are kept in a folder outside the repository (--folder). It needs a
Chromium, and the package indexes for the first run's transformers.js and Optimum.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from closed_graph import closed_graph
from peer_library import GRAPHS, PACKAGES, PeerLibrary
from precision_document import PEER, document
from precision_models import Models, bytes_of, manifest_of, measure_fidelity, quantize_alone

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DOCUMENT = ROOT / "docs" / "precision.md"
THREADS = 2
TOKENS, PROMPTS, STEPS = 64, 12, 16
COUNTS = {"tokens": TOKENS, "threads": THREADS, "prompts": PROMPTS, "steps": STEPS}
ROUNDED_ACTIVATIONS = ("int8", "int8_static", "int4", "q8")
"""Kernels that round activations by what else is in the batch: a cached step differs by that."""
EXACT, ROUGH = 1e-3, 0.5
"""Difference of a cached step's logits from the whole text's, in standard deviations."""
RUNTIME = "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm"
PEER_RUNTIME = "onnxruntime-web/dist/ort-wasm-simd-threaded.asyncify.wasm"
"""The builds that the page and transformers.js take for wasm."""


class Measuring:
    """One run of the benchmark: where things are, and how often each is timed."""

    def __init__(self, models: Models, library: PeerLibrary, rounds: int, plot: Path) -> None:
        self.models = models
        self.library = library
        self.rounds = rounds
        self.plot = plot

    def bytes(self) -> dict[str, int]:
        sizes = bytes_of(self.models.bundle)
        peer = self.models.peer_bytes("gpt2")
        return {**sizes, **{f"{PEER} {name}": size for name, size in peer.items()}}

    def fidelity(self) -> dict[str, Any]:
        return measure_fidelity(self.models, self.plot)

    def quantizing(self) -> dict[str, Any]:
        runs = quantize_alone(self.models, min(self.rounds, 3))
        return {name: [asdict(run) for run in found] for name, found in runs.items()}

    def native(self) -> dict[str, Any]:
        """Variants that travel encoded compute as fp32 does, so they are left out."""
        manifest = manifest_of(self.models.bundle)
        vocab = manifest["model"]["shape"]["vocab"]
        graphs = {
            v["name"]: self.models.bundle / v["decoder"]["path"]
            for v in manifest["variants"]
            if "expansion" not in v
        }
        for name in ("fp32", "q8"):
            graphs[f"{PEER} {name}"] = self.models.peer / "gpt2" / GRAPHS[name]
        timings: dict[str, list[Any]] = {name: [] for name in graphs}
        for number in range(self.rounds):
            for name in self._in_turn(list(graphs), number):
                job = {**COUNTS, "graph": str(graphs[name]), "vocab": vocab}
                job |= {"lastFirst": number % 2 == 0, "tolerance": tolerance(name)}
                command = [sys.executable, str(HERE / "native_speed.py"), json.dumps(job)]
                done = subprocess.run(command, capture_output=True, text=True, check=False)
                if done.returncode != 0:
                    raise RuntimeError(f"{name}, native: {done.stderr[-2000:]}")
                timings[name].append(json.loads(done.stdout))
        return timings

    def browser(self) -> dict[str, Any]:
        folder = self.models.folder
        link = folder / PACKAGES
        if not link.exists():
            link.symlink_to(self.library.folder / PACKAGES)
        plan, answers = folder / "plan.json", folder / "answers.json"
        jobs = {**self._own_jobs(), **self._peer_jobs()}
        tolerances = {name: tolerance(name) for name in jobs}
        content = {"rounds": self.rounds, "jobs": jobs, "tolerance": tolerances}
        plan.write_text(json.dumps({**content, "answers": str(answers)}), encoding="utf-8")
        config = HERE / "browser" / "precision.config.ts"
        environment = {
            **os.environ,
            "ORIEL_BENCHMARK_FILES": str(folder),
            "ORIEL_BENCHMARK_PLAN": str(plan),
        }
        command = ["npx", "playwright", "test", "--config", str(config)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        found: dict[str, Any] = json.loads(answers.read_text(encoding="utf-8"))
        return found

    def _own_jobs(self) -> dict[str, Any]:
        manifest = manifest_of(self.models.bundle)
        return {
            v["name"]: {
                **COUNTS,
                "library": "oriel",
                "folder": self.models.bundle.name,
                "graph": closed_graph(self.models.bundle, v),
                "weights": v["weights"],
                "expansion": v.get("expansion"),
                "shape": manifest["model"]["shape"],
                "lastFirst": False,
            }
            for v in manifest["variants"]
        }

    def _peer_jobs(self) -> dict[str, Any]:
        vocab = manifest_of(self.models.bundle)["model"]["shape"]["vocab"]
        return {
            f"{PEER} {name}": {
                **COUNTS,
                "library": "transformers.js",
                "packages": PACKAGES,
                "models": self.models.peer.name,
                "model": "gpt2",
                "dtype": name,
                "files": ["config.json", "generation_config.json", path],
                "vocab": vocab,
            }
            for name, path in GRAPHS.items()
        }

    @staticmethod
    def _in_turn(names: list[str], number: int) -> list[str]:
        """Forwards and backwards, so that each has its turn early and late."""
        return names if number % 2 == 0 else names[::-1]

    def machine(self) -> dict[str, Any]:
        lock = json.loads((HERE / "peer" / "package-lock.json").read_text(encoding="utf-8"))
        peer = lock["packages"]["node_modules/@huggingface/transformers"]["version"]
        own = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))
        version = [sys.executable, "-c", "import onnxruntime; print(onnxruntime.__version__)"]
        native = subprocess.run(version, capture_output=True, text=True, check=True)
        return {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": THREADS,
            "load": os.getloadavg()[0],
            "rounds": self.rounds,
            "onnxruntime": native.stdout.strip(),
            "onnxruntime-web": own["dependencies"]["onnxruntime-web"],
            "transformers.js": peer,
            "runtime_bytes": (ROOT / PACKAGES / RUNTIME).stat().st_size,
            "peer_runtime_bytes": (self.library.folder / PACKAGES / PEER_RUNTIME).stat().st_size,
        }


PARTS: dict[str, Callable[[Measuring], Any]] = {
    "machine": Measuring.machine,
    "bytes": Measuring.bytes,
    "quantizing": Measuring.quantizing,
    "fidelity": Measuring.fidelity,
    "native": Measuring.native,
    "browser": Measuring.browser,
}


def tolerance(name: str) -> float:
    return ROUGH if name.removeprefix(f"{PEER} ") in ROUNDED_ACTIVATIONS else EXACT


def processor() -> str:
    """Its name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return "an unnamed processor"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else "an unnamed processor"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6, help="default: %(default)s; at least 2")
    parser.add_argument("--parts", default=",".join(PARTS), help="default: %(default)s")
    parser.add_argument("--quick", action="store_true", help="a tiny model, two rounds")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    parser.add_argument("--folder", type=Path, default=cache / "oriel-benchmark")
    parser.add_argument("--output", type=Path, default=DOCUMENT, help="default: docs/precision.md")
    args = parser.parse_args()
    parts = args.parts.split(",")
    if unknown := set(parts) - PARTS.keys():
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    if args.quick and args.output == DOCUMENT:
        parser.error("--quick measures nothing worth keeping: give another --output")
    if args.rounds < 2:
        parser.error("one round leaves figures out: --rounds 2 at least")
    folder = args.folder / ("tiny" if args.quick else "small")
    models = Models(folder, tiny=args.quick)
    library = PeerLibrary(args.folder / "transformers.js")
    rounds = 2 if args.quick else args.rounds
    measuring = Measuring(models, library, rounds, args.output.with_suffix(".svg"))
    say("install transformers.js and Optimum")
    library.install()
    say("make the models")
    models.make(library)
    figures = folder / "figures.json"
    measured = json.loads(figures.read_text(encoding="utf-8")) if figures.is_file() else {}
    for part, measure in PARTS.items():
        if part in parts:
            say(f"measure: {part}")
            measured[part] = measure(measuring)
            figures.write_text(json.dumps(measured), encoding="utf-8")
    text = document(DOCUMENT.read_text(encoding="utf-8"), measured)
    args.output.write_text(text, encoding="utf-8")
    say(f"{args.output} is written")


def say(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
