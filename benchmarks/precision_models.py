"""The models that are measured: GPT-2 small from its config for sizes and speed, the bundled
trained one for fidelity; each as a bundle with every variant, and as files for transformers.js."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peer_library import GRAPHS, PeerLibrary
from processes import Run, run_once

ROOT = Path(__file__).resolve().parents[1]
TRAINED = ROOT / "tools" / "model-export" / "oriel" / "models" / "demo" / "weights"
MADE = ("f16", "q8", "q4", "fp16", "int8", "int8_static", "int4")
ORIEL = (sys.executable, "-m", "oriel")
# Predictions of random weights mean nothing, so no bound may stop them; and a variant of the
# trained model that misses its bound must be in the table.
LOSSY = "--allow-lossy"

_MAKE_CHECKPOINT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
sizes = {} if sys.argv[2] == "small" else dict(
    n_layer=2, n_embd=64, n_head=2, n_positions=128, vocab_size=512)
GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Models:
    """A folder with all models made, which is also served to the browser."""

    folder: Path
    tiny: bool
    """True for a tiny model in place of GPT-2 small, for a trial run."""

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint"

    @property
    def bundle(self) -> Path:
        return self.folder / "bundle"

    @property
    def trained_bundle(self) -> Path:
        return self.folder / "trained"

    @property
    def peer(self) -> Path:
        """Folder of transformers.js' models: `gpt2` and `trained`."""
        return self.folder / "peer"

    def make(self, library: PeerLibrary) -> None:
        """Make bundles each time, as the exporter may have changed; make Optimum's files once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.make_checkpoint()
        for model, bundle in ((str(self.checkpoint), self.bundle), ("demo", self.trained_bundle)):
            export(model, bundle)
            quantize(bundle, *MADE)
        for name, checkpoint in (("gpt2", self.checkpoint), ("trained", TRAINED)):
            if not (self.peer / name / GRAPHS["q4"]).is_file():
                library.export(checkpoint, self.peer / name)

    def make_checkpoint(self) -> None:
        if not self.checkpoint.is_dir():
            size = "tiny" if self.tiny else "small"
            run_once([sys.executable, "-c", _MAKE_CHECKPOINT, str(self.checkpoint), size])

    def peer_bytes(self, model: str) -> dict[str, int]:
        """Return the bytes of transformers.js' `gpt2` or `trained`, by its names of precisions."""
        return {name: (self.peer / model / path).stat().st_size for name, path in GRAPHS.items()}


def export(model: str, bundle: Path) -> None:
    """Export the float32 bundle of a checkpoint's folder, or of the bundled model."""
    output = str(bundle / "model.onnx")
    run_once([*ORIEL, "export", "--model", model, "--output", output, "--force"])


def quantize(bundle: Path, *precisions: str) -> Run:
    return run_once([*ORIEL, "quantize", str(bundle), "--precision", ",".join(precisions), LOSSY])


def quantize_alone(models: Models, rounds: int) -> dict[str, list[Run]]:
    """Measure time and memory of `oriel quantize` for each variant alone, from a float32 bundle."""
    plain, copy = models.folder / "plain", models.folder / "copy"
    export(str(models.checkpoint), plain)
    runs: dict[str, list[Run]] = {name: [] for name in MADE}
    for _ in range(rounds):
        for name, found in runs.items():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(plain, copy)
            found.append(quantize(copy, name))
    shutil.rmtree(copy)
    shutil.rmtree(plain)
    return runs


def manifest_of(bundle: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    return manifest


def bytes_of(bundle: Path) -> dict[str, int]:
    """Return the bytes that opening each variant downloads: weights and open graph."""
    manifest = manifest_of(bundle)
    sizes = {file["path"]: int(file["bytes"]) for file in manifest["files"]}
    return {
        v["name"]: sum(sizes[path] for path in {*v["weights"], v["open"]["path"]})
        for v in manifest["variants"]
    }


def measure_fidelity(models: Models, plot: Path) -> dict[str, Any]:
    """Measure every variant of the trained model, and transformers.js' q8 of it."""
    bundle = models.trained_bundle
    # Exit code 1 says that a variant is beyond its bounds: the table says so too.
    ours = _printed([*ORIEL, "fidelity", str(bundle), "--json"], codes=(0, 1))
    script = str(Path(__file__).with_name("peer_fidelity.py"))
    graph = str(models.peer / "trained" / GRAPHS["q8"])
    theirs = _printed([sys.executable, script, str(bundle), graph, str(plot)])
    return {**ours, "peer": theirs}


def _printed(command: list[str], codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
    """Return the JSON that a command prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    printed: dict[str, Any] = json.loads(done.stdout)
    return printed
