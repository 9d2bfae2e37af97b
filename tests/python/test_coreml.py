"""Core ML packages: held to the module without being run, since only macOS runs them. Skipped where
coremltools isn't here; `make test-formats` installs it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import oriel
from oriel.cli import main
from oriel.errors import ModuleError, OptionError
from oriel.formats.coreml_operators import in_known_operators
from oriel.formats.format import Expected, TensorType
from oriel.modules.export_module import check_output_folder
from oriel.modules.inspect_file import inspect_file

SIZES: Any = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
}


class Masked(nn.Module):
    """Attention's mask as transformers makes it, over a convolution with its normalization."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Conv1d(4, 6, 1), nn.BatchNorm1d(6))
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(x.shape[1])
        seen = mask.new_ones((), dtype=torch.bool) & (rows[:, None] >= rows) & mask.bool()[:, None]
        y = self.head(self.mix(x.transpose(1, 2)).transpose(1, 2))
        jumps = mask.diff(dim=-1, prepend=mask[:, :1]) != 0
        return torch.where(seen, y.mean(-1)[:, None], 0.0), jumps.long()


def example(size: int = 2, time: int = 5) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(size)
    mask = torch.ones(size, time, dtype=torch.long)
    mask[0, -2:] = 0
    return torch.randn(size, time, 4, generator=draw), mask


@pytest.fixture(scope="module")
def masked() -> Masked:
    torch.manual_seed(5)
    made = Masked()
    # Statistics that aren't 0 and 1, so that joining them with the convolution changes its weights.
    made.mix(torch.randn(8, 4, 5))
    return made.eval()


def program_of(module: nn.Module) -> torch.export.ExportedProgram:
    axes = {0: torch.export.Dim("batch", max=16), 1: torch.export.Dim("time", max=40)}
    return torch.export.export(module, example(), dynamic_shapes=(axes, axes))


def test_operators_that_are_put_in_the_place_of_others_compute_the_same(masked: Masked) -> None:
    program = in_known_operators(program_of(masked))
    names = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not {n for n in names if "new_ones" in n or "diff" in n or "__and__" in n}
    for size, time in ((2, 5), (3, 7)):
        got = program.module()(*example(size, time))
        for one, other in zip(got, masked(*example(size, time)), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.bool])
