"""A bundle of an encoder in every precision: its texts, edits and files, beside transformers, and
what it refuses since it has no cache. Its graphs are compared in test_architectures.py."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from library_programs import LIBRARIES, run_node, run_python
from make_tiny_bert import make_tiny_bert
from safetensors.numpy import load
from torch import Tensor
from transformers import AutoTokenizer, BertForMaskedLM

from oriel import Add, Bundle, KnockOut, Scale
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.errors import OptionError, OrielError
from oriel.export_bundle import export
from oriel.notebook.record import Asked, analysis_record
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.proof.prove import ProofOptions, prove
from oriel.publishing.first_pass import compute_first_pass
from oriel.publishing.library_layout import write_library_layout
from oriel.verification.verify import verify

TEXTS = ("the cat [MASK] on the mat", "a dog ran.")
PRECISIONS = ("fp32", "f16", "q8", "q4", "fp16", "int8", "int8_static", "int4")
VECTOR = np.random.default_rng(3).normal(size=48).astype(np.float32)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny-bert")
    make_tiny_bert(folder)
    return folder


@pytest.fixture(scope="module")
def bundle(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    output = tmp_path_factory.mktemp("bundles") / "model.onnx"
    options = ExportOptions(
        model=str(checkpoint), output=output, precision=PRECISIONS, allow_lossy=True
    )
    with Bundle(export(options, Silent()).folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def stock(checkpoint: Path) -> BertForMaskedLM:
    model: BertForMaskedLM = BertForMaskedLM.from_pretrained(
        checkpoint, attn_implementation="eager"
    ).requires_grad_(False)
    return model


def close(got: np.ndarray[Any, Any], want: Tensor) -> None:
    np.testing.assert_allclose(got, want.numpy(), rtol=0, atol=1e-4)


def test_every_variant_is_verified(bundle: Bundle, checkpoint: Path) -> None:
    report = verify(bundle.folder, checkpoint)
    assert report.passed, report.failures
    assert [variant.name for variant in report.variants] == list(PRECISIONS)


def test_a_text_is_fed_as_transformers_feeds_it(bundle: Bundle, checkpoint: Path) -> None:
    own = AutoTokenizer.from_pretrained(checkpoint)
    for text in TEXTS:
        assert bundle.encode(text) == own(text)["input_ids"]
    files = read_manifest(bundle.folder).data["tokenizer"]
    assert files["last_tokens"] == [own.sep_token_id]
    assert files["mask_token"] == own.mask_token_id


def test_texts_of_unequal_lengths_are_as_alone(bundle: Bundle, stock: BertForMaskedLM) -> None:
    texts = [bundle.encode(text) for text in TEXTS]
    assert len(texts[0]) != len(texts[1])
    run = bundle.run(texts, activations=["attn_probs"])
    for row, ids in enumerate(texts):
        want = stock(torch.tensor([ids]), output_attentions=True)
        close(run.logits[row, -len(ids) :], want.logits[0])
        part = run["layer_1_attn_probs"][row, :, -len(ids) :, -len(ids) :]
        close(part, want.attentions[1][0])


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("attn_output", "attention.output.dense"),
        ("resid_mid", "attention.output.LayerNorm"),
        ("mlp_output", "output.dense"),
        ("resid_post", ""),
    ],
)
def test_an_edit_acts_as_the_hook_in_pytorch(
    bundle: Bundle, stock: BertForMaskedLM, kind: str, path: str
) -> None:
    """The stream is normed after each sum: what is added to a part is normed, and to it is not."""
    ids = bundle.encode(TEXTS[0])
    module = stock.get_submodule("bert.encoder.layer.0").get_submodule(path)

    def add(_module: object, _inputs: object, out: Tensor) -> Tensor:
        out = out.clone()
        out[:, 2] += torch.from_numpy(VECTOR)
        return out

    handle = module.register_forward_hook(add)
    want = stock(torch.tensor([ids])).logits
    handle.remove()
    got = bundle.run(ids, edits=[Add(kind, layer=0, vector=VECTOR, position=2)]).logits
    close(got, want)
    assert np.abs(got - bundle.run(ids).logits).max() > 0.01


def test_a_head_and_a_later_token_are_switched_off(bundle: Bundle, stock: BertForMaskedLM) -> None:
    ids = bundle.encode(TEXTS[0])
    matrix = stock.get_submodule("bert.encoder.layer.1.attention.output.dense")
    handle = matrix.register_forward_pre_hook(
        lambda _m, given: (torch.cat([given[0][..., :12] * 0, given[0][..., 12:]], dim=-1),)
    )
    want = stock(torch.tensor([ids])).logits
    handle.remove()
    close(bundle.run(ids, edits=[Scale("attn_z", layer=1, head=0, factor=0)]).logits, want)
    off = KnockOut(layer=0, head=2, query=1, key=5)
    probs = bundle.run(ids, activations=["attn_probs"], edits=[off])["layer_0_attn_probs"][0, 2, 1]
    assert probs[5] == 0 and probs.sum() == pytest.approx(1)


def test_nothing_is_generated_or_cached(bundle: Bundle, checkpoint: Path, tmp_path: Path) -> None:
    for ask in (lambda: bundle.generate(TEXTS[0], 2), lambda: bundle.run(TEXTS[0], cache=True)):
        with pytest.raises(OptionError, match="no cache and continues no text"):
            ask()
    output = tmp_path / "static" / "model.onnx"
    options = ExportOptions(model=str(checkpoint), output=output, static_cache=16)
    with pytest.raises(OrielError, match="has no cache"):
        export(options, Silent())
    assert not output.parent.exists()
    assert "attribution" not in bundle.record
    files = {file.name for file in bundle.folder.iterdir()}
    assert "config.json" in files and "generation_config.json" not in files
    config = json.loads((bundle.folder / "config.json").read_text("utf-8"))
    assert config["architectures"] == ["BertForMaskedLM"]


def test_the_first_pass_shows_the_mask(bundle: Bundle, stock: BertForMaskedLM) -> None:
    manifest = read_manifest(bundle.folder).data
    made = compute_first_pass(bundle.folder, manifest, TEXTS[0])
    assert made.data is not None
    arrays = load(made.data)
    ids = bundle.encode(TEXTS[0])
    assert arrays["input_ids"].tolist() == [ids]
    close(arrays["logits"][0], stock(torch.tensor([ids])).logits[0, 3:4])


def test_the_bundle_is_proven_with_padding(bundle: Bundle, checkpoint: Path) -> None:
    record = prove(str(checkpoint), str(bundle.folder), ProofOptions())
    assert record["verdict"] == "same"
    assert any("padded" in case["name"] for case in record["cases"])


def test_a_saved_analysis_shows_the_mask(bundle: Bundle, stock: BertForMaskedLM) -> None:
    ids = tuple(bundle.encode(TEXTS[0]))
    asked = Asked(ids, len(ids), TEXTS[0], ("layer_1_attn_probs",), "logit", ())
    record = analysis_record(bundle, asked, "", None)
    assert record["tokenizer"] == {"mask_token": 4, "last_tokens": [3]}
    arrays = load(gzip.decompress(base64.b64decode(record["tensors"])))
    close(arrays["logits"][0], stock(torch.tensor([ids])).logits[0, 3:4])


def test_no_lens_is_fitted(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "lens.safetensors"
    assert main(["fit-lens", "--model", str(checkpoint), "--output", str(output)]) != 0
    assert "predictions of the next token" in capsys.readouterr().err
    assert not output.exists()


@pytest.fixture(scope="module")
def library_folder(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("libraries") / "tiny-bert"
    write_library_layout(bundle.folder, folder, Silent())
    return folder


def test_other_libraries_get_no_settings_of_generation(library_folder: Path) -> None:
    files = {file.name for file in library_folder.iterdir() if file.is_file()}
    assert files == {"config.json", "tokenizer.json", "tokenizer_config.json"}
    settings = json.loads((library_folder / "tokenizer_config.json").read_text("utf-8"))
    assert settings["mask_token"] == "[MASK]"


@pytest.mark.slow
@pytest.mark.skipif("ORIEL_LIBRARIES" not in os.environ, reason="ORIEL_LIBRARIES names none")
def test_other_libraries_compute_what_transformers_does(
    library_folder: Path, checkpoint: Path, stock: BertForMaskedLM
) -> None:
    """Texts of unequal lengths, which both libraries pad."""
    asked = {
        **{"folder": str(library_folder), "task": "MaskedLM", "outputs": ["logits"]},
        **{"texts": TEXTS, "pairs": None, "file": None, "dtype": "fp32"},
    }
    fed = AutoTokenizer.from_pretrained(checkpoint)(TEXTS, padding=True, return_tensors="pt")
    want, seen = stock(**fed).logits, fed["attention_mask"].bool()
    home = LIBRARIES / "transformers_js"
    for (got,) in (
        run_node("transformers_js_encodes.mjs", [asked], home),
        run_python("optimum_encodes.py", [asked], "optimum"),
    ):
        assert got["input_ids"] == fed["input_ids"].tolist()
        close(np.array(got["logits"], np.float32)[seen.numpy()], want[seen])
