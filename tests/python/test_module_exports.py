"""Exports of modules that exporters get wrong: each is refused, or written by another way that was
proven right, and the report says so."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from verify_here import verify_here

from oriel.cli import main
from oriel.errors import ModuleError
from oriel.formats import torchscript_file
from oriel.formats.format import FlatCall, Way, WriteOptions
from oriel.formats.pt2_file import export_program
from oriel.modules.call import CallArguments
from oriel.modules.export_module import ModuleExportReport, export_module, run_export
from oriel.modules.export_request import ExportRequest
from oriel.modules.fallbacks import write_format
from oriel.modules.open_module import open_module
from oriel.modules.prepared_module import prepare
from oriel.modules.slim import slim
from oriel.modules.verify_module import Case, verify_file


@pytest.fixture(autouse=True)
def verified_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_convert.py has the fresh process."""
    verify_here(monkeypatch)


def reasons(report: ModuleExportReport, name: str) -> list[str]:
    (file,) = [file for file in report.files if file.format == name]
    return [f"{left.way}: {left.reason}" for left in file.left]


class Branching(nn.Module):
    """Goes one way or the other by its values: only a compiler of its code keeps both."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Linear(3, 3)
        self.far = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        if bool(x.sum() > 0):
            y: Tensor = self.near(x)
        else:
            y = self.far(x)
        return y


def test_one_format_that_fails_leaves_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_spec(
        tmp_path / "spec.py",
        "import torch",
        "from test_module_exports import Branching",
        "BRANCHING = ModuleSpec(Branching, lambda: (torch.ones(2, 3),), {'x': {0: 'batch'}})",
    )
    out = tmp_path / "out"
    arguments = [f"{tmp_path / 'spec.py'}:BRANCHING", "--format", "ts,pt2", "--output", str(out)]
    assert main(["convert", *arguments]) == 1
    assert sorted(file.name for file in out.iterdir()) == ["metadata.json", "model.ts"]
    data = json.loads((out / "metadata.json").read_text("utf-8"))
    assert data["export_success"] == {"ts": True, "pt2": False}
    assert "data-dependent" in data["exports"][1]["error"]
    shown = capsys.readouterr().out
    assert "failed" in shown and "0 of 1 modules exported and verified" in shown
    # The file that is there goes both ways, though the example went one.
    opened = open_module(out / "model.ts")
    torch.manual_seed(0)
    for x in (torch.ones(2, 3), -torch.ones(3, 3)):
        assert opened(x).shape == x.shape  # type: ignore[attr-defined]
    near, far = opened(torch.ones(2, 3)), opened(-torch.ones(2, 3))
    assert not torch.allclose(near, -far)  # type: ignore[arg-type,operator]


def write_spec(file: Path, *lines: str) -> Path:
    text = ["from oriel import ModuleSpec", *lines, ""]
    file.write_text("\n".join(text), encoding="utf-8")
    return file


class OneIsAnother(nn.Module):
    """Has a branch for a batch of one, which a recorded run of two doesn't see."""

    def forward(self, x: Tensor, *unused: object) -> Tensor:
        return x * 2 if x.shape[0] == 1 else x * 3


