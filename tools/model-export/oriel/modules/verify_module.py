"""Verification of a file in a fresh process that has the file, inputs and expected outputs, and
nothing of the caller's: `python -m oriel.modules.verify_module FOLDER`."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from oriel.errors import ModuleError, reason_of
from oriel.formats import formats_by_name
from oriel.formats.own_process import how_it_ended
from oriel.modules.compare_outputs import OutputError, compare_outputs
from oriel.modules.fresh_process import run_fresh

_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Case:
    """Inputs and what the module itself made of them."""

    name: str
    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]


@dataclass(frozen=True)
class CaseResult:
    """How far a file's outputs are from a case's."""

    name: str
    sizes: list[list[int]]
    """Shapes of the inputs."""
    outputs: list[OutputError]

    @property
    def passed(self) -> bool:
        return all(output.passed for output in self.outputs)


def verify_file(
    format_name: str, file: Path, output_names: Sequence[str], cases: Sequence[Case]
) -> list[CaseResult]:
    """Run a file on every case in a process of its own and return the errors.

    The process gets the file's name and tensors; neither the caller's code nor the folder that it
    lies in can be imported there. Raises ModuleError where the file can't be opened or run.
    """
    with tempfile.TemporaryDirectory(prefix="oriel-verify-") as name:
        folder = Path(name).resolve()
        request = {"format": format_name, "file": str(file.resolve()), "outputs": [*output_names]}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        for at, case in enumerate(cases):
            _save(case, folder / f"case_{at}.safetensors")
        paths = formats_by_name()[format_name].package_paths()
        ended = run_fresh(folder, _TIMEOUT_S, paths)
        result = folder / "result.json"
        if not result.is_file():
            raise ModuleError(
                f"the process that verifies {file.name} ended without a result",
                got=how_it_ended(ended.exit_code, ended.said),
            )
        found = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        raise ModuleError(f"{file.name} can't be opened or run", got=found["error"])
    return [
        CaseResult(
            case.name,
            [list(tensor.shape) for tensor in case.inputs],
            [OutputError(**row) for row in rows],
        )
        for case, rows in zip(cases, found["cases"], strict=True)
    ]


def _save(case: Case, file: Path) -> None:
    tensors = {f"input_{at}": tensor for at, tensor in enumerate(case.inputs)}
    tensors |= {f"output_{at}": tensor for at, tensor in enumerate(case.outputs)}
    save_file({key: tensor.detach().contiguous().clone() for key, tensor in tensors.items()}, file)


def _load(file: Path, kind: str) -> list[Tensor]:
    tensors = load_file(file)
    return [tensors[f"{kind}_{at}"] for at in range(len(tensors)) if f"{kind}_{at}" in tensors]


def main(argv: Sequence[str] | None = None) -> int:
    """Verify as the request in the folder says, and write result.json beside it."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    files = sorted(folder.glob("case_*.safetensors"), key=lambda f: int(f.stem.split("_")[1]))
    result: dict[str, object]
    try:
        run = formats_by_name()[request["format"]].open(Path(request["file"]))
        rows = []
        for file in files:
            # The runner may change what it is given: each case is read for itself.
            got = run(_load(file, "input"))
            with torch.no_grad():
                found = compare_outputs(request["outputs"], list(got), _load(file, "output"))
            rows.append([asdict(row) for row in found])
        result = {"cases": rows}
    except Exception as error:  # noqa: BLE001 - libraries raise what they like for a bad file
        result = {"error": f"{type(error).__name__}: {reason_of(error)}"}
    (folder / "result.json").write_text(json.dumps(result, allow_nan=False), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
