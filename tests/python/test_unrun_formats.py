"""Files that nothing runs here: those of a runtime that this machine lacks, which are written and
called not verified, and those that hold tensors alone, which are proven by these."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_files import checked_line
from rich.console import Console
from safetensors import safe_open
from safetensors.torch import load_model, save_file
from torch import Tensor, nn
from verify_here import verify_here

import oriel
from oriel.cli import COMMANDS, main
from oriel.errors import ModuleError, OptionError
from oriel.formats import (
    ALIASES,
    check_formats,
    format_names,
    formats_by_name,
    onnx_file,
    safetensors_file,
)
from oriel.formats.format import Expected
from oriel.modules import export_module, open_module, run_file
from oriel.modules.convert import Conversion
from oriel.modules.convert_report import conversions_to_json, print_conversions
from oriel.modules.written_files import describe, digest

REASON = "its runtime is on the moon alone, and this is Earth"
SPEC = """
import torch
from torch import nn
from oriel import ModuleSpec

TIED = nn.Linear(4, 4, bias=False)
M = ModuleSpec(lambda: nn.Sequential(TIED, nn.ReLU(), TIED), lambda: (torch.rand(2, 4),))
"""


class Tied(nn.Module):
    """Two layers with one matrix, a buffer, and an operator between them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4, bias=False)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor([1.0, -0.0, float("nan"), 2.0]))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.second(self.first(x).relu())
        return found


def check_onnx(file: Path, expected: Expected) -> Sequence[str]:
    """Say what was expected, as the real ones do with what they found."""
    (x,), (out,) = expected.inputs, expected.outputs
    with safe_open(expected.weights, framework="pt") as held:
        names = sorted(held.keys())
    return [f"{x.name} {x.dtype} {x.shape} {x.axes}", f"{out.shape} {out.axes}", str(names)]


def unrunnable_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ONNX be a format whose runtime isn't here."""
    verify_here(monkeypatch)
    form = replace(onnx_file.FORMAT, unrunnable=lambda: REASON, check=check_onnx)
    for module in (export_module, open_module, run_file):
        if hasattr(module, "formats_by_name"):
            monkeypatch.setattr(module, "formats_by_name", lambda: {"onnx": form})
    monkeypatch.setattr(export_module, "check_formats", lambda _: (form,))


def test_a_file_that_nothing_runs_here_is_written_and_called_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unrunnable_onnx(monkeypatch)
    report = oriel.export_module(
        Tied(), (torch.rand(3, 4),), formats=("onnx",), dynamic={"x": {0: "batch"}}, out=tmp_path
    )
    assert report.passed
    (file,) = report.files
    assert file.not_verified == REASON and file.cases == ()
    row = json.loads((tmp_path / "metadata.json").read_text("utf-8"))["exports"][0]
    assert row["success"] is True and row["not_verified"] == REASON and row["verification"] == []
    assert row["checks"] == [
        "x float32 [3, 4] {0: 'batch'}",
        "[3, 4] {0: 'batch'}",
        "['first.bias', 'first.weight', 'scale']",
    ]
    done = [Conversion("tied", report, None)]
    console = Console(record=True, width=400)
    print_conversions(done, console)
    said = console.export_text()
    assert "not verified" in said.splitlines()[1]
    assert f"tied, onnx: not verified: {REASON}" in said
    assert "but for 1 of their files, which this machine can't run" in said
    assert conversions_to_json(done)["modules"][0]["not_verified"] == {"onnx": REASON}  # type: ignore[index,call-overload]
    with pytest.raises(ModuleError) as raised:
        oriel.open_module(tmp_path / "model.onnx")
    assert REASON in checked_line(str(raised.value))


def test_a_check_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unrunnable_onnx(monkeypatch)

    def differ(file: Path, expected: Expected) -> Sequence[str]:
        raise ModuleError("the weights differ", got="first.weight")

    form = replace(onnx_file.FORMAT, unrunnable=lambda: REASON, check=differ)
    monkeypatch.setattr(run_file, "formats_by_name", lambda: {"onnx": form})
    report = oriel.export_module(Tied(), (torch.rand(3, 4),), formats=("onnx",), out=tmp_path)
    (file,) = report.files
    assert not report.passed and file.error is not None
    assert "isn't the module's; got the weights differ; got first.weight" in file.error
    assert [each.name for each in tmp_path.iterdir()] == ["metadata.json"]


