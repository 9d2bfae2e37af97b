"""The time to load one model's tensors from each kind of file, in a process that has done nothing
else, with the file in the system's cache:

    python benchmarks/checkpoint_loading.py [--runs 9] [--layers 12]

The model has GPT-2's sizes and random values. Two times: until the call returns, and until a value
of every page of memory was read too, since mapped tensors are read no sooner. The import of torch
and of safetensors comes before them.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

LOADS = {
    "torch.load": "found = torch.load(sys.argv[1], weights_only=True)",
    "torch.load, mmap": "found = torch.load(sys.argv[1], weights_only=True, mmap=True)",
    "safetensors": "found = load_file(sys.argv[1])",
    "safetensors, one tensor": (
        "opened = safe_open(sys.argv[1], framework='pt')\n"
        "found = {'one': opened.get_tensor(next(iter(opened.keys())))}"
    ),
}
PROGRAM = """
import json, sys, time
import torch
from safetensors import safe_open
from safetensors.torch import load_file
start = time.perf_counter()
{load}
opened = time.perf_counter()
total = sum(float(tensor.flatten()[::1024].sum()) for tensor in found.values())
print(json.dumps([opened - start, time.perf_counter() - start]))
"""


def model_tensors(layers: int) -> dict[str, torch.Tensor]:
    """Return tensors of GPT-2's names and sizes, with this number of blocks."""
    draw = torch.Generator().manual_seed(1)
    sizes: dict[str, tuple[int, ...]] = {"wte": (50257, 768), "wpe": (1024, 768)}
    for layer in range(layers):
        sizes |= {
            f"h.{layer}.attn.c_attn": (768, 2304),
            f"h.{layer}.attn.c_proj": (768, 768),
            f"h.{layer}.mlp.c_fc": (768, 3072),
            f"h.{layer}.mlp.c_proj": (3072, 768),
        }
    return {f"{n}.weight": torch.randn(size, generator=draw) for n, size in sizes.items()}


def seconds(load: str, file: Path) -> tuple[float, float]:
    """Return the seconds until the call returned, and until every page was read."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(load=load), str(file)],
        capture_output=True,
        text=True,
        check=True,
    )
    returned, read = json.loads(done.stdout)
    return returned, read


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--layers", type=int, default=12)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tensors = model_tensors(arguments.layers)
        torch.save(tensors, folder / "model.bin")
        save_file(tensors, folder / "model.safetensors")
        del tensors
        size = (folder / "model.safetensors").stat().st_size
        print(
            f"{size / 1e6:.0f} MB, torch {torch.__version__}, {platform.machine()}, "
            f"{torch.get_num_threads()} threads; median of {arguments.runs} (range), ms"
        )
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in LOADS}
        # Round by round, so that a busy moment of the machine meets each of them.
        for _ in range(arguments.runs + 1):
            for name, load in LOADS.items():
                file = "model.safetensors" if "safetensors" in name else "model.bin"
                found[name].append(seconds(load, folder / file))
        for name, times in found.items():
            # The first round fills the system's cache.
            returned, read = (sorted(column) for column in zip(*times[1:], strict=True))
            print(f"{name:24} returned {spread(returned)}   every page read {spread(read)}")
    return 0


def spread(times: list[float]) -> str:
    """Return the median and the range in milliseconds."""
    middle = statistics.median(times) * 1e3
    return f"{middle:7.1f} ({times[0] * 1e3:.1f} to {times[-1] * 1e3:.1f})"


if __name__ == "__main__":
    sys.exit(main())
