"""`oriel pipeline`: one model in many formats, proven and timed, and their table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from checkpoint_files import checked_line
from onnx import TensorProto, helper
from verify_here import verify_here

from oriel.cli import main
from oriel.errors import ContractError
from oriel.pipeline import measure, measure_file, run_pipeline
from oriel.pipeline.measure import Measured, Spread, Subject
from oriel.pipeline.onnx_graphs import optimized_graph
from oriel.pipeline.rows import PipelineRow
from oriel.pipeline.table import ratio_to_eager, table_text
from oriel.pipeline.write_results import read_rows

SPEC = """
import torch
from oriel.modules.spec import ModuleSpec

def build():
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 4))

NET = ModuleSpec(build=build, inputs=lambda: (torch.ones(3, 6),), dynamic={"input": {0: "rows"}})
"""


@pytest.fixture
def spec(tmp_path: Path) -> str:
    (tmp_path / "net.py").write_text(SPEC)
    return f"{tmp_path / 'net.py'}:NET"


@pytest.fixture(autouse=True)
def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_fresh_process.py has the fresh process."""
    verify_here(monkeypatch)


def no_times(subjects: list[Subject], *_: object) -> dict[str, Any]:
    spread = Spread(0.5, 0.25, 1.0)
    return {each.name: Measured(spread, spread, {"batch 1": spread}) for each in subjects}


def run(spec: str, output: Path, *more: str) -> int:
    return main(["pipeline", spec, "--output", str(output), "--formats", "pt2,onnx", *more])


def test_files_are_made_proven_and_timed(spec: str, tmp_path: Path) -> None:
    """One round in processes of their own, as users run it."""
    assert run(spec, tmp_path / "out", "--rounds", "1", "--only", "onnx") == 0
    rows = {row.name: row for row in read_rows(tmp_path / "out" / "pipeline.json")}
    assert list(rows) == ["pytorch", "onnx"]
    # 9 × 6 + 9 and 4 × 9 + 4 numbers of float32.
    assert rows["pytorch"].bytes == 4 * (54 + 9 + 36 + 4)
    row = rows["onnx"]
    assert row.verdict == "verified"
    assert row.relative is not None and row.relative < 1e-5
    assert row.file is not None
    record = json.loads((tmp_path / "out" / "onnx.proof.json").read_text())
    assert record["candidate"]["place"].endswith(row.file)
    outputs = {(c["name"], o["name"]): o for c in record["cases"] for o in c["outputs"]}
    assert row.proof is not None and row.proof["record"] == "onnx.proof.json"
    worst = row.proof["output"]
    assert outputs[row.proof["case"], worst["name"]] == worst
    assert worst["relative"] == max(o["relative"] for o in outputs.values())
    assert row.bytes == (tmp_path / "out" / row.file).stat().st_size
    for row in rows.values():
        assert row.measured is not None, row.untimed
        assert list(row.measured.seconds) == ["batch 1", "batch 8", "as exported"]
        assert 0 < row.measured.seconds["batch 8"].least < 1
        assert row.measured.memory_mb.median > 0
    table = (tmp_path / "out" / "pipeline.md").read_text()
    assert "| onnx | fp32 |" in table and "batch 8, ms" in table


def test_what_is_there_stays_and_the_rest_is_made(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run_pipeline, "measure_in_turns", no_times)
    out = tmp_path / "out"
    assert run(spec, out, "--only", "pt2") == 0
    made = [out / "pt2" / "model.pt2", out / "pt2.proof.json"]
    first = [file.stat().st_mtime_ns for file in made]
    assert run(spec, out) == 0
    assert [file.stat().st_mtime_ns for file in made] == first
    assert (out / "onnx" / "model.onnx").is_file()
    (out / "pt2" / "model.pt2").unlink()
    assert run(spec, out, "--only", "pt2") == 0
    assert (out / "pt2" / "model.pt2").is_file(), "a file that is gone is made again"
    assert run(spec, out, "--only", "pt2", "--rounds", "0") == 0
    rows = {row.format: row for row in read_rows(out / "pipeline.json")}
    assert list(rows) == ["pytorch", "pt2", "onnx"]
    assert rows["pytorch"].measured is not None, "a call without times leaves the module's"
    capsys.readouterr()


