"""Export of an encoder with seeded random weights (BERT base, for masked tokens) to ONNX: `oriel
convert`, which also verifies, beside Optimum's exporter and transformers.exporters. Each in a
process of its own, in turns: wall time, peak memory, and the files' bytes over the weights'. Oriel
stands there twice: as a config's first export, and as a later one, whose traced graph was kept.
Then texts per second at batch 1: PyTorch, and ONNX Runtime in float32 and int8.

Optimum comes from `.setup/libraries`, which `make test-libraries` fills.

python benchmarks/encoder_export.py [--size small] [--rounds 3] [--tokens 128] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from processes import in_turns, print_ratios, spread

from oriel.tracing.kept_graphs import FOLDER as TRACE_CACHE

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "encoders"
EXPORTER = HERE.parent / "tools" / "model-export"
OPTIMUM = HERE.parent / ".setup" / "libraries" / "optimum"
SMALL = {
    "num_hidden_layers": 4,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "intermediate_size": 1024,
}
SIZES: dict[str, dict[str, int]] = {"base": {}, "small": SMALL}
NAMES = ("Oriel, first", "Oriel, graph kept", "Optimum", "transformers.exporters")
OURS = 2
"""The number of these that are Oriel's."""
GOALS = "goals: wall 0.6 and memory 0.4 of Optimum's, bytes 1.02 of the weights', int8 2.5 of eager"
MAKE_CHECKPOINT = """
import json, sys, torch
from transformers import BertConfig, BertForMaskedLM
torch.manual_seed(0)
BertForMaskedLM(BertConfig(**json.loads(sys.argv[2]))).save_pretrained(sys.argv[1])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    if not OPTIMUM.is_dir():
        raise SystemExit("there is no Optimum in .setup/libraries: run make test-libraries first")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "checkpoint"
        # In a process of its own: a child's peak memory counts what its parent held when it forked.
        sizes = json.dumps(SIZES[chosen.size])
        make = [sys.executable, "-c", MAKE_CHECKPOINT, str(checkpoint), sizes]
        subprocess.run(make, check=True, capture_output=True)
        measure_exports(checkpoint, folder, chosen.rounds)
        measure_speed(checkpoint, folder, chosen)


def measure_exports(checkpoint: Path, folder: Path, rounds: int) -> None:
    """Print the seconds, the memory and the bytes of each exporter."""
    outs = [folder / name for name in ("first", "kept", "optimum", "transformers")]
    commands = [
        *(oriel_command(checkpoint, out, folder) for out in outs[:OURS]),
        ["env", f"PYTHONPATH={OPTIMUM}", sys.executable, str(PROGRAMS / "with_optimum.py")],
        [sys.executable, str(PROGRAMS / "with_transformers.py")],
    ]
    for command, out in zip(commands[OURS:], outs[OURS:], strict=True):
        command += [str(checkpoint), str(out)]
    runs = in_turns(commands, rounds)
    weights = (checkpoint / "model.safetensors").stat().st_size
    print(f"rounds: {rounds}; each figure: median (min to max)\n{GOALS}")
    for name, own, out in zip(NAMES, runs, outs, strict=True):
        size = sum(file.stat().st_size for file in out.rglob("model.onnx*"))
        seconds, peak = spread([r.seconds for r in own]), spread([r.peak_mb for r in own])
        cpu = spread([r.cpu_seconds for r in own])
        print(f"{name}: {seconds} s, {cpu} s of processor, {peak} MB; {size / weights:.3f} bytes")
    print_ratios(NAMES, runs, OURS)


def oriel_command(checkpoint: Path, out: Path, folder: Path) -> list[str]:
    """Return an export by Oriel; one into `kept` finds the graph of its warm-up."""
    graphs = folder / "graphs" if out.name == "kept" else ""
    convert = ["convert", str(checkpoint), "--format", "onnx", "--output", str(out)]
    settings = [f"PYTHONPATH={EXPORTER}", f"{TRACE_CACHE}={graphs}"]
    return ["env", *settings, sys.executable, "-m", "oriel", *convert]


def measure_speed(checkpoint: Path, folder: Path, chosen: argparse.Namespace) -> None:
    """Print the texts per second of each file, and over PyTorch's."""
    out = folder / "forms"
    words = ["convert", str(checkpoint), "--format", "onnx", "--output", str(out)]
    words += ["--precision", "int8,int8_static"]
    convert = ["env", f"PYTHONPATH={EXPORTER}", sys.executable, "-m", "oriel", *words]
    subprocess.run(convert, check=True, capture_output=True)
    places = {
        "PyTorch": checkpoint,
        "ONNX": out / "onnx" / "model.onnx",
        "ONNX, int8": out / "onnx" / "model_quantized.onnx",
        "ONNX, int8_static": out / "onnx" / "model_int8.onnx",
    }
    found: dict[str, list[float]] = {name: [] for name in places}
    for _ in range(chosen.rounds):
        for name, place in places.items():
            words = [str(place), str(chosen.tokens), str(chosen.threads)]
            command = [sys.executable, str(PROGRAMS / "texts_per_second.py"), *words]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[name].append(float(done.stdout))
    print(f"texts per second, batch 1, {chosen.tokens} tokens, {chosen.threads} threads")
    for name, figures in found.items():
        ratios = [one / eager for one, eager in zip(figures, found["PyTorch"], strict=True)]
        print(f"{name}: {spread(figures)}, over PyTorch's {spread(ratios)}")


if __name__ == "__main__":
    main()
