"""Compile an exported detector with IREE, and compare it with the detector itself, with one sample
and with three.

python refined/compare_iree.py CONFIG --checkpoint FILE.pth --exported DIR
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

import torch  # noqa: E402 - the path comes first

from oriel.commands.command import Parser  # noqa: E402
from oriel.commands.run_command import run_command  # noqa: E402
from oriel.errors import GraphError, OptionError  # noqa: E402
from oriel.modules.structure import flatten  # noqa: E402
from refined.adapters import adapter_for  # noqa: E402
from refined.data_loader import load_detector, two_batches  # noqa: E402
from refined.export_detector import load_trained  # noqa: E402
from refined.iree_program import compile_with_iree  # noqa: E402

BOUND = 1e-4
"""Largest difference, over an output's largest value: that of every exported file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where IREE's numbers are the detector's."""
    return run_command(lambda: _call(argv))


def _call(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="compare_iree.py", description="Compare IREE with the detector.")
    parser.add_argument("config")
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--exported", type=Path, required=True, help="a folder with model.onnx")
    arguments = parser.parse_args(argv)
    file: Path = arguments.exported / "model.onnx"
    if not file.is_file():
        raise OptionError(
            "there is no ONNX file to compile",
            got=str(file),
            expected="a folder that improved_exporter.py wrote",
            next_step="export with --format onnx or both.",
        )
    detector = load_detector(arguments.config)
    if arguments.checkpoint is not None:
        load_trained(detector.model, arguments.checkpoint)
    started = time.monotonic()
    run = compile_with_iree(file)
    print(f"{file}: compiled in {time.monotonic() - started:.1f} s", flush=True)
    for samples in (1, 3):
        batch, _ = two_batches(detector, None, samples)
        adapter, inputs = adapter_for(detector.model, batch), batch.read_by_network()
        started = time.monotonic()
        with torch.no_grad():
            expected = flatten(adapter.own_output(inputs)).tensors
        own_took, started = time.monotonic() - started, time.monotonic()
        found = run([tensor.numpy() for tensor in flatten(inputs).tensors])
        took = time.monotonic() - started
        error = max(
            float((torch.from_numpy(ours) - own).abs().max() / own.abs().max())
            for ours, own in zip(found, expected, strict=True)
        )
        print(
            f"batch of {samples}: {error:.1e} of an output's largest value off, "
            f"{took:.1f} s in IREE, {own_took:.1f} s in PyTorch"
        )
        if not error <= BOUND:
            raise GraphError(
                f"IREE's {file.name} isn't the detector",
                got=f"a difference of {error:.1e}",
                expected=f"at most {BOUND:.0e}",
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
