"""The example that is computed beforehand: numbers of the model itself, sent once, and never in the
way of publishing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from contract_examples import CONTRACTS
from publish_bundles import digest, make_bundle, read_file, weights_of
from safetensors import safe_open
from safetensors.numpy import load
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import GPT2LMHeadModel

from oriel.bundle.token_bytes import TokenBytes
from oriel.cli import main
from oriel.errors import OptionError
from oriel.progress import Silent
from oriel.publishing import first_pass, publish
from oriel.publishing.first_pass import FIRST_PASS, MAX_TOKENS, Example
from oriel.publishing.prune import prune
from oriel.publishing.publish import Published
from oriel.publishing.to_folder import FolderPlace
from story_gpt2.weights_folder import WEIGHTS_FOLDER

IDS = "5 17 5 100 2 5"
WORDS = ("the", "model", "writes", "words")


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(str(tmp_path / "published"))


@pytest.fixture(scope="session")
def spelling_bundle(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny bundle with a tokenizer of four words."""
    folder = tmp_path_factory.mktemp("bundles") / "spelling"
    shutil.copytree(tiny_gpt2_bundle, folder)
    tokenizer = Tokenizer(models.WordLevel({word: n + 7 for n, word in enumerate(WORDS)}, "the"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text("{}", encoding="utf-8")
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    manifest["tokenizer"] = {"tokenizer": "tokenizer.json", "config": "tokenizer_config.json"}
    for name in ("tokenizer.json", "tokenizer_config.json"):
        data = (folder / name).read_bytes()
        sizes = {"bytes": len(data), "digest": digest(data)}
        manifest["files"].append({"path": name, "media_type": "application/json", **sizes})
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


def send(
    bundle: Path, place: FolderPlace, prompt: str | None = None, version: str = "1.0.0"
) -> Published:
    return publish.publish(bundle, place, version, Silent(), example=Example(prompt))


def manifest_at(place: FolderPlace) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((place.folder / "manifest.json").read_text("utf-8"))
    return found


def pass_at(place: FolderPlace) -> dict[str, np.ndarray[Any, Any]]:
    """Its tensors, every byte checked on the way."""
    manifest = manifest_at(place)
    path = manifest["first_pass"]["path"]
    (file,) = (file for file in manifest["files"] if file["path"] == path)
    return load(read_file(lambda name: (place.folder / name).read_bytes(), file))


def test_it_holds_what_pytorch_computes(
    tiny_gpt2_checkpoint: Path, tiny_gpt2_bundle: Path, place: FolderPlace
) -> None:
    send(tiny_gpt2_bundle, place, IDS)
    found = pass_at(place)
    ids = np.array([[int(word) for word in IDS.split()]])
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint, attn_implementation="eager")
    with torch.no_grad():
        out = model(
            torch.from_numpy(ids),
            output_attentions=True,
            output_hidden_states=True,
            use_cache=False,
        )
    near: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}
    assert found["input_ids"].tolist() == ids.tolist()
    np.testing.assert_allclose(found["logits"], out.logits[:, -1:].numpy(), **near)
    for layer in (0, 2):
        theirs = out.attentions[layer].numpy()
        np.testing.assert_allclose(found[f"layer_{layer}_attn_probs"], theirs, **near)
        after = out.hidden_states[layer + 1].numpy()
        np.testing.assert_allclose(found[f"layer_{layer}_resid_post"], after, **near)
    manifest = manifest_at(place)
    outputs = manifest["variants"][0]["plain"]["activations"]["outputs"]
    assert found.keys() == {"input_ids", *(output["name"] for output in outputs)}
    record = manifest["first_pass"]
    assert (record["variant"], record["prompt"]) == ("fp32", IDS)
    assert record["runtime"].startswith("ONNX Runtime ")


def test_the_file_says_what_it_is(tiny_gpt2_bundle: Path, place: FolderPlace) -> None:
    send(tiny_gpt2_bundle, place, IDS)
    manifest = manifest_at(place)
    (file,) = (file for file in manifest["files"] if file["path"] == FIRST_PASS)
    with safe_open(place.folder / file["chunks"][0]["path"], "np") as opened:
        document = json.loads(opened.metadata()["oriel.first_pass"])
    assert document["weights"] == manifest["model"]["weights_digest"]
    assert document["prompt"] == IDS


