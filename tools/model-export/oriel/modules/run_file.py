"""Runs of a file in a fresh process that has the file and its inputs, and nothing of the caller's:
`python -m oriel.modules.run_file FOLDER`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from oriel.errors import ModuleError, reason_of
from oriel.formats import formats_by_name
from oriel.formats.own_process import how_it_ended
from oriel.modules.fresh_process import run_fresh

_TIMEOUT_S = 1800


def run_file(format_name: str, file: Path, calls: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Run a file on the flat inputs of each call and return the flat outputs of each.

    The process gets the file's name and tensors; neither the caller's code nor the folder that it
    lies in can be imported there. Raises ModuleError where the file can't be opened or run.
    """
    with tempfile.TemporaryDirectory(prefix="oriel-run-") as name:
        folder = Path(name).resolve()
        request = {"format": format_name, "file": str(file.resolve()), "calls": len(calls)}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        for at, inputs in enumerate(calls):
            _save(inputs, folder / f"inputs_{at}.safetensors")
        paths = formats_by_name()[format_name].package_paths()
        ended = run_fresh(folder, _TIMEOUT_S, paths)
        result = folder / "result.json"
        if not result.is_file():
            raise ModuleError(
                f"the process that runs {file.name} ended without a result",
                got=how_it_ended(ended.exit_code, ended.said),
            )
        found = json.loads(result.read_text(encoding="utf-8"))
        if "error" in found:
            raise ModuleError(f"{file.name} can't be opened or run", got=found["error"])
        return [_load(folder / f"outputs_{at}.safetensors") for at in range(len(calls))]


def _save(tensors: Sequence[Tensor], file: Path) -> None:
    named = {str(at): tensor for at, tensor in enumerate(tensors)}
    save_file({key: tensor.detach().contiguous().clone() for key, tensor in named.items()}, file)


def _load(file: Path) -> list[Tensor]:
    tensors = load_file(file)
    return [tensors[str(at)] for at in range(len(tensors))]


def main(argv: Sequence[str] | None = None) -> int:
    """Run as the request in the folder says; write the outputs and result.json beside it."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    result: dict[str, object] = {}
    try:
        run = formats_by_name()[request["format"]].open(Path(request["file"]))
        for at in range(request["calls"]):
            # The runner may change what it is given: each call's inputs are read for themselves.
            got = run(_load(folder / f"inputs_{at}.safetensors"))
            _save(list(got), folder / f"outputs_{at}.safetensors")
    except Exception as error:  # noqa: BLE001 - libraries raise what they like for a bad file
        result = {"error": f"{type(error).__name__}: {reason_of(error)}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
