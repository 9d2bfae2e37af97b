"""Simplification of ONNX files: a result takes the file's place only where it is no worse."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from verify_here import verify_here

import oriel
from oriel.cli import main
from oriel.errors import GraphError, OptionError
from oriel.formats import simplify_onnx
from oriel.formats.convert_program import Conversion
from oriel.formats.simplify_onnx import GraphSize, _weights, check_sound, simplifier_paths
from oriel.modules import simplify
from oriel.modules.export_module import export_module


class Tied(nn.Module):
    """A table that is gathered and multiplied by, as of a language model."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(60, 20)
        self.inner = nn.Linear(20, 20)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.inner(self.table(ids))) @ self.table.weight.T


def is_here() -> bool:
    try:
        return bool(simplifier_paths()) or importlib.util.find_spec("onnxslim") is not None
    except OptionError:
        return False


def export(out: Path, simple: bool = True) -> tuple[nn.Module, Path]:
    torch.manual_seed(4)
    module = Tied().eval()
    ids = torch.randint(0, 60, (2, 5))
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        report = export_module(
            module,
            (ids,),
            formats=("onnx",),
            dynamic={"ids": {0: "batch", 1: "time"}},
            simplify=simple,
            out=out,
        )
    assert report.passed
    return module, out / "model.onnx"


def entry(file: Path) -> dict[str, object]:
    (row,) = json.loads((file.parent / "metadata.json").read_text())["exports"]
    assert row["bytes"] == file.stat().st_size
    return dict(row["simplification"])


def check_computes(module: nn.Module, file: Path) -> None:
    ids = torch.randint(0, 60, (3, 7))
    (got,) = onnxruntime.InferenceSession(file).run(None, {"ids": ids.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(got), module(ids), rtol=1e-4, atol=1e-5)


@pytest.mark.skipif(not is_here(), reason="onnxslim isn't installed")
def test_a_simplified_file_is_the_module_s_and_tells_its_sizes(tmp_path: Path) -> None:
    module, plain = export(tmp_path / "plain", simple=False)
    _, file = export(tmp_path / "simple")
    told = entry(file)
    assert told["success"] is True and told["reason"] is None
    for when, each in (("before", plain), ("after", file)):
        assert told[f"nodes_{when}"] == len(onnx.load(each).graph.node)
        assert told[f"bytes_{when}"] == each.stat().st_size
    assert sorted(file.parent.iterdir()) == [file.parent / "metadata.json", file]
    check_computes(module, file)
    # The structure inside is kept.
    ids = torch.randint(0, 60, (4, 3))
    with torch.no_grad():
        torch.testing.assert_close(oriel.open_module(file)(ids), module(ids))


def worse(change: Callable[[onnx.ModelProto], None]) -> Callable[..., None]:
    def write(file: Path, simpler: Path, _names: object) -> None:
        model = onnx.load(file)
        change(model)
        onnx.save(model, simpler)
        sizes = [{"nodes": 9, "bytes": 90}, {"nodes": 7, "bytes": 70}]
        (simpler.parent / "counts.json").write_text(json.dumps(sizes))

    return write


def test_a_wrong_result_is_dropped_and_the_file_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(model: onnx.ModelProto) -> None:
        table = next(t for t in model.graph.initializer if 60 in t.dims)
        values = numpy_helper.to_array(table) + np.float32(0.01)
        table.CopyFrom(numpy_helper.from_array(values, table.name))

    monkeypatch.setattr(simplify, "simplify_onnx", worse(change))
    monkeypatch.setattr("oriel.modules.export_module.simplifier_paths", list)
    monkeypatch.setattr("oriel.modules.metadata.simplifier_paths", list)
    module, file = export(tmp_path / "out")
    told = entry(file)
    assert told["success"] is False and "is not the module's" in str(told["reason"])
    assert (told["nodes_before"], told["bytes_after"]) == (9, 70)
    check_computes(module, file)
    assert sorted(file.parent.iterdir()) == [file.parent / "metadata.json", file]


TABLE = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)


def graph(*tables: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> onnx.ModelProto:
    return helper.make_model(
        helper.make_graph(
            [helper.make_node("Identity", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
            [numpy_helper.from_array(each, f"t{at}") for at, each in enumerate(tables)],
        )
    )


@pytest.mark.parametrize(
    ("after", "names", "size", "said"),
    [
        (graph(TABLE, TABLE), "xy", 5, "breaks a tie"),
        # Transposed or in another shape, it is the same weight.
        (graph(TABLE, TABLE.T.copy()), "xy", 5, "breaks a tie"),
        (graph(TABLE, TABLE.reshape(-1)), "xy", 5, "breaks a tie"),
        (graph(TABLE), "xz", 5, "changes the inputs or outputs"),
        (graph(TABLE), "xy", 11, "makes the file larger"),
    ],
)
def test_an_unsound_result_is_refused(
    after: onnx.ModelProto, names: str, size: int, said: str, tmp_path: Path
) -> None:
    conversion = Conversion(tmp_path, tmp_path, [names[0]], [names[1]])
    before = _weights(graph(TABLE))
    with pytest.raises(GraphError, match=said):
        check_sound(conversion, after, before, [GraphSize(1, 10), GraphSize(1, size)])


def test_a_sound_result_is_taken(tmp_path: Path) -> None:
    """Its weights may be other ones, and two that were alike before may stay two."""
    conversion = Conversion(tmp_path, tmp_path, ["x"], ["y"])
    sizes = [GraphSize(1, 10), GraphSize(1, 10)]
    check_sound(conversion, graph(TABLE, TABLE), _weights(graph(TABLE, TABLE)), sizes)
    check_sound(conversion, graph(TABLE[::-1] * 2), _weights(graph(TABLE)), sizes)


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["convert", *words]) == 2
    return checked_line(capsys.readouterr().err.strip().splitlines()[-1])


def test_it_needs_an_onnx_file_and_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = Path(__file__).parent / "module_specs" / "nested.py"
    words = [str(spec), "--output", str(tmp_path / "out"), "--simplify", "--format"]
    assert "onnx among them" in refused(capsys, *words, "ts,pt2")
    monkeypatch.setenv("ORIEL_FORMATS", str(tmp_path))
    monkeypatch.setattr(simplify_onnx, "PACKAGE", "onnxslim_that_is_not_here")
    line = refused(capsys, *words, "onnx")
    assert "--simplify needs a package" in line and "oriel[onnxslim" in line
    assert not (tmp_path / "out").exists()