class NeedsTwo(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[0] > 1, "one has no neighbour"
        return x[1:] - x[:-1]


def test_size_one_is_verified_where_the_module_takes_it() -> None:
    def prepared_with(module: nn.Module) -> tuple[dict[str, int], str]:
        request = ExportRequest(
            module, CallArguments((torch.rand(4, 3),)), ("ts",), Path("x"), {"*": {0: "batch"}}
        )
        prepared = prepare(request)
        sizes = {case.name: case.inputs[0].shape[0] for case in prepared.cases}
        return sizes, " ".join(prepared.notes)

    both = {"the example": 4, "a second input (batch 5)": 5}
    assert prepared_with(nn.Linear(3, 2)) == ({**both, "size 1 (batch 1)": 1}, "")
    sizes, notes = prepared_with(NeedsTwo())
    assert sizes == both
    assert notes.startswith("size 1 isn't verified: with batch 1, ")
    assert "one has no neighbour" in notes


def test_a_file_wrong_for_a_batch_of_one_fails_and_an_earlier_export_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever tries another setting still has the files that worked."""
    head = "import torch\nfrom test_module_exports import OneIsAnother\nfrom torch import nn"
    write_spec(
        tmp_path / "good.py",
        head,
        "S = ModuleSpec(lambda: nn.Linear(3, 2), lambda: (torch.ones(2, 3),))",
    )
    write_spec(
        tmp_path / "bad.py",
        head,
        "S = ModuleSpec(OneIsAnother, lambda: (torch.ones(2, 3),), {'x': {0: 'batch'}})",
    )
    out = tmp_path / "out"
    for name, code in (("good", 0), ("bad", 1)):
        place = f"{tmp_path / name}.py:S"
        assert main(["convert", place, "--format", "ts", "--output", str(out)]) == code
        held = {file.name: file.read_bytes() for file in sorted(out.iterdir())}
        if code == 0:
            earlier = held
    assert held == earlier and list(held) == ["metadata.json", "model.ts"]
    shown = capsys.readouterr().out
    assert "not the module's, on size 1 (batch 1); got relative error 5.0e-01" in shown
    assert f"the earlier export in {out} stays as it was" in shown


class FixedLength(nn.Module):
    """Adds positions of a length that a recorded run takes for a constant."""

    def forward(self, x: Tensor, **options: object) -> Tensor:
        return x + torch.linspace(0, 1, int(x.shape[1])).unsqueeze(0)


def test_a_length_that_was_baked_in_is_found(tmp_path: Path) -> None:
    report = export_module(
        FixedLength(),
        (torch.ones(2, 4),),
        formats=("ts", "pt2"),
        dynamic={"x": {0: "batch", 1: "time"}},
        out=tmp_path / "out",
    )
    script, trace, _ = reasons(report, "ts")
    assert script.startswith("script, freeze: ")
    assert trace.startswith("trace, freeze: ") and "can't be opened or run" in trace
    assert "time" in reasons(report, "pt2")[0]
    assert not report.passed and [file.file for file in report.files] == [None, None]
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["metadata.json"]


class SmallHead(nn.Module):
    """Has one output near 100 and one near 0.01."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 100, x * 0.01 * self.factor


def test_a_file_with_wrong_numbers_is_left_for_the_next_way(tmp_path: Path) -> None:
    """As torch's classic ONNX exporter does with some detectors: it succeeds, a fifth off."""
    request = ExportRequest(
        SmallHead(1.0), CallArguments((torch.rand(4) + 0.5,)), ("ts",), tmp_path
    )
    prepared = prepare(request)
    wrong = prepare(replace(request, module=SmallHead(1.2))).call
    ways = torchscript_file.FORMAT.ways(prepared.call, WriteOptions("{}"))

    def write_wrong(_: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
        return ways[1].write(wrong, file, options)

    form = replace(torchscript_file.FORMAT, ways=lambda _, __: (Way("wrong", write_wrong), ways[1]))
    result = write_format(
        (form, tmp_path / "model.ts"),
        prepared.call,
        WriteOptions("{}"),
        prepared.cases,
        lambda _: None,
    )
    assert result.way == "trace, freeze"
    (left,) = result.left
    assert left.way == "wrong"
    assert "output_1 is not the module's, on the example; got relative error 2.0e-01" in left.reason


class ClampsInputs(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp_(0, 1) * 2


def test_a_change_that_shows_in_the_first_run_alone_is_found(tmp_path: Path) -> None:
    """Once clamped, the example wouldn't change again."""
    with pytest.raises(ModuleError, match="changes its inputs; got other values in x"):
        export_module(ClampsInputs(), (torch.tensor([-1.0, 0.5]),), out=tmp_path / "out")


@dataclass
class Sample:
    """A class of the caller's among the inputs."""

    points: Tensor
    name: str


class ChangesInputs(nn.Module):
    def forward(self, sample: Sample) -> dict[str, Tensor]:
        sample.points.mul_(2)
        return {"sum": sample.points.sum(0)}


def test_a_module_that_changes_its_inputs_is_refused_with_the_way_out(tmp_path: Path) -> None:
    points = torch.ones(4, 2)
    with pytest.raises(
        ModuleError, match=r"changes its inputs; got other values in sample\.points"
    ):
        export_module(ChangesInputs(), (Sample(points, "a"),), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert torch.equal(points, torch.ones(4, 2)), "the caller's tensor"


def test_with_copies_the_files_leave_inputs_alone(tmp_path: Path) -> None:
    points = torch.rand(4, 2) + 1
    report = export_module(
        slim(ChangesInputs(), clone_inputs=True),
        (Sample(points.clone(), "a"),),
        formats=("ts", "pt2"),
        dynamic={"sample.points": {0: "points"}},
        out=tmp_path / "out",
    )
    assert report.passed, [file.error for file in report.files]
    for name in ("model.ts", "model.pt2"):
        opened = open_module(tmp_path / "out" / name)
        given = points.clone()
        got: Any = opened({"points": given, "name": "a"})
        assert torch.equal(given, points)
        torch.testing.assert_close(got["sum"], points.sum(0) * 2)
        run = torchscript_file.FORMAT.open if name.endswith("ts") else None
        if run is not None:
            run(tmp_path / "out" / name)([given])
            assert torch.equal(given, points), "by the file itself, too"


class BuiltLate(nn.Module):
    """Makes its decoder in the first call, as code does that waits for a width."""

    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.LazyLinear(4)
        self.decode: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.encode(x)
        if self.decode is None:
            self.decode = nn.Sequential(nn.Linear(4, x.shape[1]), nn.Dropout(0.9))
        y: Tensor = self.decode(hidden)
        return y


def test_parts_that_are_built_late_get_their_trained_tensors_and_eval_mode(tmp_path: Path) -> None:
    torch.manual_seed(1)
    trained = BuiltLate()
    x = torch.rand(2, 3)
    trained(x)
    torch.save(trained.state_dict(), tmp_path / "trained.pth")
    write_spec(
        tmp_path / "late.py",
        "import torch",
        "from test_module_exports import BuiltLate",
        "LATE = ModuleSpec(BuiltLate, lambda: (torch.ones(2, 3),), {'x': {0: 'batch'}},",
        "    checkpoint='trained.pth')",
    )
    assert main(["convert", str(tmp_path / "late.py"), "--output", str(tmp_path / "out")]) == 0
    opened = open_module(tmp_path / "out" / "model.pt2")
    with torch.no_grad():
        torch.testing.assert_close(opened(x), trained.eval()(x))


def test_outputs_are_chosen_and_the_rest_weighs_nothing(tmp_path: Path) -> None:
    module = TwoHeads()
    request = ExportRequest(
        module, CallArguments((torch.rand(2, 8),)), ("pt2",), tmp_path / "out", outputs=("score",)
    )
    report = run_export(request)
    assert report.passed
    assert [(part["name"], part["bytes"]) for part in report.metadata["left_out"]] == [
        ("decode", 4 * (8 * 500 + 500))
    ]
    got: Any = open_module(tmp_path / "out" / "model.pt2")(torch.ones(2, 8))
    assert list(got) == ["score"]
    assert (tmp_path / "out" / "model.pt2").stat().st_size < 4 * (8 * 500 + 500)


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encode = nn.Linear(8, 8)
        self.decode = nn.Linear(8, 500)

    def forward(self, x: Tensor) -> dict[str, Any]:
        hidden = self.encode(x)
        return {"O1": self.decode(hidden), "score": hidden.mean(1), "phase": "eval"}


def test_several_models_end_in_one_table_whatever_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    specs = tmp_path / "specs"
    specs.mkdir()
    lines = ("import torch", "from torch import nn")
    linear = "ModuleSpec(lambda: nn.Linear(3, 2), lambda: (torch.ones(2, 3),))"
    write_spec(specs / "good.py", *lines, f"FIRST = {linear}")
    write_spec(specs / "bad.py", *lines, "BROKEN = ModuleSpec(lambda: 1 / 0, tuple)")
    assert main(["convert", str(specs), "--format", "ts", "--output", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().out
    rows = [line.split()[:3] for line in shown.splitlines()]
    assert ["BROKEN", "refused"] in [row[:2] for row in rows]
    assert ["FIRST", "ts", "verified"] in rows
    assert "BROKEN: the spec fails: bad.py:BROKEN build; got ZeroDivisionError" in shown
    assert "1 of 2 modules exported and verified" in shown
    assert [folder.name for folder in (tmp_path / "out").iterdir()] == ["FIRST"]


def test_the_parts_of_a_checkpoint_that_a_spec_names_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(2)
    trained = TwoHeads()
    held = {f"net.{name}": tensor for name, tensor in trained.state_dict().items()}
    held |= {"net.phase2.weight": torch.ones(10), "other.weight": torch.ones(5)}
    torch.save(held, tmp_path / "last.pth")
    write_spec(
        tmp_path / "heads.py",
        "import torch",
        "from test_module_exports import TwoHeads",
        "HEADS = ModuleSpec(TwoHeads, lambda: (torch.ones(2, 8),), outputs=('score', 'O1'),",
        "    prefix='net.', drop=('phase2',))",
    )
    arguments = [f"{tmp_path / 'heads.py'}:HEADS", "--checkpoint", str(tmp_path / "last.pth")]
    arguments += ["--format", "ts", "--output", str(tmp_path / "out")]
    assert main(["convert", *arguments]) == 0
    shown = capsys.readouterr().out
    assert "net.phase2.weight, other.weight; 60 bytes left out" in shown
    x = torch.rand(2, 8)
    got: Any = open_module(tmp_path / "out" / "model.ts")(x)
    with torch.no_grad():
        want = trained(x)
    assert list(got) == ["score", "O1"]
    torch.testing.assert_close(got["score"], want["score"])
    torch.testing.assert_close(got["O1"], want["O1"])


def test_the_reason_for_leaving_dynamo_and_what_the_classic_file_fixes_are_told(
    tmp_path: Path,
) -> None:
    report = export_module(
        Branching(), (torch.ones(2, 3),), formats=("onnx",), out=tmp_path / "out"
    )
    (file,) = report.files
    assert file.way == "classic" and [left.way for left in file.left] == ["dynamo"]
    assert "data-dependent" in file.left[0].reason
    (fixed,) = file.fixed
    assert fixed.startswith("test_module_exports.py:") and "Python boolean" in fixed
    (row,) = report.metadata["exports"]
    assert row["fixed_branches"] == [fixed]
    assert row["left_ways"] == [{"way": "dynamo", "reason": file.left[0].reason}]


def test_a_file_that_a_process_cannot_open_is_told_by_the_library_s_words(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(b"nothing")
    with pytest.raises(ModuleError, match=r"model\.onnx can't be opened or run; got \w+"):
        verify_file("onnx", file, ["y"], [Case("the example", [torch.ones(1)], [torch.ones(1)])])


class Nested(nn.Module):
    """Lists and tuples within dicts, in and out."""

    def forward(self, x: dict[str, list[Tensor]]) -> dict[str, object]:
        first, second = x["v"]
        return {"sums": [first + second, (first * second,)], "none": None}


def test_the_last_way_of_pt2_reads_through_nested_values() -> None:
    example: dict[str, list[Tensor]] = {"v": [torch.rand(3), torch.rand(3)]}
    request = ExportRequest(Nested(), CallArguments((example,)), ("pt2",), Path("unused"))
    call = prepare(request).call
    found = export_program(call, strict=True).module()(*call.inputs)
    expected = Nested()(example)["sums"]
    assert torch.equal(found[0], expected[0]) and torch.equal(found[1], expected[1][0])
