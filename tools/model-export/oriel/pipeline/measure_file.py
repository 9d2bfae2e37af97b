"""Times one file, or the module itself, in a process of its own:
`python -m oriel.pipeline.measure_file FOLDER` reads request.json and writes result.json."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors.torch import load_file
from torch import Tensor

from oriel.errors import reason_of
from oriel.formats import formats_by_name

if TYPE_CHECKING:
    from oriel.formats.format import Runner

EAGER = "pytorch"
"""The name that stands for the module itself, run eagerly."""
_LEAST_SECONDS, _LEAST_RUNS, _MOST_RUNS = 0.3, 3, 50


def main(argv: Sequence[str] | None = None) -> int:
    """Measure as the request in the folder says."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    try:
        result = _measure(request, folder)
    except Exception as error:  # noqa: BLE001 - libraries raise what they like
        result = {"error": f"{type(error).__name__}: {reason_of(error)}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def _measure(request: dict[str, str], folder: Path) -> dict[str, object]:
    before = _peak_mb()
    start = time.perf_counter()
    run = _open(request)
    loaded = time.perf_counter() - start
    seconds: dict[str, float] = {}
    refused: dict[str, str] = {}
    for file in sorted(folder.glob("case_*.safetensors")):
        tensors = load_file(file)
        inputs = [tensors[str(at)] for at in range(len(tensors))]
        name = file.stem.removeprefix("case_")
        try:
            seconds[name] = _median_seconds(lambda i=inputs: run(i))  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 - a file may have a largest size
            refused[name] = f"{type(error).__name__}: {reason_of(error)}"
    if not seconds:
        return {"error": next(iter(refused.values()))}
    return {"load_s": loaded, "memory_mb": _peak_mb() - before, "seconds": seconds}


def _open(request: dict[str, str]) -> Runner:
    if request["format"] == EAGER:
        from oriel.pipeline.eager import open_eager

        return open_eager(request["file"])
    return formats_by_name()[request["format"]].open(Path(request["file"]))


def _median_seconds(call: Callable[[], Sequence[Tensor]]) -> float:
    """Return the median of several calls after one that warms up."""
    import torch

    found: list[float] = []
    with torch.no_grad():
        call()
        while len(found) < _LEAST_RUNS or (sum(found) < _LEAST_SECONDS and len(found) < _MOST_RUNS):
            start = time.perf_counter()
            call()
            found.append(time.perf_counter() - start)
    return statistics.median(found)


def _peak_mb() -> float:
    """Return the highest resident set so far in MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    if status.is_file():
        # getrusage's number is at least the parent's, from which this process was forked.
        text = status.read_text(encoding="ascii", errors="replace")
        return int(text.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
    # macOS counts in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


if __name__ == "__main__":
    sys.exit(main())
