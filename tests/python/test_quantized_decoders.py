"""The folder of a decoder that is converted, and int8 forms of its ONNX file: their kernels, their
distance from PyTorch with and without a past, and the record of it. The libraries themselves run in
test_library_decoders.py."""

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
from conftest import save_random
from generating_libraries import tiny_decoder
from onnx import TensorProto
from tokenizer_folders import VOCAB, byte_level, save
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from verify_here import verify_here

from oriel.cli import main
from oriel.modules import quantized_variant

FILES = {"int8": "onnx/model_quantized.onnx", "int8_static": "onnx/model_int8.onnx"}
LAYERS, PRODUCTS = 3, {"gpt2": 4, "llama": 7}
"""Layers, and matrices in each that something is multiplied by."""
CACHE = {"gpt2": (3, 8), "llama": (2, 8)}
"""Heads of keys, and their size."""
Made = tuple[str, Path, Path]


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The name, the checkpoint, and the folder that it was converted to."""
    root = tmp_path_factory.mktemp("decoders")
    checkpoint = save_random(tiny_decoder(request.param), root / "from", seed=1, spread=0.1)
    save(checkpoint, byte_level(), eos_token="<|endoftext|>")
    told = json.loads((checkpoint / "config.json").read_text())
    told |= {"auto_map": {"AutoModel": "code.Mine"}, "_name_or_path": "somewhere/private"}
    (checkpoint / "config.json").write_text(json.dumps(told))
    words = ["--format", "onnx", "--precision", "int8,int8_static", "--output", str(root / "to")]
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        assert main(["convert", str(checkpoint), *words]) == 0
    return request.param, checkpoint, root / "to"


def variants(folder: Path) -> dict[str, Any]:
    (export,) = json.loads((folder / "metadata.json").read_text())["exports"]
    return {row["precision"]: row for row in export["variants"]}


def test_its_files_lie_where_other_libraries_look(made: Made) -> None:
    _, checkpoint, folder = made
    files = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    configs = {"config.json", "generation_config.json"}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    assert files == {"metadata.json", *configs, *tokenizer, "onnx/model.onnx", *FILES.values()}
    data = json.loads((folder / "metadata.json").read_text())
    assert {row["file"] for row in data["library_files"]} == configs | tokenizer
    told = json.loads((folder / "config.json").read_text())
    assert told["use_cache"] is True and "transformers.js_config" not in told
    assert "auto_map" not in told and "private" not in (folder / "config.json").read_text()
    loaded = GenerationConfig.from_pretrained(folder)
    assert loaded.eos_token_id == GenerationConfig.from_pretrained(checkpoint).eos_token_id == 0
    text = "The ferry left"
    ours, theirs = (AutoTokenizer.from_pretrained(place) for place in (folder, checkpoint))
    assert ours(text)["input_ids"] == theirs(text)["input_ids"]


@pytest.mark.parametrize("precision", FILES)
def test_a_form_is_near_pytorch_with_and_without_a_past(precision: str, made: Made) -> None:
    """Padded on the left, as texts are when the next token is asked for."""
    name, checkpoint, folder = made
    ids = torch.from_numpy(np.random.default_rng(0).integers(1, VOCAB, (2, 9)))
    mask = torch.ones_like(ids)
    mask[0, :3] = 0
    places = (mask.cumsum(1) - 1).clamp(min=0)
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint)
    with torch.no_grad():
        want = model(ids, attention_mask=mask, position_ids=places).logits[mask.bool()].numpy()
    heads, size = CACHE[name]
    session = onnxruntime.InferenceSession(folder / FILES[precision])
    cached = [port for port in session.get_inputs() if port.name.startswith("past_key_values")]
    assert {port.type for port in cached} == {"tensor(float)"} and len(cached) == 2 * LAYERS
    past = {port.name: np.zeros((2, heads, 0, size), np.float32) for port in cached}
    parts = []
    for first, end in ((0, 7), (7, 8), (8, 9)):
        given = ids[:, first:end].numpy(), mask[:, :end].numpy(), places[:, first:end].numpy()
        feeds = dict(zip(("input_ids", "attention_mask", "position_ids"), given, strict=True))
        logits, *present = session.run(None, {**feeds, **past})
        past = dict(zip(past, present, strict=True))
        parts.append(logits)
    got = np.concatenate(parts, 1)[mask.bool().numpy()]
    error = np.abs(got - want).max() / np.abs(want).max()
    assert 1e-4 < error < quantized_variant.BOUNDS["int8_static"], error


def test_every_matrix_is_computed_on_in_8_bits_and_stored_once(made: Made) -> None:
    name, _, folder = made
    products = LAYERS * PRODUCTS[name] + 1
    found = variants(folder)
    gathers = {"gpt2": 2, "llama": 1}[name]
    assert found["int8"]["nodes"] == {"Gather": gathers, "MatMulInteger": products}
    # The logits' own product is rounded to two digits, by its range in each run.
    static = {"Gather": gathers, "MatMul": products - 1, "MatMulInteger": 1}
    assert found["int8_static"]["nodes"] == static
    graph = onnx.load(folder / FILES["int8"]).graph
    kinds = Counter(t.data_type for t in graph.initializer if len(t.dims) == 2)
    assert kinds.keys() <= {TensorProto.INT8, TensorProto.UINT8}


def test_the_metadata_states_errors_and_agreement_on_every_kind_of_past(made: Made) -> None:
    for precision, row in variants(made[2]).items():
        assert row["success"] and row["file"] == FILES[precision] and row["recipe"] == "q8_signed"
        assert row["calibration"]["text"]["name"] == "bundled corpus, training passages"
        padded, alone, behind = row["verification"]
        assert padded["case"].startswith("held-out text, 4 ×") and "behind" in behind["case"]
        shapes = dict(zip(("ids", "mask"), behind["input_shapes"], strict=False))
        assert shapes["ids"] == [4, 1] and shapes["mask"] == padded["input_shapes"][1]
        assert alone["input_shapes"][0][0] == 1
        for case in (padded, alone, behind):
            assert len(case["outputs"]) == 1 + 2 * LAYERS
            assert 0.5 < case["top1"] <= 1
            assert all(each["relative"] < each["bound"] for each in case["outputs"])
        assert padded["outputs"][0]["relative"] > 1e-4


def test_agreement_counts_the_places_that_are_no_padding(made: Made) -> None:
    """By hand, from what the file and PyTorch give for the case that the metadata names."""
    from oriel.modules.convert import NOTHING_WRITTEN, export_request
    from oriel.modules.named_model import model_spec
    from oriel.modules.prepared_module import prepare
    from oriel.modules.text_cases import measured_cases

    _, checkpoint, folder = made
    request = export_request(model_spec(str(checkpoint)), None, NOTHING_WRITTEN)
    assert request.reader is not None
    call = prepare(request).call
    padded = measured_cases(call, request.reader)[0]
    session = onnxruntime.InferenceSession(folder / FILES["int8"])
    feeds = {n: t.numpy() for n, t in zip(call.input_names, padded.inputs, strict=True)}
    got = session.run(["logits"], feeds)[0].argmax(-1)
    want = padded.outputs[0].numpy().argmax(-1)
    mask = feeds["attention_mask"] == 1
    assert not mask[0, 0] and mask[0, -1], "the first text is padded, before it"
    told = variants(folder)["int8"]["verification"][0]["top1"]
    assert told == pytest.approx((got == want)[mask].mean())
    assert told != pytest.approx((got == want).mean()), "padding would give another share"


def test_a_pipeline_has_rows_of_both_forms(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--formats", "onnx", "--precision", "int8,int8_static", "--rounds", "0", "--json"]
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        assert main(["pipeline", str(made[1]), *words, "--output", str(tmp_path / "out")]) == 0
    rows = {row["precision"]: row for row in json.loads(capsys.readouterr().out)[1:]}
    assert rows.keys() == {"fp32", "int8", "int8_static"}
    errors = {precision: row["proof"]["output"]["relative"] for precision, row in rows.items()}
    assert rows["fp32"]["verdict"] == "verified" and errors["fp32"] < 1e-4
    for precision, file in FILES.items():
        assert rows[precision]["file"] == f"onnx/{file}"
        assert rows[precision]["verdict"] == "measured" and errors[precision] > 1e-4