def test_results_of_the_form_before_say_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.json"
    file.write_text('{"format": "oriel-pipeline", "pipeline_version": "1.0", "rows": []}')
    with pytest.raises(ContractError, match="the files that are there stay"):
        read_rows(file)


def test_files_of_another_model_are_not_taken_for_its_own(
    spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(spec, tmp_path / "out", "--only", "pt2", "--rounds", "0") == 0
    (tmp_path / "net.py").write_text(SPEC.replace("manual_seed(5)", "manual_seed(6)"))
    assert run(spec, tmp_path / "out", "--only", "pt2", "--rounds", "0") == 1
    printed = capsys.readouterr().out
    assert "- pt2: failed: output is apart on the example" in printed


def test_a_format_that_fails_leaves_the_others(
    spec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from oriel.formats import onnx_file

    def fails() -> Iterator[None]:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(run_pipeline, "measure_in_turns", no_times)
    monkeypatch.setattr(onnx_file, "quiet_exporters", fails)
    assert run(spec, tmp_path / "out") == 1
    printed = capsys.readouterr().out
    assert "| pt2 | fp32 |" in printed
    assert "- onnx: failed:" in printed and "no such operator" in printed


def test_a_file_that_can_t_be_timed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no graph")
    subject = Subject("onnx", "onnx", str(tmp_path / "model.onnx"), [])
    folder = tmp_path / "request"
    folder.mkdir()
    (folder / "request.json").write_text(
        json.dumps({"format": subject.format, "file": subject.file})
    )
    assert measure_file.main([str(folder)]) == 0
    assert "error" in json.loads((folder / "result.json").read_text())
    monkeypatch.setattr(measure, "command_of", lambda *_: ["false"])
    found = measure.measure_in_turns([subject], 2, lambda _: None)
    assert "exit code 1" in str(found["onnx"])


def test_nodes_and_fusions_are_counted(tmp_path: Path) -> None:
    """x · w + b is MatMul and Add in the file, and one Gemm in ONNX Runtime."""
    weights = [
        helper.make_tensor("w", TensorProto.FLOAT, [3, 2], [1.0] * 6),
        helper.make_tensor("b", TensorProto.FLOAT, [2], [1.0] * 2),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["product"]),
            helper.make_node("Add", ["product", "b"], ["y"]),
        ],
        "two",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 2])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "model.onnx")
    found = optimized_graph(tmp_path / "model.onnx")
    assert (found.nodes, found.optimized_nodes, found.fused) == (2, 1, {"Gemm": 1})


def test_the_table_gives_medians_with_their_spread() -> None:
    def row(name: str, seconds: float) -> PipelineRow:
        spread = Spread(seconds, seconds / 2, seconds * 2)
        timed = Measured(Spread(1.0, 0.5, 2.0), Spread(10, 9, 11), {"1 × 16": spread})
        return PipelineRow(name, "fp32", bytes=2_500_000, verdict="verified", measured=timed)

    rows = [row("pytorch", 0.030), row("onnx", 0.010)]
    text = table_text(rows)
    assert "| onnx | 1.00 (0.50 to 2.00) | 10 (9 to 11) | 10.0 (5.0 to 20.0) |" in text
    assert "| onnx | fp32 | 2.5 |" in text
    assert ratio_to_eager(rows, "onnx", "1 × 16") == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--only", "iree"], "--only"),
        (["--rounds", "-1"], "from 0 to 100"),
    ],
)
def test_a_mistake_is_one_line(
    more: list[str], words: str, spec: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(spec, tmp_path / "out", *more) == 2
    assert words in checked_line(capsys.readouterr().err.rstrip().split("\n")[-1])
    assert not (tmp_path / "out").exists()
