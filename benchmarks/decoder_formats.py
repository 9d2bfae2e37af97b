"""A decoder, GPT-2 small with seeded random weights, by `oriel convert` to ONNX beside Optimum's
exporter, with past, and that of transformers: wall time, peak memory and bytes, in turns. Oriel
stands there twice: as a config's first export, and as a later one, whose traced graph was kept.
Optimum comes from `.setup/libraries`, which `make test-libraries` fills. And how long its
TorchScript, PT2 and AOTInductor files take for a prompt and for a cached step beside the model.

python benchmarks/decoder_formats.py [--rounds 3] [--layers 12] [--skip-export]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from processes import in_turns, print_ratios, spread
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache, GPT2Config

from oriel.formats import formats_by_name
from oriel.tracing.kept_graphs import FOLDER as TRACE_CACHE

HERE = Path(__file__).resolve().parent
OPTIMUM = HERE.parent / ".setup" / "libraries" / "optimum"
NAMES = ("Oriel, first", "Oriel, graph kept", "Optimum", "transformers.exporters")
OURS = 2
"""The number of these that are Oriel's."""
GOALS = "goals: wall 0.6 and memory 0.4 of Optimum's, bytes 1.02 of the weights'"
MAKE_CHECKPOINT = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config(n_layer=int(sys.argv[2]))).save_pretrained(sys.argv[1])
"""
FORMATS = ("ts", "pt2", "aotinductor")
SIZES = {"prompt of 64": (1, 64, 0), "step behind 64": (1, 1, 64)}
"""{name: batch, tokens, past}."""
CALLS = 10
"""Of a round, each way in turn, so that what else the machine does falls on all alike."""
Run = Callable[[], object]


def convert_command(checkpoint: Path, formats: Sequence[str], folder: Path) -> list[str]:
    named = ["--format", ",".join(formats), "--output", str(folder)]
    return [sys.executable, "-m", "oriel", "convert", str(checkpoint), *named]


def bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir() if ".onnx" in file.name)


def print_exports(checkpoint: Path, folder: Path, rounds: int) -> None:
    """Print what an export to ONNX takes, by Oriel with its verification and by others."""
    if not OPTIMUM.is_dir():
        raise SystemExit("there is no Optimum in .setup/libraries: run make test-libraries first")
    outs = [folder / name for name in ("first", "kept", "optimum", "transformers")]
    first, kept = (convert_command(checkpoint, ("onnx",), out) for out in outs[:OURS])
    optimum = [sys.executable, str(HERE / "encoders" / "with_optimum.py"), str(checkpoint)]
    script = [sys.executable, str(HERE / "transformers_export.py"), str(checkpoint)]
    commands = [
        ["env", f"{TRACE_CACHE}=", *first],
        ["env", f"{TRACE_CACHE}={folder / 'graphs'}", *kept],
        ["env", f"PYTHONPATH={OPTIMUM}", *optimum, str(outs[2]), "text-generation-with-past"],
        [*script, str(outs[3])],
    ]
    runs = in_turns(commands, rounds)
    weights = (checkpoint / "model.safetensors").stat().st_size
    for label, own, out in zip(NAMES, runs, outs, strict=True):
        seconds, peak = spread([r.seconds for r in own]), spread([r.peak_mb for r in own])
        cpu = spread([r.cpu_seconds for r in own])
        size = bytes_in(out)
        print(f"{label}: {seconds} s, processor {cpu} s, peak {peak} MB, ", end="")
        print(f"{size:,} bytes, {size / weights:.4f} of the weights")
    print(GOALS)
    print_ratios(NAMES, runs, OURS)


def inputs_of(checkpoint: Path, sizes: tuple[int, int, int]) -> list[Tensor]:
    """Return the flat inputs of the files. sizes: batch, tokens, past."""
    batch, new, past = sizes
    config: Any = GPT2Config.from_pretrained(checkpoint)
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(0, config.vocab_size, (batch, new), generator=draw)
    mask = torch.ones(batch, past + new, dtype=torch.long)
    places = torch.arange(past, past + new).expand(batch, new).contiguous()
    shape = (batch, config.n_head, past, config.n_embd // config.n_head)
    pairs = [torch.randn(shape, generator=draw) for _ in range(2 * config.n_layer)]
    return [ids, mask, places, *pairs]


def stock_run(model: Any, given: Sequence[Tensor]) -> Run:
    """Return a call of the model as its users call it, with the attention that it chooses."""
    ids, mask, places, *past = given

    def run() -> object:
        pairs = list(zip(past[::2], past[1::2], strict=True))
        cache = DynamicCache(ddp_cache_data=pairs) if ids.shape[1] == 1 else DynamicCache()
        named = {"attention_mask": mask, "position_ids": places, "past_key_values": cache}
        return model(ids, **named, use_cache=True)

    return run


def runners(checkpoint: Path, files: Mapping[str, Path], given: Sequence[Tensor]) -> dict[str, Run]:
    """Return {name: call} of the model and of each file, on the same inputs."""
    classes: Any = AutoModelForCausalLM
    model = classes.from_pretrained(checkpoint).eval()
    held: dict[str, Run] = {"transformers": stock_run(model, given)}
    for name, file in files.items():
        opened = formats_by_name()[name].open(file)
        held[name] = lambda opened=opened: opened(given)  # type: ignore[misc]
    load: Any = torch.jit.load
    faster: Any = torch.jit.optimize_for_inference(load(str(files["ts"])).eval())
    held["ts, optimize_for_inference"] = lambda: faster(*given)
    return held


def print_latency(checkpoint: Path, folder: Path, rounds: int) -> None:
    """Print the milliseconds of a prompt and of a step, all ways in turns."""
    out = folder / "files"
    subprocess.run(convert_command(checkpoint, FORMATS, out), check=True, capture_output=True)
    files = {name: out / f"model{formats_by_name()[name].suffix}" for name in FORMATS}
    for label, sizes in SIZES.items():
        held = runners(checkpoint, files, inputs_of(checkpoint, sizes))
        taken: dict[str, list[Taken]] = {name: [] for name in held}
        with torch.no_grad():
            for at in range(rounds * CALLS + 1):
                for name, run in held.items():
                    found = timed(run)
                    # The first call of each prepares what later ones find.
                    if at:
                        taken[name].append(found)
        for name, rows in taken.items():
            pairs = list(zip(rows, taken["transformers"], strict=True))
            ratios = spread([own.cpu / stock.cpu for own, stock in pairs])
            wall = spread([own.wall for own in rows])
            print(f"{label}, {name}: {wall} ms, {ratios} of transformers' processor time")


@dataclass(frozen=True)
class Taken:
    """Milliseconds of a call."""

    wall: float
    cpu: float
    """Of all threads: steadier where others use the machine."""


def timed(run: Run) -> Taken:
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return Taken((time.perf_counter() - wall) * 1000, (time.process_time() - cpu) * 1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--skip-export", action="store_true", help="measure the latency alone")
    arguments = parser.parse_args()
    print(f"rounds: {arguments.rounds}; each figure: median (min to max)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = folder / "checkpoint"
        # In a process of its own: a child's peak memory counts what its parent held when it forked.
        command = [sys.executable, "-c", MAKE_CHECKPOINT, str(checkpoint), str(arguments.layers)]
        subprocess.run(command, check=True)
        if not arguments.skip_export:
            print_exports(checkpoint, folder, arguments.rounds)
        print_latency(checkpoint, folder, arguments.rounds)


if __name__ == "__main__":
    main()
