"""Mistakes of a user of `oriel convert` and `oriel inspect`: each is one line that says what, got,
expected or next, exit code 2, and nothing is written."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from oriel.cli import main

IMPORTS = (
    "import torch",
    "from torch import nn",
    "from oriel import ModuleSpec",
    "def two(): return (torch.ones(2, 3),)",
    "class Twice(nn.Module):",
    "    def forward(self, x): return x * 2",
    "class Adds(nn.Module):",
    "    def forward(self, x): return x.add_(1)",
    "class Text(nn.Module):",
    "    def forward(self, x): return 'done'",
    "class Growing(nn.Module):",
    "    def forward(self, x): return [x] * len(x)",
    "class Small(nn.Module):",
    "    def forward(self, x):",
    "        assert len(x) < 3, 'too many rows'",
    "        return x",
)
SPEC_LINES = {
    "raises": (
        "raise RuntimeError('no data here')",
        r"spec\.py; got RuntimeError: no data here at spec\.py:17",
    ),
    "syntax": ("S = (", r"the spec fails: spec\.py; got SyntaxError"),
    "import": ("import package_of_nobody", "got ModuleNotFoundError: No module named"),
    "leaves": ("raise SystemExit(3)", r"the spec fails: spec\.py; got SystemExit"),
    "no spec": ("S = 5", r"spec\.py:S is no spec; got a int; expected a ModuleSpec"),
    "absent": ("T = ModuleSpec(Twice, two)", r"has no S; expected one of T"),
    "build raises": (
        "S = ModuleSpec(lambda: 1 / 0, two)",
        r"S build; got ZeroDivisionError.*spec\.py:17",
    ),
    "builds nothing": ("S = ModuleSpec(lambda: 3, two)", "build returns no module; got a int"),
    "inputs raise": ("S = ModuleSpec(Twice, lambda: [][0])", "S inputs; got IndexError"),
    "inputs bare": (
        "S = ModuleSpec(Twice, lambda: torch.ones(2))",
        "S inputs are no arguments; got a Tensor",
    ),
    "inputs misfit": (
        "S = ModuleSpec(Twice, lambda: {'y': 1})",
        r"don't fit the module; got .*expected .*forward\(x\)",
    ),
    "inputs empty": (
        "S = ModuleSpec(Twice, lambda: (torch.ones(0, 3),))",
        r"x has no values; got the shape \[0, 3\]",
    ),
    "no tensor": ("S = ModuleSpec(Twice, lambda: (2,))", "hold no tensor; got 2"),
    "one name": (
        "S = ModuleSpec(Twice, lambda: ({1: torch.ones(2), '1': torch.ones(2)},))",
        "two paths have one name",
    ),
    "module raises": (
        "S = ModuleSpec(lambda: nn.Linear(4, 4), two)",
        "the module fails on the example; got RuntimeError",
    ),
    "changes inputs": ("S = ModuleSpec(Adds, two)", "changes its inputs; got other values in x"),
    "no output": ("S = ModuleSpec(Text, two)", "returns no tensor; got 'done'"),
    "axis of one": (
        "S = ModuleSpec(Twice, lambda: (torch.ones(1, 3),), {'x': {0: 'b'}})",
        "b of x is 1 in the example",
    ),
    "axis absent": (
        "S = ModuleSpec(Twice, two, {'z.*': {0: 'b'}})",
        r"matches no tensor; got z\.\*",
    ),
    "output absent": (
        "S = ModuleSpec(Twice, two, outputs=('score',))",
        "no output is called that; got score",
    ),
    "method absent": ("S = ModuleSpec(Twice, two, method='encode')", "Twice has no method encode"),
    "part absent": ("S = ModuleSpec(Twice, two, drop=('phase2',))", "drop matches nothing: phase2"),
    "second of same size": (
        "S = ModuleSpec(Twice, two, {'x': {0: 'b'}}, second=two)",
        "the example's size on a dynamic axis; got b 2 in both",
    ),
    "second misfits": (
        "S = ModuleSpec(Twice, two, second=lambda: ([],))",
        "the second input doesn't match what was exported, at x",
    ),
    "fails on other sizes": (
        "S = ModuleSpec(Small, two, {'x': {0: 'b'}})",
        r"fails on a second input \(b 3\); got AssertionError: too many rows.*`second`",
    ),
    "output varies": (
        "S = ModuleSpec(Growing, two, {'x': {0: 'b'}})",
        r"the output doesn't match what was exported, at \.; got 3 parts; expected 2",
    ),
    "checkpoint absent": (
        "S = ModuleSpec(Twice, two, checkpoint='none.pth')",
        r"there is no checkpoint .*none\.pth",
    ),
}


def refused(arguments: list[str], said: str, folder: Path, capsys: Any) -> None:
    import re

    before = sorted(folder.rglob("*"))
    assert main(arguments) == 2
    shown = capsys.readouterr()
    lines = [line for line in shown.err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1 and lines[0].startswith("error: "), shown.err
    assert re.search(said, lines[0]), lines[0]
    assert "Traceback" not in shown.err and shown.out == ""
    left = [path for path in sorted(folder.rglob("*")) if "__pycache__" not in path.parts]
    assert left == before, "something was left behind"


def spec(folder: Path, *lines: str) -> Path:
    file = folder / "spec.py"
    file.write_text("\n".join([*IMPORTS, *lines, ""]), encoding="utf-8")
    return file


@pytest.mark.parametrize("case", SPEC_LINES)
def test_mistakes_in_a_spec(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line, said = SPEC_LINES[case]
    file = spec(tmp_path, line)
    refused(["convert", f"{file}:S", "--output", str(tmp_path / "out")], said, tmp_path, capsys)


GOOD = "S = ModuleSpec(lambda: nn.Linear(3, 2), two)"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--format", "tflite"], "got 'tflite'; expected some of ts \\(torchscript\\), pt2, onnx"),
        (["--format", "pt2,pt2"], "named twice; got 'pt2'"),
        (["--opset", "3"], "the opset is out of range; got 3"),
        (["--checkpoint", "a", "--checkpoint", "b"], "got 2 for 1 specs"),
        (["--checkpoint", "absent.pth"], r"there is no checkpoint absent\.pth"),
    ],
)
def test_flags_that_cannot_be(
    flags: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", f"{spec(tmp_path, GOOD)}:S", "--output", str(tmp_path / "out"), *flags]
    refused(arguments, said, tmp_path, capsys)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("absent.py:S", r"there is no such spec; got .*absent\.py"),
        ("", "holds no spec"),
    ],
)
def test_places_without_a_spec(
    place: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["convert", str(tmp_path / place), "--output", str(tmp_path / "out")]
    refused(arguments, said, tmp_path, capsys)


def test_a_format_whose_package_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "onnx" else found(name, *a)
    )
    arguments = ["convert", f"{spec(tmp_path, GOOD)}:S", "--output", str(tmp_path / "out")]
    said = "format onnx needs a package that isn't here; got no onnx. Install it: pip install onnx"
    refused([*arguments, "--format", "pt2,onnx"], said, tmp_path, capsys)


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch pwned",)


@pytest.mark.parametrize("case", ["another model", "missing", "unexpected", "shape", "code"])
def test_checkpoints_that_do_not_fit(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    good = nn.Linear(3, 2).state_dict()
    held, said = {
        "another model": (nn.ModuleDict({"a": nn.Linear(3, 2)}).state_dict(), "weight"),
        "missing": ({"weight": good["weight"]}, "bias"),
        "unexpected": ({**good, "extra.scale": torch.ones(1)}, r"extra\.scale"),
        "shape": ({**good, "weight": torch.ones(3, 3)}, "weight.*3, 3.*2, 3"),
        "code": ({**good, "hook": Hostile()}, "system|code"),
    }[case]
    torch.save(held, tmp_path / "model.pth")
    arguments = ["convert", f"{spec(tmp_path, GOOD)}:S", "--checkpoint", "model.pth"]
    refused([*arguments, "--output", str(tmp_path / "out")], said, tmp_path, capsys)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("thesis.txt", r"out holds something else; got thesis\.txt"),
        ("model.onnx", r"out holds something else; got model\.onnx"),
        (None, "out is a file"),
    ],
)
def test_an_output_folder_that_holds_something_else(
    name: str | None, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    if name is None:
        out.write_text("mine")
    else:
        out.mkdir()
        (out / name).write_text("mine")
    refused(["convert", f"{spec(tmp_path, GOOD)}:S", "--output", str(out)], said, tmp_path, capsys)


def write_metadata(file: Path, **changes: object) -> None:
    example = Path(__file__).resolve().parents[2] / "contracts" / "examples" / "modules" / "valid"
    data = json.loads((example / "module_metadata__detector.json").read_text("utf-8"))
    file.write_text(json.dumps({**data, **changes}), encoding="utf-8")


def zipped(file: Path, **entries: bytes) -> None:
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"m/{name.replace('__', '/').replace('_json', '.json')}", data)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("absent.pt2", lambda _: None, "there is no such file"),
        ("a.json", lambda f: f.write_text("{"), "not JSON that can be read"),
        ("a.json", lambda f: f.write_text("{}"), "doesn't keep contracts/module_metadata"),
        ("a.json", lambda f: write_metadata(f, metadata_version="2.0"), r"got 2\.0; expected 1\.x"),
        ("a.json", lambda f: write_metadata(f, tensor_count=9), "got 9; expected 2"),
        ("a.onnx", lambda f: f.write_bytes(b"\xff" * 99), "is no whole ONNX file"),
        ("a.pt2", lambda f: f.write_bytes(b"PK"), "no whole archive"),
        ("a.pt2", lambda f: zipped(f, other=b"x"), "without models/model.json"),
        ("a.pt2", lambda f: zipped(f, models__model_json=b"[1"), "no JSON"),
        ("a.ts", lambda f: zipped(f, extra__oriel_json=b"{}"), "doesn't keep contracts"),
        ("a.pth", lambda f: f.write_bytes(pickle.dumps({"a": Hostile()})), "system|code|damaged"),
        ("a.txt", lambda f: f.write_text("hello"), "nothing that can be shown"),
    ],
)
def test_files_that_cannot_be_inspected(
    name: str, make: Any, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / name)
    refused(["inspect", str(tmp_path / name)], said, tmp_path, capsys)
