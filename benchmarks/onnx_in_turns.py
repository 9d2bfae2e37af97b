"""A model in PyTorch beside its ONNX files, call by call in turns in one process, so that whatever
else the machine does meets all of them alike: medians, and how many times as fast as PyTorch.

python benchmarks/onnx_in_turns.py MODEL FILE.onnx… [--threads 2] [--rounds 11]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import onnxruntime
import torch

from oriel.modules.convert import NOTHING_WRITTEN, export_request
from oriel.modules.named_model import one_spec
from oriel.modules.prepared_module import prepare
from oriel.pipeline.sizes import timed_cases

_WARM = 2


def main() -> None:
    """Print a line for each size and subject."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    # Threads that wait actively would take the processor from the other subject's turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    sessions = {f.name: onnxruntime.InferenceSession(f, options) for f in arguments.files}
    named = one_spec(arguments.model)
    call = prepare(export_request(named, None, NOTHING_WRITTEN)).call
    for case in timed_cases(call, named.spec.config):
        feeds = {n: t.numpy() for n, t in zip(call.input_names, case.inputs, strict=True)}
        runs: dict[str, Callable[[], object]] = {
            "pytorch": lambda inputs=case.inputs: call.module(*inputs),  # type: ignore[misc]
            **{
                name: lambda session=session, feeds=feeds: session.run(None, feeds)  # type: ignore[misc]
                for name, session in sessions.items()
            },
        }
        found = in_turns(runs, arguments.rounds)
        for name, seconds in found.items():
            ratio = found["pytorch"] / seconds
            print(
                f"{case.name:>14}  {name:<24} {1e3 * seconds:8.1f} ms  {ratio:5.2f} ×", flush=True
            )


def in_turns(runs: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return {name: median seconds of a call}."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    with torch.no_grad():
        for _ in range(rounds + _WARM):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(found[_WARM:]) for name, found in times.items()}


if __name__ == "__main__":
    main()