def test_it_tells_the_bytes_of_every_token_that_a_view_names(
    spelling_bundle: Path, place: FolderPlace
) -> None:
    send(spelling_bundle, place, "the model writes")
    found = pass_at(place)
    assert found["input_ids"].tolist() == [[7, 8, 9]]
    ends = found["piece_ends"].tolist()
    text = found["piece_bytes"].tobytes()
    spans = zip([0, *ends], ends, strict=False)
    pieces = dict(
        zip(found["piece_ids"].tolist(), (text[a:b].decode() for a, b in spans), strict=True)
    )
    # Words of this vocabulary stand between spaces, which are in no entry of it.
    assert [pieces[token] for token in (7, 8, 9)] == [" the", " model", " writes"]
    best = np.argsort(-found["logits"][0, -1])[: first_pass.LISTED_TOKENS]
    assert pieces.keys() == {7, 8, 9, *best.tolist()}
    # What the vocabulary lacks has no bytes.
    assert {pieces[token] for token in pieces if token > 10} == {""}


def test_publishing_again_computes_nothing_and_sends_nothing(
    tiny_gpt2_bundle: Path, place: FolderPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(tiny_gpt2_bundle, place, IDS)

    def computed(*_: Any) -> None:
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr(publish, "compute_first_pass", computed)
        for version in ("1.0.0", "2.0.0"):
            again = send(tiny_gpt2_bundle, place, IDS, version)
            assert all("chunks/" not in name for name in again.sent)
            assert again.sent == [] or version == "2.0.0"
        with pytest.raises(AssertionError, match="computed again"):
            send(tiny_gpt2_bundle, place, "5 17", "3.0.0")


def test_two_computations_give_the_same_bytes(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    sent = [send(tiny_gpt2_bundle, FolderPlace(str(tmp_path / n)), IDS) for n in ("a", "b")]
    assert sent[0].manifest == sent[1].manifest


def test_other_weights_are_computed_anew(
    tiny_gpt2_bundle: Path, tmp_path: Path, place: FolderPlace
) -> None:
    send(tiny_gpt2_bundle, place, IDS)
    first = pass_at(place)
    other = tmp_path / "other"
    shutil.copytree(tiny_gpt2_bundle, other)
    manifest = json.loads((other / "manifest.json").read_text("utf-8"))
    (file,) = (file for file in manifest["files"] if file["path"] == "model.onnx.data")
    weights = np.fromfile(other / file["path"], dtype="<f4") * np.float32(0.5)
    weights.tofile(other / file["path"])
    file["digest"] = digest(weights.tobytes())
    (other / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    send(other, place, IDS, "2.0.0")
    assert not np.allclose(pass_at(place)["logits"], first["logits"])


def test_one_that_was_lost_is_computed_again(tiny_gpt2_bundle: Path, place: FolderPlace) -> None:
    send(tiny_gpt2_bundle, place, IDS)
    (file,) = (file for file in manifest_at(place)["files"] if file["path"] == FIRST_PASS)
    (place.folder / file["chunks"][0]["path"]).unlink()
    assert send(tiny_gpt2_bundle, place, IDS).sent == [file["chunks"][0]["path"]]
    assert pass_at(place)["input_ids"].size == 6


def test_pruning_keeps_it_while_a_manifest_names_it(
    tiny_gpt2_bundle: Path, place: FolderPlace
) -> None:
    send(tiny_gpt2_bundle, place, IDS)
    assert prune(place, True).names == ()


@pytest.mark.parametrize("name", ["q4", "int8"])
def test_a_variant_whose_weights_are_encoded_gives_its_own_numbers(
    quantized_gpt2_bundle: Path, tiny_gpt2_bundle: Path, tmp_path: Path, name: str
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(quantized_gpt2_bundle, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["variants"] = [v for v in manifest["variants"] if v["name"] == name]
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    place, exact = FolderPlace(str(tmp_path / "a")), FolderPlace(str(tmp_path / "b"))
    assert send(bundle, place, IDS).manifest["first_pass"]["variant"] == name
    send(tiny_gpt2_bundle, exact, IDS)
    ours, theirs = pass_at(place)["logits"].reshape(-1), pass_at(exact)["logits"].reshape(-1)
    assert not np.allclose(ours, theirs, rtol=1e-4)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.8


def test_without_a_word_the_example_is_the_pages_own_first_text(
    spelling_bundle: Path, tiny_gpt2_bundle: Path, tmp_path: Path
) -> None:
    text = json.loads((CONTRACTS / "first_prompt.json").read_text("utf-8"))["text"]
    assert send(spelling_bundle, FolderPlace(str(tmp_path / "a"))).manifest["first_pass"][
        "prompt"
    ] == (text)
    place = FolderPlace(str(tmp_path / "b"))
    assert send(tiny_gpt2_bundle, place).manifest["first_pass"]["prompt"] == "0 1 2 3 4 5 6 7"


def test_a_bundle_that_cannot_be_run_is_published_without_one(
    tmp_path: Path, place: FolderPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = make_bundle(tmp_path / "bundle", weights_of())
    assert main(["publish", str(bundle), "--to", place.address]) == 0
    assert "nothing was computed beforehand: " in capsys.readouterr().out
    assert "first_pass" not in manifest_at(place)


def test_numbers_that_are_no_numbers_are_not_published(
    tiny_gpt2_bundle: Path, tmp_path: Path, place: FolderPlace
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(tiny_gpt2_bundle, bundle)
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    (file,) = (file for file in manifest["files"] if file["path"] == "model.onnx.data")
    weights = np.full(file["bytes"] // 4, np.nan, dtype="<f4")
    weights.tofile(bundle / file["path"])
    file["digest"] = digest(weights.tobytes())
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    published = send(bundle, place)
    assert "first_pass" not in published.manifest
    assert "NaN" in (published.no_first_pass or "")


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("the model", "token ids with spaces between"),
        ("-1 2", "token ids with spaces between"),
        ("", "0 tokens"),
        ("101", "token 101"),
        (" ".join("1" * 33), "33 tokens"),
        ("1 " * 2000, "4000 characters"),
    ],
)
def test_an_example_that_does_not_fit_is_refused(
    tiny_gpt2_bundle: Path, place: FolderPlace, prompt: str, said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        send(tiny_gpt2_bundle, place, prompt)
    assert not place.folder.exists()


def test_one_that_is_too_large_is_not_sent(
    tiny_gpt2_bundle: Path, place: FolderPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "MAX_BYTES", 1000)
    with pytest.raises(OptionError, match="too large"):
        send(tiny_gpt2_bundle, place, IDS)
    assert "too large" in (send(tiny_gpt2_bundle, place).no_first_pass or "")


def test_the_command_line(
    tiny_gpt2_bundle: Path, place: FolderPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["publish", str(tiny_gpt2_bundle), "--to", place.address]
    assert main([*words, "--no-first-pass", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["first_pass"] is None
    assert main([*words, "--example-prompt", IDS]) == 0
    assert f'computed beforehand with fp32: "{IDS}"' in capsys.readouterr().out
    assert main([*words, "--example-prompt", IDS, "--no-first-pass"]) == 2
    assert "exclude each other" in capsys.readouterr().err


def test_bytes_of_tokens_are_those_that_the_text_is_made_of() -> None:
    tokens = TokenBytes(WEIGHTS_FOLDER / "tokenizer.json")
    text = 'naïve "日本" 🙂\n\ttwo  words'
    assert b"".join(tokens.of(token) for token in tokens.encode(text)) == text.encode()
    assert tokens.of(10**6) == b""


def test_bytes_of_tokens_as_sentencepiece_writes_them(tmp_path: Path) -> None:
    vocabulary = {"<unk>": 0, "▁the": 1, "<0xE2>": 2, "<0x82>": 3, "<0xAC>": 4}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<s>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens = TokenBytes(tmp_path / "tokenizer.json")
    assert [tokens.of(n) for n in range(1, 6)] == [b" the", b"\xe2", b"\x82", b"\xac", b"<s>"]


def test_the_limits_are_the_schemas() -> None:
    schema = json.loads((CONTRACTS / "manifest.schema.json").read_text("utf-8"))
    record = schema["properties"]["first_pass"]["properties"]
    assert record["prompt"]["maxLength"] == first_pass.MAX_PROMPT
    assert MAX_TOKENS * 4 < first_pass.MAX_PROMPT
