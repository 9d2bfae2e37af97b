"""Runs and checks of a file in a fresh process that has the file and its inputs, and nothing of the
caller's: `python -m oriel.modules.run_file FOLDER`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

from safetensors.torch import load_file, save_file
from torch import Tensor

from oriel.errors import ModuleError, OrielError, reason_of
from oriel.formats import formats_by_name
from oriel.formats.format import Expected, TensorType
from oriel.formats.own_process import how_it_ended
from oriel.modules.fresh_process import run_fresh

_TIMEOUT_S = 1800


class TensorRow(TypedDict):
    """A TensorType as JSON."""

    name: str
    shape: list[int]
    dtype: str
    axes: dict[str, str]


class ExpectedRow(TypedDict):
    """An Expected as JSON."""

    inputs: list[TensorRow]
    outputs: list[TensorRow]
    weights: str


class Request(TypedDict):
    """The request.json of a fresh process: a number of calls to run, or facts to check."""

    format: str
    file: str
    calls: NotRequired[int]
    expected: NotRequired[ExpectedRow]


class Answer(TypedDict, total=False):
    """The result.json of a fresh process: one entry at most, by the request and by how it went."""

    checks: list[str]
    differs: str
    """The reason of a check that found another file than the module's."""
    error: str


def run_file(format_name: str, file: Path, calls: Sequence[Sequence[Tensor]]) -> list[list[Tensor]]:
    """Run a file on the flat inputs of each call and return the flat outputs of each.

    The process gets the file's name and tensors; neither the caller's code nor the folder that it
    lies in can be imported there. Raises ModuleError where the file can't be opened or run.
    """
    with tempfile.TemporaryDirectory(prefix="oriel-run-") as name:
        folder = Path(name).resolve()
        for at, inputs in enumerate(calls):
            _save(inputs, folder / f"inputs_{at}.safetensors")
        request: Request = {
            "format": format_name,
            "file": str(file.resolve()),
            "calls": len(calls),
        }
        ask_fresh_process(folder, request)
        return [_load(folder / f"outputs_{at}.safetensors") for at in range(len(calls))]


def ask_fresh_process(folder: Path, request: Request) -> Answer:
    """Return what a fresh process found; folder: for the files of request and answer. Raises
    ModuleError where it ends without a result, or the file can't be opened or differs."""
    file = Path(request["file"])
    (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
    paths = formats_by_name()[request["format"]].package_paths()
    ended = run_fresh(folder, _TIMEOUT_S, paths)
    result = folder / "result.json"
    if not result.is_file():
        raise ModuleError(
            f"the process that runs {file.name} ended without a result",
            got=how_it_ended(ended.exit_code, ended.said),
        )
    found: Answer = json.loads(result.read_text(encoding="utf-8"))
    if "differs" in found:
        raise ModuleError(f"{file.name} isn't the module's", got=found["differs"])
    if "error" in found:
        raise ModuleError(f"{file.name} can't be opened or run", got=found["error"])
    return found


def _save(tensors: Sequence[Tensor], file: Path) -> None:
    named = {str(at): tensor for at, tensor in enumerate(tensors)}
    save_file({key: tensor.detach().contiguous().clone() for key, tensor in named.items()}, file)


def _load(file: Path) -> list[Tensor]:
    tensors = load_file(file)
    return [tensors[str(at)] for at in range(len(tensors))]


def main(argv: Sequence[str] | None = None) -> int:
    """Run or check as the request in the folder says; write outputs and result.json beside it."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    request: Request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    result: Answer
    try:
        result = _check(request) if "expected" in request else _run(request, folder)
    except OrielError as error:
        said = reason_of(error)
        result = {"differs": said} if "expected" in request else {"error": said}
    except Exception as error:  # noqa: BLE001 - libraries raise what they like for a bad file
        result = {"error": f"{type(error).__name__}: {reason_of(error)}"}
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return 0


def _run(request: Request, folder: Path) -> Answer:
    run = formats_by_name()[request["format"]].open(Path(request["file"]))
    for at in range(request["calls"]):
        # The runner may change what it is given: each call's inputs are read for themselves.
        got = run(_load(folder / f"inputs_{at}.safetensors"))
        _save(list(got), folder / f"outputs_{at}.safetensors")
    return {}


def _check(request: Request) -> Answer:
    expected = request["expected"]
    inputs = [_tensor_type(row) for row in expected["inputs"]]
    outputs = [_tensor_type(row) for row in expected["outputs"]]
    check = formats_by_name()[request["format"]].check
    assert check is not None, request["format"]
    found = check(Path(request["file"]), Expected(inputs, outputs, Path(expected["weights"])))
    return {"checks": list(found)}


def _tensor_type(row: TensorRow) -> TensorType:
    # JSON has no numbers as keys.
    axes = {int(axis): name for axis, name in row["axes"].items()}
    return TensorType(row["name"], row["shape"], row["dtype"], axes)


if __name__ == "__main__":
    sys.exit(main())
