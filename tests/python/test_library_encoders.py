"""Open the folder of `oriel convert ENCODER --format onnx` with transformers.js and with Optimum,
unchanged, and hold what they compute to transformers in PyTorch. `make test-libraries` installs
them and names their folder in ORIEL_LIBRARIES; without it these tests are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import save_random
from library_programs import LIBRARIES, NEEDS_LIBRARIES, run_node, run_python
from tokenizer_folders import TEXT, template_around, wordpiece
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from oriel.cli import main

pytestmark = NEEDS_LIBRARIES
SIZES: dict[str, Any] = {
    "vocab_size": 300,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 70,
}
SHORT, LONG = "the ferry left.", "word a b x the 中 words, left the ferry"


@dataclass(frozen=True)
class Encoder:
    """A kind of model, for a task as both libraries call it."""

    task: str
    outputs: tuple[str, ...]
    pairs: bool = False


ENCODERS = {
    "bert-features": Encoder("FeatureExtraction", ("last_hidden_state",)),
    "bert-masked": Encoder("MaskedLM", ("logits",)),
    "bert-tokens": Encoder("TokenClassification", ("logits",)),
    # The second text of a pair is of another token type.
    "bert-answers": Encoder("QuestionAnswering", ("start_logits", "end_logits"), pairs=True),
    "roberta-classes": Encoder("SequenceClassification", ("logits",)),
    "distilbert-classes": Encoder("SequenceClassification", ("logits",)),
}


def model_of(name: str) -> PreTrainedModel:
    if name.startswith("roberta"):
        return RobertaForSequenceClassification(RobertaConfig(**SIZES, pad_token_id=1))
    if name.startswith("distilbert"):
        config = DistilBertConfig(
            vocab_size=300, dim=24, n_layers=2, n_heads=2, hidden_dim=36, max_position_embeddings=70
        )
        return DistilBertForSequenceClassification(config)
    made: dict[str, type[PreTrainedModel]] = {
        "bert-features": BertModel,
        "bert-masked": BertForMaskedLM,
        "bert-tokens": BertForTokenClassification,
        "bert-answers": BertForQuestionAnswering,
    }
    more: dict[str, Any] = {"num_labels": 2 if name == "bert-answers" else 3}
    return made[name](BertConfig(**SIZES, **more))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoints in `from`, and what was made of them in `to`."""
    root = tmp_path_factory.mktemp("encoders")
    for name in ENCODERS:
        folder = save_random(model_of(name), root / "from" / name)
        if name.startswith("roberta"):
            template_around(folder)
            with_pad(folder)
        else:
            wordpiece(folder)
            if name == "bert-answers":
                # As old checkpoints have it: the class follows from the model's kind.
                (folder / "tokenizer_config.json").write_text('{"do_lower_case": true}')
        words = ["--format", "onnx", "--precision", "int8,int8_static"]
        assert main(["convert", str(folder), *words, "--output", str(root / name)]) == 0
    return root


def with_pad(folder: Path) -> None:
    settings = folder / "tokenizer_config.json"
    settings.write_text(settings.read_text().replace("}", ', "pad_token": "<b>"}'))


def asked(folders: Path, name: str, file: str = "model", dtype: str = "fp32") -> dict[str, Any]:
    encoder = ENCODERS[name]
    texts = [TEXT[0][:20], TEXT[1]] if name.startswith("roberta") else [SHORT, LONG]
    return {
        "folder": str(folders / name),
        "task": encoder.task,
        "file": None if file == "model" else f"{file}.onnx",
        "dtype": dtype,
        "texts": texts,
        "pairs": [texts[1]] * 2 if encoder.pairs else None,
        "outputs": encoder.outputs,
    }


def in_pytorch(folders: Path, request: dict[str, Any], name: str) -> dict[str, Any]:
    checkpoint = folders / "from" / name
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    texts = [request["texts"]] + ([request["pairs"]] if request["pairs"] else [])
    fed = tokenizer(*texts, padding=True, return_tensors="pt")
    assert 0 in fed["attention_mask"] and len(fed["input_ids"]) == 2
    model: Any = type(model_of(name)).from_pretrained(checkpoint).train(False)
    with torch.no_grad():
        made = model(**fed)
    return {"input_ids": fed["input_ids"], **{key: made[key] for key in request["outputs"]}}


def check_same(folders: Path, requests: list[dict[str, Any]], made: list[Any]) -> None:
    for name, request, got in zip(ENCODERS, requests, made, strict=True):
        want = in_pytorch(folders, request, name)
        assert got["input_ids"] == want["input_ids"].tolist(), name
        for key in request["outputs"]:
            np.testing.assert_allclose(
                np.array(got[key]), want[key].numpy(), rtol=1e-4, atol=2e-5, err_msg=name
            )


def check_near(folders: Path, requests: list[dict[str, Any]], made: list[Any]) -> None:
    """Hold int8 forms to PyTorch, and away from the float32 file."""
    for name, request, got in zip(ENCODERS, requests, made, strict=True):
        want = in_pytorch(folders, request, name)
        assert got["input_ids"] == want["input_ids"].tolist(), name
        for key in request["outputs"]:
            truth = want[key].numpy()
            error = np.abs(np.array(got[key]) - truth).max() / np.abs(truth).max()
            assert 1e-4 < error < 0.25, f"{name}: {error}"


FORMS = [("model_quantized", "q8"), ("model_int8", "int8")]


@pytest.mark.parametrize(("file", "dtype"), FORMS)
def test_transformers_js_opens_int8_forms(folders: Path, file: str, dtype: str) -> None:
    requests = [asked(folders, name, file, dtype) for name in ENCODERS]
    home = LIBRARIES / "transformers_js"
    check_near(folders, requests, run_node("transformers_js_encodes.mjs", requests, home))


@pytest.mark.parametrize(("file", "dtype"), FORMS)
def test_optimum_opens_int8_forms(folders: Path, file: str, dtype: str) -> None:
    requests = [asked(folders, name, file, dtype) for name in ENCODERS]
    check_near(folders, requests, run_python("optimum_encodes.py", requests, "optimum"))


def test_transformers_js_computes_what_transformers_does(folders: Path) -> None:
    """Nothing but the name is given, as a user does: Node then takes float32."""
    requests = [asked(folders, name) | {"dtype": None} for name in ENCODERS]
    home = LIBRARIES / "transformers_js"
    check_same(folders, requests, run_node("transformers_js_encodes.mjs", requests, home))


def test_optimum_computes_what_transformers_does(folders: Path) -> None:
    requests = [asked(folders, name) for name in ENCODERS]
    check_same(folders, requests, run_python("optimum_encodes.py", requests, "optimum"))
