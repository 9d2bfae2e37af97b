"""The folder that an encoder is converted to: the files that other libraries read, the places where
they look, and what never goes into it. The libraries themselves run in test_library_encoders.py."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from conftest import save_random
from test_encoder_spec import SIZES
from tokenizer_folders import wordpiece
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertForSequenceClassification
from verify_here import verify_here

from oriel.cli import main
from oriel.tokenizers import checkpoint_files

TEXTS = ["the ferry left.", "word a b x the 中 words, left the ferry"]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """BERT with a tokenizer, and with things that no folder of files must take over."""
    folder = tmp_path_factory.mktemp("encoder") / "bert"
    config = BertConfig(**SIZES, id2label={0: "calm", 1: "storm"}, label2id={"calm": 0, "storm": 1})
    save_random(BertForSequenceClassification(config), folder)
    wordpiece(folder)
    settings = {"do_lower_case": True, "auto_map": {"AutoTokenizer": ["code.Mine", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    told = json.loads((folder / "config.json").read_text())
    told |= {"auto_map": {"AutoModel": "code.Mine"}, "_name_or_path": "somewhere/private"}
    (folder / "config.json").write_text(json.dumps(told))
    (folder / "code.py").write_text("raise SystemExit('the code of a checkpoint was run')")
    (folder / "README.md").write_text("a card")
    return folder


@pytest.fixture(scope="module")
def folder(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "bert"
    assert convert(checkpoint, out, "onnx,ts") == 0
    return out


def convert(checkpoint: Path, out: Path, formats: str = "ts") -> int:
    with pytest.MonkeyPatch.context() as patch:
        verify_here(patch)
        return main(["convert", str(checkpoint), "--format", formats, "--output", str(out)])


def test_its_files_lie_where_other_libraries_look(folder: Path) -> None:
    files = {f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file()}
    own = {"metadata.json", "model.ts"}
    assert files - own == {
        *("config.json", "tokenizer.json", "tokenizer_config.json", "onnx/model.onnx")
    }


def test_padded_texts_give_pytorch_s_numbers_from_the_folder_alone(
    checkpoint: Path, folder: Path
) -> None:
    fed = AutoTokenizer.from_pretrained(folder)(TEXTS, padding=True, return_tensors="pt")
    original = AutoTokenizer.from_pretrained(checkpoint)(TEXTS, padding=True, return_tensors="pt")
    assert fed["input_ids"].tolist() == original["input_ids"].tolist()
    assert fed["attention_mask"].tolist() == original["attention_mask"].tolist()
    assert 0 in fed["attention_mask"][0]
    session = onnxruntime.InferenceSession(folder / "onnx" / "model.onnx")
    feeds = {port.name: fed[port.name].numpy() for port in session.get_inputs()}
    assert feeds.keys() == {"input_ids", "attention_mask", "token_type_ids"}
    (logits,) = session.run(["logits"], feeds)
    model = BertForSequenceClassification.from_pretrained(checkpoint).train(False)
    with torch.no_grad():
        want = model(**original).logits
    torch.testing.assert_close(torch.from_numpy(logits), want, rtol=1e-4, atol=2e-5)


def test_its_config_says_what_the_model_is_and_names_no_code(folder: Path) -> None:
    config = AutoConfig.from_pretrained(folder)
    assert config.architectures == ["BertForSequenceClassification"]
    assert config.id2label == {0: "calm", 1: "storm"} and config.hidden_size == 24
    told = json.loads((folder / "config.json").read_text())
    # Without a file for it, a browser must not ask for q8.
    assert told["transformers.js_config"] == {"dtype": "fp32"}
    for name in ("config.json", "tokenizer_config.json", "tokenizer.json"):
        text = (folder / name).read_text()
        assert "auto_map" not in text and "code.Mine" not in text and "private" not in text
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    # The checkpoint names none; JavaScript takes the token types from it.
    assert settings["tokenizer_class"] == "BertTokenizer"


def test_the_metadata_names_every_file_with_its_digest(folder: Path) -> None:
    data = json.loads((folder / "metadata.json").read_text())
    rows = {row["file"]: row for row in data["library_files"]}
    assert rows.keys() == {"config.json", "tokenizer.json", "tokenizer_config.json"}
    rows |= {row["file"]: row for row in data["exports"]}
    for name, row in rows.items():
        held = (folder / name).read_bytes()
        assert row["bytes"] == len(held)
        assert row["sha256"] == hashlib.sha256(held).hexdigest()
    assert {"onnx/model.onnx", "model.ts"} < rows.keys()


def test_a_later_export_takes_the_folder_s_place(
    checkpoint: Path, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the tokenizer: nothing of the earlier export may stay."""
    folder = shutil.copytree(folder, tmp_path / "out")
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).write_bytes((checkpoint / name).read_bytes())
    assert convert(bare, folder) == 0
    files = {f.relative_to(folder).as_posix() for f in folder.rglob("*")}
    assert files == {"config.json", "metadata.json", "model.ts"}
    assert "transformers.js_config" not in json.loads((folder / "config.json").read_text())
    (folder / "tokenizer.json").write_text("{}")
    capsys.readouterr()
    assert convert(bare, folder) == 2
    assert "tokenizer.json" in checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert (folder / "tokenizer.json").read_text() == "{}"


@pytest.mark.parametrize("name", ["onnx/notes.txt", "onnx/more/model.onnx", "onnx/model.txt"])
def test_a_folder_of_graphs_with_something_else_is_left_alone(
    name: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "metadata.json").write_text("{}")
    (tmp_path / name).parent.mkdir(parents=True)
    (tmp_path / name).write_text("mine")
    assert convert(checkpoint, tmp_path) == 2
    assert "onnx" in checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert (tmp_path / name).read_text() == "mine"


def test_a_tokenizer_s_file_of_another_size_than_any_is_refused(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(checkpoint_files, "_MAX_BYTES", 20)
    assert convert(checkpoint, tmp_path / "out") == 2
    line = checked_line(capsys.readouterr().err.strip().splitlines()[-1])
    assert "vocab.txt in bert is too large" in line
    assert not (tmp_path / "out").exists()


def test_another_model_s_tokenizer_is_left_out_and_told(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bert"
    folder.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer_config.json"):
        (folder / name).write_bytes((checkpoint / name).read_bytes())
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{at}" for at in range(100))]
    (folder / "vocab.txt").write_text("\n".join(words))
    assert convert(folder, tmp_path / "out") == 0
    data = json.loads((tmp_path / "out" / "metadata.json").read_text())
    assert [row["file"] for row in data["library_files"]] == ["config.json"]
    assert any("no tokenizer was written" in note and "vocab.txt" in note for note in data["notes"])
    assert not (tmp_path / "out" / "tokenizer.json").exists()
