"""TensorRT: an engine against PyTorch where there is a GPU, and the file that stands in its place
where there is none.

On a machine with a GPU, torch with CUDA and TensorRT:
python -m pytest tests/python/test_tensorrt.py
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from verify_here import verify_here

import oriel
from oriel.formats import ALL, check_formats, tensorrt_file
from oriel.modules.export_module import ModuleExportReport, export_module
from oriel.modules.verify_module import Case, verify_file

HAS_GPU = tensorrt_file.has_gpu() and torch.cuda.is_available()
HAS_TENSORRT = importlib.util.find_spec("tensorrt") is not None


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 4))

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layers(x)
        return found


def export(module: nn.Module, args: tuple[Tensor, ...], axes: Any, out: Path) -> ModuleExportReport:
    return export_module(module, args, formats=("tensorrt",), dynamic=axes, out=out)


@pytest.mark.skipif(HAS_GPU, reason="an engine is built here")
def test_without_a_gpu_the_onnx_file_is_written_and_called_not_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify_here(monkeypatch)
    module = Mlp().eval()
    report = export(module, (torch.rand(3, 8),), {"x": {0: "batch"}}, tmp_path)
    assert report.passed
    (row,) = json.loads((tmp_path / "metadata.json").read_text("utf-8"))["exports"]
    assert row["file"] == "model.tensorrt.onnx" and row["success"] is True
    assert "an engine is built and run on an NVIDIA GPU" in row["not_verified"]
    assert [case["passed"] for case in row["verification"]] == [True] * 3
    x = torch.rand(6, 8)
    session = onnxruntime.InferenceSession(tmp_path / row["file"])
    (got,) = session.run(None, {"x": x.numpy()})
    with torch.no_grad():
        torch.testing.assert_close(torch.tensor(got), module(x))
        opened = oriel.open_module(tmp_path / row["file"])
        torch.testing.assert_close(opened(x), module(x))


@pytest.mark.skipif(HAS_GPU, reason="an engine is built here")
def test_all_stands_for_no_engine_where_there_is_no_gpu() -> None:
    assert "tensorrt" not in [form.name for form in check_formats((ALL,))]


def bert() -> tuple[nn.Module, tuple[Tensor, ...], Any]:
    from transformers import BertConfig, BertModel

    sizes: Any = {"vocab_size": 90, "hidden_size": 64, "num_hidden_layers": 2}
    sizes |= {"num_attention_heads": 4, "intermediate_size": 128, "max_position_embeddings": 128}
    model: Any = BertModel(BertConfig(**sizes))

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
            out: Tensor = self.model(input_ids, attention_mask).last_hidden_state
            return out

    ids, mask = torch.randint(0, 90, (2, 9)), torch.ones(2, 9, dtype=torch.long)
    mask[0, -3:] = 0
    axes = {0: "batch", 1: "time"}
    return Encoder().eval(), (ids, mask), {"input_ids": axes, "attention_mask": axes}


def mlp() -> tuple[nn.Module, tuple[Tensor, ...], Any]:
    return Mlp().eval(), (torch.rand(3, 8),), {"x": {0: "batch"}}


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="no GPU that torch can use")
@pytest.mark.skipif(not HAS_TENSORRT, reason="tensorrt isn't installed")
@pytest.mark.parametrize("made", [mlp, bert])
def test_an_engine_computes_what_the_module_does(
    made: Callable[[], tuple[nn.Module, tuple[Tensor, ...], Any]], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    module, args, axes = made()
    report = export(module, args, axes, tmp_path)
    (file,) = report.files
    assert file.error is None and file.file is not None and file.not_verified is None
    assert file.file.name == "model.engine" and len(file.cases) == 3
    with torch.no_grad():
        want = module(*args)
    (name,) = [row["name"] for row in report.metadata["signature"]["outputs"]]
    (right,) = verify_file("tensorrt", file.file, [name], [Case("right", args, [want])])
    (wrong,) = verify_file("tensorrt", file.file, [name], [Case("wrong", args, [want * 1.01])])
    assert right.passed and not wrong.passed