def test_differences_are_torch_s(times: int, dtype: torch.dtype) -> None:
    class Diff(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.diff(n=times, dim=0, append=x[:1])

    x = (torch.arange(12).reshape(4, 3) ** 2 % 5).to(dtype)
    program = in_known_operators(torch.export.export(Diff(), (x,)))
    assert torch.equal(program.module()(x), Diff()(x))


def test_no_alias_is_left() -> None:
    class Alias(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = torch.ops.aten.alias.default(x)
            return found

    x = torch.arange(3.0)
    program = in_known_operators(torch.export.export(Alias(), (x,)))
    targets = [str(node.target) for node in program.graph.nodes]
    assert "aten.clone.default" in targets and "aten.alias.default" not in targets
    assert torch.equal(program.module()(x), x)


@pytest.fixture(scope="module")
def package(masked: Masked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from oriel.formats.convert_program import Conversion
    from oriel.formats.coreml_file import FORMAT, convert

    try:
        FORMAT.make_importable()
    except OptionError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("coreml")
    torch.export.save(program_of(masked), folder / "source.pt2")
    file = folder / "model.mlpackage"
    convert(Conversion(folder / "source.pt2", file, ["x", "mask"], ["scores", "jumps.0"]))
    save_file({n: t.contiguous() for n, t in masked.state_dict().items()}, folder / "weights")
    return file


def expected_of(package: Path) -> Expected:
    batch = {0: "batch", 1: "time"}
    return Expected(
        (TensorType("x", [2, 5, 4], "float32", batch), TensorType("mask", [2, 5], "int64", batch)),
        (
            TensorType("scores", [2, 5, 5], "float32", {**batch, 2: "time"}),
            TensorType("jumps.0", [2, 5], "int64", batch),
        ),
        package.with_name("weights"),
    )


def check(package: Path, expected: Expected) -> list[str]:
    from oriel.formats.coreml_file import FORMAT

    assert FORMAT.check is not None
    return list(FORMAT.check(package, expected))


def test_a_package_is_held_to_the_module(package: Path) -> None:
    operators, signature, weights = check(package, expected_of(package))
    assert "coremltools reads it" in operators
    assert signature.endswith("module's names, sizes and dtypes, int32 for int64")
    # Two matrices, two biases, and four of the normalization: one it counts batches with is int.
    assert weights == "all 8 weights are among its constants bit for bit"


def test_weights_of_zeros_alone_may_be_gone(package: Path, tmp_path: Path) -> None:
    expected = expected_of(package)
    weights = load_file(expected.weights)
    for value, said in ((0.0, "8 weights are among"), (0.5, None)):
        save_file({**weights, "more": torch.full((7,), value)}, tmp_path / "weights")
        changed = replace(expected, weights=tmp_path / "weights")
        if said is None:
            with pytest.raises(ModuleError, match="weights of the module are not among"):
                check(package, changed)
        else:
            assert said in check(package, changed)[-1]


def renamed(expected: Expected) -> Expected:
    return replace(expected, outputs=(expected.outputs[1], expected.outputs[0]))


def of_other_sizes(expected: Expected) -> Expected:
    x, mask = expected.inputs
    return replace(expected, inputs=(replace(x, shape=[2, 5, 3]), mask))


def of_fixed_sizes(expected: Expected) -> Expected:
    x, mask = expected.inputs
    return replace(expected, inputs=(x, replace(mask, axes={0: "batch"})))


def of_another_dtype(expected: Expected) -> Expected:
    x, mask = expected.inputs
    return replace(expected, inputs=(x, replace(mask, dtype="float32")))


def of_another_output(expected: Expected) -> Expected:
    scores, jumps = expected.outputs
    return replace(expected, outputs=(replace(scores, shape=[2, 5, 6], axes={0: "batch"}), jumps))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (renamed, "its outputs have other names"),
        (of_other_sizes, "x has other sizes"),
        (of_fixed_sizes, "mask has other sizes"),
        (of_another_dtype, "mask has another dtype; got int32; expected float32"),
        (of_another_output, "scores has other sizes"),
    ],
)
def test_another_signature_is_told(
    change: Callable[[Expected], Expected], said: str, package: Path
) -> None:
    with pytest.raises(ModuleError, match=said):
        check(package, change(expected_of(package)))


def test_one_wrong_bit_of_a_weight_is_told(masked: Masked, package: Path, tmp_path: Path) -> None:
    copy = tmp_path / "model.mlpackage"
    shutil.copytree(package, copy)
    (stored,) = copy.rglob("weight.bin")
    data = bytearray(stored.read_bytes())
    weight = masked.mix[0].weight.detach().numpy().tobytes()  # type: ignore[operator]
    assert data.count(weight) == 1
    data[data.index(weight)] ^= 1
    stored.write_bytes(data)
    with pytest.raises(ModuleError, match=r"not among its constants; got mix\.0\.weight;"):
        check(copy, expected_of(package))


def test_a_folder_is_drawn_with_its_files(package: Path) -> None:
    top = inspect_file(package)
    lines = [branch.text for branch in top.branches]
    assert top.text == "model.mlpackage: coreml"
    assert any(
        line.startswith("model.mlpackage/Data/com.apple.CoreML/model.mlmodel") for line in lines
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="it runs there")
def test_bert_becomes_a_package_that_is_not_verified(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], package: Path
) -> None:
    """By the command, in processes of its own: 20 seconds."""
    if "ORIEL_SLOW_FORMATS" not in os.environ:
        pytest.skip("ORIEL_SLOW_FORMATS isn't set: two processes import coremltools")
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(**SIZES)
    BertForSequenceClassification(config).save_pretrained(tmp_path / "bert")
    out = tmp_path / "out"
    words = ["convert", str(tmp_path / "bert"), "--format", "coreml", "--output", str(out)]
    assert main(words) == 0
    # The next export takes the folder, with the package in it, for an earlier one's.
    check_output_folder(out)
    said = capsys.readouterr().out
    assert "not verified: Core ML runs on macOS alone" in said
    assert "weights are among its constants bit for bit" in said
    assert {each.name for each in out.iterdir()} == {"metadata.json", "model.mlpackage"}
    assert main(["inspect", str(out / "metadata.json")]) == 0
    assert "not verified: Core ML" in capsys.readouterr().out
    with pytest.raises(ModuleError, match="Core ML runs on macOS alone"):
        oriel.open_module(out / "model.mlpackage")
