"""Encoders of transformers are converted by their names alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from conftest import save_random
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    PreTrainedModel,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from oriel.cli import main
from oriel.modules.named_model import is_model

SIZES: dict[str, Any] = {
    "vocab_size": 61,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 36,
    "max_position_embeddings": 40,
}


def bert(of: Callable[[BertConfig], PreTrainedModel], labels: int = 3) -> PreTrainedModel:
    return of(BertConfig(**SIZES | {"num_labels": labels}))


def distil() -> PreTrainedModel:
    config = DistilBertConfig(
        vocab_size=61, dim=24, n_layers=2, n_heads=2, hidden_dim=36, max_position_embeddings=40
    )
    return DistilBertForSequenceClassification(config)


MODELS: dict[str, tuple[Callable[[], PreTrainedModel], list[str]]] = {
    "classes": (lambda: bert(BertForSequenceClassification), ["logits"]),
    "token classes": (lambda: bert(BertForTokenClassification), ["logits"]),
    "answers": (lambda: bert(BertForQuestionAnswering, 2), ["start_logits", "end_logits"]),
    "masked tokens": (lambda: bert(BertForMaskedLM), ["logits"]),
    "features": (lambda: bert(BertModel), ["last_hidden_state"]),
    # Counts positions from the padding token on, and has one kind of token.
    "roberta": (lambda: RobertaForSequenceClassification(RobertaConfig(**SIZES)), ["logits"]),
    # Has no kinds of tokens.
    "distilbert": (distil, ["logits"]),
}


@pytest.fixture(scope="module", params=sorted(MODELS))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoders") / request.param.replace(" ", "-")
    return save_random(MODELS[request.param][0](), folder)


def converted(folder: Path, out: Path, formats: str = "onnx") -> None:
    assert main(["convert", str(folder), "--format", formats, "--output", str(out)]) == 0


def test_a_padded_batch_of_another_size_gives_what_transformers_gives(
    case: Path, tmp_path: Path
) -> None:
    converted(case, tmp_path / "out")
    session = onnxruntime.InferenceSession(tmp_path / "out" / "onnx" / "model.onnx")
    inputs = {value.name: value.shape for value in session.get_inputs()}
    assert all(shape == ["batch_size", "sequence_length"] for shape in inputs.values())
    draw = torch.Generator().manual_seed(1)
    feed = {
        "input_ids": torch.randint(0, 61, (4, 11), generator=draw),
        "attention_mask": torch.ones((4, 11), dtype=torch.long),
        "token_type_ids": torch.zeros((4, 11), dtype=torch.long),
    }
    feed["attention_mask"][2, 6:] = 0
    feed = {name: value for name, value in feed.items() if name in inputs}
    assert feed.keys() == inputs.keys()
    names = [value.name for value in session.get_outputs()]
    label = case.name.replace("-", " ")
    assert names == MODELS[label][1]
    stock: Any = type(MODELS[label][0]()).from_pretrained(case).train(False)
    with torch.no_grad():
        truth = stock(**feed)
    got = session.run(names, {name: value.numpy() for name, value in feed.items()})
    for name, value in zip(names, got, strict=True):
        torch.testing.assert_close(torch.from_numpy(value), truth[name], rtol=1e-4, atol=2e-5)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random(bert(BertForSequenceClassification), tmp_path_factory.mktemp("bert") / "b")


def test_other_formats_and_the_config_in_the_metadata(classifier: Path, tmp_path: Path) -> None:
    converted(classifier, tmp_path / "out", "ts,pt2")
    data = json.loads((tmp_path / "out" / "metadata.json").read_text(encoding="utf-8"))
    assert data["export_success"] == {"ts": True, "pt2": True}
    assert data["config"]["hidden_size"] == 24 and data["config"]["model_type"] == "bert"
    assert [row["name"] for row in data["signature"]["inputs"]] == [
        *("input_ids", "attention_mask", "token_type_ids")
    ]


def test_a_pickle_of_tensors_alone_is_read(classifier: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pickled"
    folder.mkdir()
    (folder / "config.json").write_bytes((classifier / "config.json").read_bytes())
    torch.save(load_file(classifier / "model.safetensors"), folder / "pytorch_model.bin")
    converted(folder, tmp_path / "out", "ts")


def refused(folder: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["convert", str(folder), "--format", "ts", "--output", str(out)]) == 2
    assert not out.exists()
    return checked_line(capsys.readouterr().err.strip().splitlines()[-1])


@pytest.fixture
def damaged(classifier: Path, tmp_path: Path) -> Callable[..., Path]:
    """Make a copy with changes of the config and of the tensors."""

    def make(change: Callable[[dict[str, torch.Tensor]], None], **config: object) -> Path:
        folder = tmp_path / "damaged"
        folder.mkdir()
        data = json.loads((classifier / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps(data | config), encoding="utf-8")
        tensors = load_file(classifier / "model.safetensors")
        change(tensors)
        save_file(tensors, folder / "model.safetensors", {"format": "pt"})
        return folder

    return make


def test_tensors_that_do_not_fit_are_named(
    damaged: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = refused(damaged(lambda t: t.pop("classifier.weight")), tmp_path / "out", capsys)
    assert "missing: classifier.weight" in line


def test_tensors_that_nothing_reads_are_named(
    damaged: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = damaged(lambda t: t.update({"classifier.extra": torch.ones(2)}))
    assert "unexpected: classifier.extra" in refused(folder, tmp_path / "out", capsys)


def test_a_tensor_of_another_shape_is_named(
    damaged: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = damaged(lambda t: t.update({"classifier.bias": torch.ones(5)}))
    assert "classifier.bias" in refused(folder, tmp_path / "out", capsys)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["BertForPreTraining"], "for no task that is known"),
        (["BertConfig"], "names no model of transformers"),
        (["os"], "names no model of transformers"),
        ([], "names no model of transformers"),
    ],
)
def test_another_kind_of_model_is_refused(
    names: list[str],
    said: str,
    damaged: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = damaged(lambda _: None, architectures=names)
    assert said in refused(folder, tmp_path / "out", capsys)


def test_what_is_a_model_and_what_a_spec(classifier: Path, tmp_path: Path) -> None:
    assert is_model(str(classifier))
    assert is_model("google-bert/bert-base-uncased") and is_model("bert-base-uncased")
    (tmp_path / "specs").mkdir()
    for place in ("specs", "specs/missing", "specs/spec.py", "specs/spec.py:NAME", "spec.py:NAME"):
        assert not is_model(str(tmp_path / place)), place
