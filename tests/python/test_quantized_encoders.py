"""int8 forms of an encoder's ONNX file: the kernels on its weights, the distance from PyTorch, and
what is refused."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from conftest import save_random
from onnx import TensorProto, numpy_helper
from tokenizer_folders import TEXT, template_around
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)
from verify_here import verify_here

from oriel.cli import main
from oriel.modules import quantized_variant

SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 70,
}
FILES = {"int8": "onnx/model_quantized.onnx", "int8_static": "onnx/model_int8.onnx"}


def convert(checkpoint: Path, out: Path, *words: str) -> int:
    words = words or ("--precision", "int8,int8_static")
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        told = ["convert", str(checkpoint), "--format", "onnx", "--output", str(out), *words]
        return main(told)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """RoBERTa that classifies, with a tokenizer that knows the bundled corpus."""
    folder = tmp_path_factory.mktemp("quantized") / "roberta"
    save_random(RobertaForSequenceClassification(RobertaConfig(**SIZES, pad_token_id=1)), folder)
    template_around(folder)
    return folder


@pytest.fixture(scope="module")
def folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "roberta"
    assert convert(checkpoint, out) == 0
    return out


def rows(folder: Path) -> dict[str, Any]:
    (export,) = json.loads((folder / "metadata.json").read_text())["exports"]
    return {row["precision"]: row for row in export["variants"]}


def logits(file: Path, fed: dict[str, torch.Tensor]) -> torch.Tensor:
    session = onnxruntime.InferenceSession(file)
    feeds = {port.name: fed[port.name].numpy() for port in session.get_inputs()}
    return torch.from_numpy(session.run(["logits"], feeds)[0])


@pytest.mark.parametrize("precision", FILES)
def test_a_form_is_near_pytorch_on_text_and_not_the_float_file(
    precision: str, checkpoint: Path, folder: Path
) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint, pad_token="<b>")
    fed = dict(tokenizer([TEXT[0], TEXT[1][:25]], padding=True, return_tensors="pt"))
    fed["token_type_ids"] = torch.zeros_like(fed["input_ids"])
    assert 0 in fed["attention_mask"]
    model = RobertaForSequenceClassification.from_pretrained(checkpoint).train(False)
    with torch.no_grad():
        want = model(fed["input_ids"], fed["attention_mask"]).logits
    error = (logits(folder / FILES[precision], fed) - want).abs().max() / want.abs().max()
    assert 1e-4 < error < 0.1
    assert (logits(folder / "onnx" / "model.onnx", fed) - want).abs().max() < 1e-4


@pytest.mark.parametrize("precision", FILES)
def test_every_matrix_is_computed_on_in_8_bits_and_stored_once(
    precision: str, folder: Path
) -> None:
    graph = onnx.load(folder / FILES[precision]).graph
    # Queries, keys, values, outputs and two of the MLP in each layer; two of the head.
    products = 6 * SIZES["num_hidden_layers"] + 2
    told = rows(folder)[precision]["nodes"]
    found = Counter(node.op_type for node in graph.node)
    if precision == "int8":
        assert told == {"Gather": 3, "MatMulInteger": products}
        assert found["MatMulInteger"] == products
    else:
        # The classes' own product is rounded to two digits, by its range in each run.
        assert told == {"Gather": 3, "MatMul": products - 1, "MatMulInteger": 1}
        assert found["QuantizeLinear"] >= 2
    kinds = {TensorProto.INT8, TensorProto.UINT8}
    matrices = [t for t in graph.initializer if len(t.dims) == 2]
    assert len(matrices) == products + 3
    assert {t.data_type for t in matrices} <= kinds
    for tensor in matrices:
        values = numpy_helper.to_array(tensor).astype(int)
        if "embeddings" not in tensor.name:
            # No processor's products of such values and uint8 saturate.
            assert values.min() >= -64 and values.max() <= 63
        else:
            assert np.abs(values).max() > 100


def test_a_table_that_is_multiplied_too_stays_one(tmp_path: Path) -> None:
    # torch's exporter copies a smaller one by itself, to spare the Transpose.
    config = BertConfig(**{**SIZES, "vocab_size": 12_000})
    checkpoint = save_random(BertForMaskedLM(config), tmp_path / "bert")
    assert convert(checkpoint, tmp_path / "out", "--precision", "int8") == 0
    graph = onnx.load(tmp_path / "out" / FILES["int8"]).graph
    tables = [t for t in graph.initializer if 12_000 in t.dims and len(t.dims) == 2]
    assert [t.data_type for t in tables] == [TensorProto.INT8]
    row = rows(tmp_path / "out")["int8"]
    # There is no tokenizer.
    assert row["calibration"]["text"]["name"] == "random ids"
    assert "random ids" in row["verification"][0]["case"]


def test_the_metadata_states_the_error_and_the_text(folder: Path) -> None:
    for precision, row in rows(folder).items():
        assert row["success"] and row["file"] == FILES[precision]
        assert row["bytes"] == (folder / row["file"]).stat().st_size
        assert row["recipe"] == "q8_signed"
        assert row["calibration"]["text"]["name"] == "bundled corpus, training passages"
        assert row["calibration"].get("method") == ("minmax" if "static" in precision else None)
        padded, alone = row["verification"]
        assert padded["case"].startswith("held-out text, 4 ×")
        assert padded["input_shapes"][0][0] == 4 and alone["input_shapes"][0][0] == 1
        for case in (padded, alone):
            (output,) = case["outputs"]
            assert output["bound"] == quantized_variant.BOUNDS[row["precision"]]
            assert 1e-4 < output["relative"] < output["bound"]
    told = json.loads((folder / "config.json").read_text())
    assert "transformers.js_config" not in told, "browsers ask for q8, which is there"


def test_a_form_that_is_too_far_off_is_left_and_the_others_stay(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(quantized_variant, "BOUNDS", {"int8": 1e-5, "int8_static": 0.2})
    assert convert(checkpoint, tmp_path / "out") == 1
    files = {f.name for f in (tmp_path / "out" / "onnx").iterdir()}
    assert files == {"model.onnx", "model_int8.onnx"}
    row = rows(tmp_path / "out")["int8"]
    assert row["success"] is False and "expected at most 1e-05" in row["error"]
    assert row["verification"][0]["passed"] is False
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["transformers.js_config"] == {"dtype": "fp32"}
    assert "roberta, onnx int8: failed: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--precision", "int8", "--format", "ts"], "onnx or openvino among them"),
        (["--precision", "int4"], "int4"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    words: list[str],
    said: str,
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert convert(checkpoint, tmp_path / "out", *words) == 2
    assert said in checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert not (tmp_path / "out").exists()


def test_other_modules_have_no_int8_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = Path(__file__).parent / "module_specs" / "nested.py"
    assert convert(spec, tmp_path / "out") == 2
    line = checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert "--precision is for models of transformers" in line
