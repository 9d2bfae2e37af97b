"""The ways of writing TorchScript and ONNX by themselves: modules that one of torch's exporters
refuses, or writes with another opset than asked for, and graphs too large for one file."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from test_module_exports import Branching
from torch import Tensor, nn

from oriel.errors import OptionError
from oriel.formats import onnx_file, torchscript_file
from oriel.formats.format import WriteOptions
from oriel.modules.call import CallArguments
from oriel.modules.export_module import export_module
from oriel.modules.export_request import ExportRequest
from oriel.modules.prepared_module import prepare


def test_a_second_module_of_one_class_is_compiled_too(tmp_path: Path) -> None:
    """As two generators of a GAN are; recorded instead, it would lose a branch."""
    for name in ("first.ts", "second.ts"):
        module = Branching()
        request = ExportRequest(module, CallArguments((torch.ones(2, 3),)), ("ts",), tmp_path)
        options = WriteOptions("{}")
        call = prepare(request).call
        script = torchscript_file.FORMAT.ways(call, options)[0]
        script.write(call, tmp_path / name, options)
        run = torchscript_file.FORMAT.open(tmp_path / name)
        for x in (torch.ones(2, 3), -torch.ones(2, 3)):
            with torch.no_grad():
                torch.testing.assert_close(run([x])[0], module(x))


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)


def test_an_encoder_that_torch_s_own_check_refuses_is_traced(tmp_path: Path) -> None:
    request = ExportRequest(
        encoder(),
        CallArguments((torch.rand(2, 5, 16),)),
        ("ts",),
        tmp_path,
        {"src": {0: "batch", 1: "time"}},
    )
    prepared = prepare(request)
    with pytest.raises(Exception, match="Tracing failed sanity checks"):
        torch.jit.trace(request.module, (torch.rand(2, 5, 16),))  # type: ignore[no-untyped-call]
    options = WriteOptions("{}")
    ways = {way.name: way for way in torchscript_file.FORMAT.ways(prepared.call, options)}
    fixed = ways["trace, freeze"].write(prepared.call, tmp_path / "model.ts", options)
    assert list(fixed) == [], "torch's own code only compares sizes"
    run = torchscript_file.FORMAT.open(tmp_path / "model.ts")
    assert [case.inputs[0].shape[0] for case in prepared.cases] == [2, 3, 1]
    for case in prepared.cases:
        torch.testing.assert_close(run(case.inputs)[0], case.outputs[0], rtol=1e-4, atol=1e-5)


class Alternates(nn.Module):
    """Computes one thing by two formulas in turn, as code does that chooses kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return x + x if self.calls % 2 else x * 2


def test_a_module_whose_two_recordings_differ_is_traced(tmp_path: Path) -> None:
    """torch's own check compares graphs, and refuses it; numbers are what counts."""
    request = ExportRequest(Alternates(), CallArguments((torch.rand(2, 3),)), ("ts",), tmp_path)
    prepared = prepare(request)
    options = WriteOptions("{}")
    way = torchscript_file.FORMAT.ways(prepared.call, options)[1]
    way.write(prepared.call, tmp_path / "model.ts", options)
    (got,) = torchscript_file.FORMAT.open(tmp_path / "model.ts")(prepared.cases[1].inputs)
    assert torch.equal(got, prepared.cases[1].outputs[0])