def test_the_state_dict_goes_into_a_safetensors_file(tmp_path: Path) -> None:
    """In a fresh process, as a user has it; loaded by safetensors itself."""
    module = Tied()
    report = oriel.export_module(
        module, (torch.rand(2, 4),), formats=("safetensors",), out=tmp_path
    )
    (file,) = report.files
    assert report.passed and file.not_verified is None
    assert file.checks == (
        "its 4 tensors are the module's bit for bit, of which 1 share the bytes of another",
    )
    other = Tied()
    missing, unexpected = load_model(other, tmp_path / "model.safetensors")
    assert not missing and not unexpected
    assert other.second.weight is other.first.weight
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor.view(torch.uint8), other.state_dict()[name].view(torch.uint8)), (
            name
        )
    with pytest.raises(ModuleError, match="tensors alone, and no program") as raised:
        oriel.open_module(tmp_path / "model.safetensors")
    checked_line(str(raised.value))


@pytest.mark.parametrize("change", ["bit", "missing", "more", "dtype", "shape"])
def test_a_safetensors_file_of_other_tensors_is_told(change: str, tmp_path: Path) -> None:
    wanted = {"a": torch.tensor([1.0, float("nan")]), "b": torch.zeros(2)}
    save_file(wanted, tmp_path / "wanted.safetensors")
    found = {name: tensor.clone() for name, tensor in wanted.items()}
    if change == "bit":
        found["b"][0] = -0.0
    elif change == "missing":
        del found["b"]
    elif change == "more":
        found["c"] = torch.zeros(1)
    elif change == "dtype":
        found["b"] = found["b"].int()
    else:
        found["b"] = found["b"].reshape(1, 2)
    check = safetensors_file.FORMAT.check
    assert check is not None
    expected = Expected((), (), tmp_path / "wanted.safetensors")
    assert check(tmp_path / "wanted.safetensors", expected)
    save_file(found, tmp_path / "found.safetensors")
    with pytest.raises(oriel.errors.OrielError, match="c" if change == "more" else "b"):
        check(tmp_path / "found.safetensors", expected)


def test_every_file_of_an_export_has_its_size_and_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights beside an ONNX file among them."""
    verify_here(monkeypatch)
    monkeypatch.setattr(onnx_file, "MAX_ONE_FILE", 10)
    module = nn.Sequential(nn.Linear(64, 64), nn.ReLU())
    report = oriel.export_module(module, (torch.rand(2, 64),), formats=("onnx",), out=tmp_path)
    (row,) = report.metadata["exports"]
    names = [each["file"] for each in row["files"]]
    assert names == ["model.onnx", "model.onnx_data"]
    for each in row["files"]:
        data = (tmp_path / each["file"]).read_bytes()
        assert (each["bytes"], each["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    assert row["sha256"] == row["files"][0]["sha256"]


def test_the_digest_of_a_folder_is_what_sha256sum_gives(tmp_path: Path) -> None:
    folder = tmp_path / "model.mlpackage"
    for name, text in (("b", "1"), ("a/c", "2"), ("a-d", "3")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    listed = subprocess.run(
        ["sha256sum", "a-d", "a/c", "b"],
        cwd=folder,
        capture_output=True,
        check=True,
    )
    assert digest(folder) == hashlib.sha256(listed.stdout).hexdigest()
    assert [row["file"] for row in describe([folder], tmp_path)] == [
        f"model.mlpackage/{name}" for name in ("a-d", "a/c", "b")
    ]


def test_convert_ends_with_0_for_tensors_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_here(monkeypatch)
    (tmp_path / "spec.py").write_text(SPEC)
    out = tmp_path / "out"
    words = ["convert", f"{tmp_path / 'spec.py'}:M", "--format", "safetensors"]
    assert main([*words, "--output", str(out)]) == 0
    said = capsys.readouterr().out
    assert "M, safetensors: checked without running it: its 2 tensors are the module's" in said
    with safe_open(out / "model.safetensors", framework="pt") as held:
        assert list(held.keys()) == ["0.weight"]
        assert held.metadata() == {"format": "pt", "2.weight": "0.weight"}


def test_formats_have_other_names_too(tmp_path: Path) -> None:
    found = check_formats(("torchscript", "pt2"))
    assert [form.name for form in found] == ["ts", "pt2"]
    assert format_names("torchscript, onnx") == ("ts", "onnx")
    with pytest.raises(OptionError, match=r"a format is named twice; got 'ts'"):
        check_formats(("ts", "torchscript"))
    with pytest.raises(OptionError, match=r"no such format; got 'tf'; .*ts \(torchscript\), pt2"):
        check_formats(("tf",))


def test_the_help_of_convert_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        COMMANDS["convert"].parse(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"{name}" in said for name in (*formats_by_name(), *ALIASES))
