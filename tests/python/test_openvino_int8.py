"""The int8 form of an OpenVINO file, made by NNCF where that is installed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import checked_line
from conftest import save_random
from generating_libraries import tiny_decoder
from tokenizer_folders import byte_level, save
from transformers import AutoModelForCausalLM, BertConfig, BertForSequenceClassification

from oriel import open_module
from oriel.cli import main
from oriel.errors import OptionError
from oriel.formats import formats_by_name, openvino_int8
from oriel.formats.openvino_int8 import RECIPE, compressor_paths

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 70,
}


def is_here() -> bool:
    try:
        formats_by_name()["openvino"].package_paths()
        compressor_paths()
    except OptionError:
        return False
    return True


needs_packages = pytest.mark.skipif(not is_here(), reason="OpenVINO or NNCF isn't installed")


def converted(checkpoint: Path, out: Path, *words: str) -> dict[str, Any]:
    words = words or ("--format", "openvino", "--precision", "int8")
    assert main(["convert", str(checkpoint), "--output", str(out), *words]) == 0
    found: dict[str, Any] = json.loads((out / "metadata.json").read_text())
    return found


@needs_packages
def test_a_decoder_is_a_quarter_as_large_and_near_pytorch(tmp_path: Path) -> None:
    checkpoint = save_random(tiny_decoder("llama"), tmp_path / "from", seed=1, spread=0.1)
    save(checkpoint, byte_level(), eos_token="<|endoftext|>")
    (export,) = converted(checkpoint, tmp_path / "to")["exports"]
    (row,) = export["variants"]
    assert row["success"] and row["precision"] == "int8" and row["recipe"] == RECIPE
    names = [each["file"] for each in row["files"]]
    assert names == ["model.int8.xml", "model.int8.bin"] and row["file"] == names[0]
    sizes = [(tmp_path / "to" / name).stat().st_size for name in names]
    assert row["bytes"] == sum(sizes)
    assert sizes[1] < 0.4 * (tmp_path / "to" / "model.bin").stat().st_size
    assert len(row["verification"]) == 3, "padded, alone, and behind a past"
    assert all(0.5 < case["top1"] <= 1 for case in row["verification"])
    ids = torch.tensor([[5, 170, 33, 91, 7]])
    mask, places = torch.ones_like(ids), torch.arange(5)[None]
    past = [{part: torch.zeros(1, 2, 0, 8) for part in ("key", "value")} for _ in range(3)]
    opened: Any = open_module(tmp_path / "to" / "model.int8.xml")
    got = opened(ids, mask, places, past)["logits"]
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        want = model(ids).logits
    error = (got - want).abs().max() / want.abs().max()
    assert 1e-4 < error < 0.1


@needs_packages
def test_int8_static_is_written_for_onnx_alone(tmp_path: Path) -> None:
    model = BertForSequenceClassification(BertConfig(**SIZES))
    checkpoint = save_random(model, tmp_path / "from")
    words = ("--format", "onnx,openvino", "--precision", "int8,int8_static")
    data = converted(checkpoint, tmp_path / "to", *words)
    found = {row["format"]: [v["file"] for v in row["variants"]] for row in data["exports"]}
    assert found == {
        "onnx": ["onnx/model_quantized.onnx", "onnx/model_int8.onnx"],
        "openvino": ["model.int8.xml"],
    }
    # A later export into the folder takes all of them away.
    converted(checkpoint, tmp_path / "to", "--format", "onnx")
    assert not list((tmp_path / "to").glob("*.xml"))


def test_int8_static_of_openvino_alone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not is_here():
        pytest.skip("OpenVINO isn't installed")
    words = ["--format", "openvino", "--precision", "int8_static", "--output", str(tmp_path / "to")]
    assert main(["convert", "demo", *words]) == 2
    line = checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert "--precision int8_static is for onnx files" in line and not (tmp_path / "to").exists()


def test_without_nncf_the_line_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openvino_int8, "_PACKAGES", ("nncf_that_is_not_here",))
    with pytest.raises(OptionError) as raised:
        compressor_paths()
    line = checked_line(str(raised.value))
    assert "an int8 form of openvino needs a package" in line and "oriel[nncf]" in line