class Erfcx(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.special.erfcx(x)
        return y


def test_the_classic_exporter_writes_encoder_layers_and_fails_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """In eval mode a layer is one fused operator, which no opset has; where an operator is missing
    indeed, torch prints the whole graph to the screen."""

    def write(module: nn.Module) -> None:
        request = ExportRequest(
            module, CallArguments((torch.rand(2, 5, 16),)), ("onnx",), tmp_path, opset=17
        )
        prepared = prepare(request)
        onnx_file._classic(prepared.call, tmp_path / "model.onnx", WriteOptions("{}", 17))
        (got,) = onnx_file.FORMAT.open(tmp_path / "model.onnx")(prepared.cases[1].inputs)
        torch.testing.assert_close(got, prepared.cases[1].outputs[0], rtol=1e-4, atol=1e-5)

    write(encoder())
    assert torch.backends.mha.get_fastpath_enabled(), "as the caller had it"
    with pytest.raises(Exception, match="erfcx"):
        write(Erfcx())
    assert capfd.readouterr() == ("", "")


class LinearMean(nn.Module):
    """Has a mean, to whose operator opset 18 added an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y.mean(1)


@pytest.mark.parametrize("asked", [17, 18])
def test_the_opset_that_was_asked_for_is_the_one_in_the_file(asked: int, tmp_path: Path) -> None:
    """dynamo, asked for 17, writes 18 without a word."""
    request = ExportRequest(
        LinearMean(), CallArguments((torch.rand(2, 3),)), ("onnx",), tmp_path, opset=asked
    )
    prepared = prepare(request)
    options = WriteOptions("{}", asked)
    for way in onnx_file.FORMAT.ways(prepared.call, options):
        file = tmp_path / "model.onnx"
        way.write(prepared.call, file, options)
        held = {entry.domain: entry.version for entry in onnx.load(file).opset_import}
        assert held[""] == asked == onnx_file.FORMAT.opset(file), way.name
        (got,) = onnx_file.FORMAT.open(file)(prepared.cases[1].inputs)
        torch.testing.assert_close(got, prepared.cases[1].outputs[0], rtol=1e-5, atol=1e-6)
    names = [way.name for way in onnx_file.FORMAT.ways(prepared.call, options)]
    expected = (
        ["classic", "dynamo, converted to the opset"] if asked == 17 else ["dynamo", "classic"]
    )
    assert names == expected


def test_weights_too_large_for_one_file_stand_in_one_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MAX_ONE_FILE", 1000)
    module = nn.Linear(300, 200)
    options = WriteOptions("{}", 17)
    request = ExportRequest(module, CallArguments((torch.rand(2, 300),)), ("onnx",), tmp_path)
    prepared = prepare(request)
    first, moved = tmp_path / "first", tmp_path / "moved"
    first.mkdir()
    onnx_file._dynamo(named=True, convert=True).write(prepared.call, first / "m.onnx", options)
    first.rename(moved)
    sizes = {file.name: file.stat().st_size for file in moved.iterdir()}
    assert sizes.keys() == {"m.onnx", "m.onnx_data"}
    assert sizes["m.onnx"] < 3000 and sizes["m.onnx_data"] >= 4 * 300 * 200
    (got,) = onnx_file.FORMAT.open(moved / "m.onnx")(prepared.cases[1].inputs)
    torch.testing.assert_close(got, prepared.cases[1].outputs[0], rtol=1e-4, atol=1e-5)
    assert onnx_file.FORMAT.opset(moved / "m.onnx") == 17


def test_the_classic_exporters_files_for_each_tensor_become_one(tmp_path: Path) -> None:
    """It writes them where a graph has more than 2 GB, which no test can afford."""
    weights = [onnx.numpy_helper.from_array(np.full((600,), n, "f4"), f"w{n}") for n in (1, 2)]
    add = onnx.helper.make_node("Add", ["w1", "w2"], ["y"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [600])
    graph = onnx.helper.make_graph([add], "g", [], [y], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 10
    (tmp_path / "folder").mkdir()
    written = tmp_path / "folder" / "m.onnx"
    onnx.save(model, written, save_as_external_data=True, all_tensors_to_one_file=False)
    assert len(list(written.parent.iterdir())) == 3
    onnx_file._take_with_weights(written, tmp_path / "m.onnx")
    shutil.rmtree(written.parent)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["m.onnx", "m.onnx_data"]
    (got,) = onnx_file.FORMAT.open(tmp_path / "m.onnx")([])
    assert torch.equal(got, torch.full((600,), 3.0))


def test_an_opset_that_nobody_writes_is_refused_in_python_too(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="the opset is out of range; got 170"):
        export_module(LinearMean(), (torch.rand(2, 3),), opset=170, out=tmp_path / "out")


def test_an_exporter_that_writes_another_opset_is_left(tmp_path: Path) -> None:
    request = ExportRequest(
        nn.Linear(3, 2), CallArguments((torch.rand(2, 3),)), ("onnx",), tmp_path, opset=17
    )
    prepared = prepare(request)
    dynamo = onnx_file._dynamo(named=True)
    with pytest.raises(Exception, match="wrote another opset; got 18; expected 17"):
        dynamo.write(prepared.call, tmp_path / "model.onnx", WriteOptions("{}", 17))
