"""Tests `oriel train-dictionary` and the bundled model's dictionary: its figures are those that
plain PyTorch measures, and a mistake is refused before the training."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, GPT2LMHeadModel

from oriel import Bundle
from oriel.bundle.atomic_folder import write_files_whole
from oriel.bundle.passages import Passages
from oriel.cli import main
from oriel.commands.command import Parser
from oriel.commands.train_dictionary import COMMAND
from oriel.contract.documents import DictionaryActivation
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import add_dictionary
from oriel.dictionaries.dictionary_file import (
    Dictionary,
    dictionary_bytes,
    parse_dictionary,
    read_dictionary,
    token_rows,
)
from oriel.dictionary_training.losses import logits_with_rows
from oriel.dictionary_training.make_dictionary import narrow
from oriel.dictionary_training.measure import measure_baseline, measure_dictionary
from oriel.dictionary_training.passes import batches_of, collect
from oriel.dictionary_training.source import Source, open_source
from oriel.errors import BundleError, OptionError
from oriel.models.demo.bundled_text import held_out_passages, training_passages
from oriel.models.demo.shipped_files import bundled_dictionaries
from oriel.progress import Silent

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "tools/model-export/oriel/models/demo/weights"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dictionary") / "demo"
    assert main(["export", "--model", "demo", "--output", str(folder / "model.onnx")]) == 0
    return folder


@pytest.fixture(scope="module")
def demo() -> Source:
    with open_source("demo", None, Silent()) as source:
        return source


@pytest.fixture(scope="module")
def texts() -> list[list[int]]:
    """Return held-out passages as the model reads them, of 5 to 128 tokens."""
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    ids = [tokenizer.encode(t, add_special_tokens=False).ids for t in held_out_passages()]
    return [[0, *each][:128] for each in ids]


def shipped(source: Source) -> Dictionary:
    return read_dictionary(bundled_dictionaries()["mlp_11"], source.shape, source.weights)


class PlainFigures:
    """The figures of a dictionary of the bundled model's last MLP output, by transformers' model
    and formulas that are written here again."""

    def __init__(self, file: Path) -> None:
        self.tensors = {name: each.float() for name, each in load_file(file).items()}
        self.model = GPT2LMHeadModel.from_pretrained(DEMO)
        self.written: list[Tensor] = []
        self.features: list[Tensor] = []

    def rebuilt(self, rows: Tensor) -> Tensor:
        at = self.tensors
        sums = rows @ at["encoder_weight"] + at["encoder_bias"]
        features = torch.relu(sums) * (sums > at["threshold"])
        self.features.append(features[0, 1:])
        self.written.append(rows[0, 1:])
        return features @ at["decoder_weight"] + at["decoder_bias"]

    def loss(self, texts: list[list[int]], changed: str) -> float:
        """Return the mean loss of the tokens after each passage's first two."""

        def hook(_module: object, _inputs: object, out: Tensor) -> Tensor:
            new = torch.zeros_like(out) if changed == "zeroed" else self.rebuilt(out)
            return torch.cat([out[:, :1], new[:, 1:]], dim=1)

        mlp = self.model.get_submodule("transformer.h.11.mlp")
        handle = None if changed == "model" else mlp.register_forward_hook(hook)
        total, count = 0.0, 0
        for ids in texts:
            with torch.no_grad():
                scores = self.model(torch.tensor([ids])).logits[0].log_softmax(-1)
            total -= float(scores[range(1, len(ids) - 1), ids[2:]].double().sum())
            count += len(ids) - 2
        if handle is not None:
            handle.remove()
        return total / count

    def all(self, texts: list[list[int]]) -> dict[str, float]:
        loss = {name: self.loss(texts, name) for name in ("model", "zeroed", "replaced")}
        written, features = torch.cat(self.written).double(), torch.cat(self.features)
        at = self.tensors
        left = written - (features @ at["decoder_weight"] + at["decoder_bias"])
        differences = written - written.mean(0)
        return {
            **loss,
            "explained_variance": 1 - float(left.square().sum() / differences.square().sum()),
            "l0": float((features > 0).sum(1).double().mean()),
            "dead_features": int((features > 0).sum(0).eq(0).sum()),
            "loss_recovered": (loss["zeroed"] - loss["replaced"])
            / (loss["zeroed"] - loss["model"]),
        }


def test_figures_are_those_of_plain_pytorch(demo: Source, texts: list[list[int]]) -> None:
    some = texts[40:70]
    wanted = PlainFigures(bundled_dictionaries()["mlp_11"]).all(some)
    passages = Passages("some", tuple(np.array(ids) for ids in some))
    dictionary = shipped(demo)
    baseline = measure_baseline(demo, dictionary.description["writes"], passages)
    found = measure_dictionary(demo, dictionary, passages, baseline)
    flat = {**found["loss"], **{k: v for k, v in found.items() if k in wanted}}
    assert flat == pytest.approx(wanted, rel=1e-4)
    assert found["text"]["tokens"] == sum(map(len, some))


def test_the_bundled_dictionary_has_the_figures_that_it_says(
    demo: Source, texts: list[list[int]]
) -> None:
    """Measure it on every tenth of its held-out passages, with bounds that are four times what
    such samples differ by, and hold it to what the project promises."""
    file = bundled_dictionaries()["mlp_11"]
    said = shipped(demo).description["measured"]
    found = PlainFigures(file).all(texts[::10])
    assert found["explained_variance"] == pytest.approx(said["explained_variance"], abs=0.01)
    assert found["l0"] == pytest.approx(said["l0"], rel=0.1)
    assert found["loss_recovered"] == pytest.approx(said["loss_recovered"], abs=0.02)
    assert said["loss_recovered"] >= 0.95 and said["explained_variance"] >= 0.95
    assert said["dead_features"] <= 0.1 * shipped(demo).description["features"]
    assert file.stat().st_size <= 300_000
    assert not set(training_passages()) & set(held_out_passages())


def test_exports_of_the_bundled_model_have_its_dictionary(bundle: Path, demo: Source) -> None:
    (record,) = read_manifest(bundle).data["dictionaries"]
    assert record["name"] == "mlp_11" and record["description"] == shipped(demo).description
    with Bundle(bundle) as opened:
        run = opened.run("Once upon a time", ["features_mlp_11", "layer_11_mlp_output"])
        wanted = shipped(demo).features(run["layer_11_mlp_output"])
        np.testing.assert_allclose(run["features_mlp_11"], wanted, atol=1e-3)
        assert ((run["features_mlp_11"] > 0).sum(-1) > 0).all()


def test_a_bundle_without_the_dictionary_is_not_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a bundle of an earlier release is."""
    words = ["export", "--model", "demo", "--output", str(tmp_path / "demo" / "model.onnx")]
    monkeypatch.setattr("oriel.export_bundle.bundled_dictionaries", lambda _: {})
    assert main(words) == 0
    assert "dictionaries" not in read_manifest(tmp_path / "demo").data
    monkeypatch.undo()
    assert main(words) == 0
    (record,) = read_manifest(tmp_path / "demo").data["dictionaries"]
    assert record["name"] == "mlp_11"
    written = (tmp_path / "demo" / "manifest.json").stat().st_ino
    assert main(words) == 0
    assert (tmp_path / "demo" / "manifest.json").stat().st_ino == written


def test_an_export_keeps_the_users_dictionary_of_the_shipped_ones_name(
    bundle: Path, demo: Source, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "demo"))
    made = shipped(demo)
    arrays = {name: 2 * values for name, values in made.arrays.items()}
    data = dictionary_bytes({**made.description, "source": "their own"}, arrays)
    theirs = parse_dictionary(data, Path("mlp_11.safetensors"), demo.shape, demo.weights)
    add_dictionary(own, theirs, "mlp_11")
    words = ["export", "--model", "demo", "--output", str(own / "model.onnx")]
    for more in ([], ["--force"]):
        assert main([*words, *more]) == 0
        (record,) = read_manifest(own).data["dictionaries"]
        assert record["path"] == theirs.path and (own / theirs.path).read_bytes() == data


def test_a_bundle_and_its_checkpoint_give_the_same_rows(
    bundle: Path, demo: Source, texts: list[list[int]]
) -> None:
    some = [np.array(ids) for ids in texts[:12]]
    wanted: list[DictionaryActivation] = [
        {"kind": "attn_z", "layer": 4},
        {"kind": "mlp_act", "layer": 4},
    ]
    with open_source(str(bundle), None, Silent()) as source:
        assert source.weights == demo.weights and source.reader.start == demo.reader.start
        theirs = collect(source, some, wanted)
        passages = Passages("some", tuple(some))
        losses = [measure_baseline(each, wanted[0], passages) for each in (source, demo)]
    assert losses[0].zeroed == pytest.approx(losses[1].zeroed, rel=1e-5)
    for one, other in zip(theirs, collect(demo, some, wanted), strict=True):
        assert one.shape == other.shape == (sum(len(ids) - 1 for ids in some), one.shape[1])
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["attn_z", "resid_mid"])
def test_a_models_own_rows_change_nothing_in_their_place(
    kind: Literal["attn_z", "resid_mid"], demo: Source, texts: list[list[int]]
) -> None:
    (batch,) = batches_of([np.array(ids) for ids in texts[:5]], demo.shape.vocab)
    name = f"layer_6_{kind}"
    found = demo.run(batch.ids, (name, "logits"), ())
    rows = token_rows(found[name])[batch.counted]
    place: DictionaryActivation = {"kind": kind, "layer": 6}
    same = logits_with_rows(demo, batch, place, found[name], rows)
    np.testing.assert_allclose(same, found["logits"], atol=1e-4)
    turned = logits_with_rows(demo, batch, place, found[name], -rows)
    assert np.abs(turned - found["logits"]).max() > 0.1


def test_what_has_no_figures_is_refused(demo: Source, texts: list[list[int]]) -> None:
    place: DictionaryActivation = {"kind": "mlp_output", "layer": 11}
    pairs = tuple(np.array(ids[:2]) for ids in texts)
    with pytest.raises(OptionError, match="the held-out text has no prediction"):
        measure_baseline(demo, place, Passages("pairs", pairs))
    # The loss with zeros is the model's own where the activation is 0 already.
    quiet = replace(demo, run=lambda ids, names, _: demo.run(ids, names, ()))
    some = tuple(np.array(ids) for ids in texts[:3])
    with pytest.raises(OptionError, match="zeros in the place of layer_11_mlp_output do the"):
        measure_baseline(quiet, place, Passages("some", some))


def short_words(tmp_path: Path) -> list[str]:
    text = tmp_path / "text.txt"
    text.write_text("\n".join(training_passages()[:40]), "utf-8")
    few = ["--features", "24", "--k", "3", "--steps", "30", "--tokens", "900", "--seed", "5"]
    return ["train-dictionary", "demo", "--text", str(text), *few]


@pytest.mark.parametrize("places", [["attn_z:7"], ["resid_mid:3", "--writes", "mlp_output:3"]])
def test_the_command_writes_the_same_file_every_time(
    places: list[str], tmp_path: Path, demo: Source, capsys: pytest.CaptureFixture[str]
) -> None:
    out, again = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    words = [*short_words(tmp_path), "--reads", *places]
    assert main([*words, "--out", str(out), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main([*words, "--out", str(again)]) == 0
    assert out.read_bytes() == again.read_bytes()
    assert "explained variance" in capsys.readouterr().out
    made = read_dictionary(out, demo.shape, demo.weights)
    assert printed == {"out": str(out), **made.description}
    description = made.description
    assert description["kind"] == ("sae" if len(places) == 1 else "transcoder")
    assert (description["features"], description["seed"]) == (24, 5)
    assert description["trained_on"]["name"] == "text.txt, training passages"
    assert description["trained_on"]["tokens"] <= 900
    assert description["measured"]["text"]["name"] == "text.txt, held-out passages"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--reads", "mlp_output:12"], "--reads names a layer that the model doesn't have; got "),
        (
            ["--reads", "q:1"],
            "--reads names no activation that a dictionary can read or write; got 'q:1'",
        ),
        (["--reads", "mlp_output:-1"], "--reads names no activation"),
        (["--writes", "mlp_act"], "--writes names no activation"),
        (["--features", "0"], "expected a number of 1 or more, got 0"),
        (["--features", "8", "--k", "9"], "--k is larger than the number of features"),
        (["--features", "9999999"], "--features is too large; got 9999999; expected at most"),
        (["--text", "nowhere.txt"], "--text can't be read"),
        (["--text", "short.txt"], "there is too little training text to train a dictionary"),
        (["--out", "nowhere/out.safetensors"], "--out can't be written; got nowhere/"),
        (["--out", "."], "--out can't be written; got ., a folder"),
        (["--revision", "main"], "--revision"),
        (["--seed", "-1"], "expected 0 to 2147483647, got -1"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_a_line_before_the_training(
    words: list[str],
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "oriel.dictionary_training.make_dictionary.train", lambda *_: pytest.fail("it trained")
    )
    Path("short.txt").write_text("One line alone.\n", "utf-8")
    base = ["train-dictionary", "demo", "--reads", "mlp_output:11", "--out", "out.safetensors"]
    assert main([*base, *words]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error")]
    assert said in line
    assert [each.name for each in tmp_path.iterdir()] == ["short.txt"]


@pytest.mark.parametrize("words", [["--reads", "mlp"], ["--reads", "q:1", "--writes", "q:1"]])
def test_text_that_names_no_activation_is_refused_before_a_model_is_read(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = ["train-dictionary", "no/model", "--out", str(tmp_path / "out.safetensors")]
    assert main([*base, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--reads names no activation" in line


def test_a_model_of_the_middle_of_texts_or_without_tokenizer_is_refused(
    tiny_llama_checkpoint: Path,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out.safetensors"
    words = ["--reads", "mlp_output:1", "--out", str(out)]
    bert = tmp_path / "bert"
    config = BertConfig(
        vocab_size=60,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
    )
    BertForMaskedLM(config).save_pretrained(bert)
    for model, said in (
        (tiny_llama_checkpoint, "this model has no tokenizer"),
        (tiny_gpt2_bundle, "this bundle has no tokenizer; got"),
        (bert, "measured by predictions of the next token, and this model makes none"),
    ):
        assert main(["train-dictionary", str(model), *words]) == 2
        assert said in capsys.readouterr().err
        assert not out.exists()


def test_features_beyond_the_memory_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oriel.dictionary_training.memory.available_bytes", lambda: 10**9)
    words = ["train-dictionary", "demo", "--reads", "mlp_output:11", "--features", "1048576"]
    assert main([*words, "--out", str(tmp_path / "out.safetensors")]) == 2
    assert (
        "got 1048576 features, 21.5 GB at least; expected at most the 1.0 GB that are available. "
        "Give fewer --features." in capsys.readouterr().err
    )


def test_a_tensor_beyond_float16_stays_float32() -> None:
    small, large = torch.tensor([1.0, 65504.0]), torch.tensor([1.0, 70000.0])
    assert narrow(small).dtype == np.float16
    np.testing.assert_array_equal(narrow(large), np.array([1, 70000], dtype=np.float32))
    with pytest.raises(OptionError, match="numbers that aren't finite; got 1 of 2 in a tensor"):
        narrow(torch.tensor([1.0, torch.inf]))


@pytest.mark.parametrize(("writes", "tokens"), [(None, 200), (["--writes", "mlp_output:3"], 100)])
def test_the_default_of_tokens_is_what_fits_into_memory(
    writes: list[str] | None, tokens: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An autoencoder's rows are kept once, a transcoder's are of two activations."""
    make = "oriel.dictionary_training.make_dictionary"
    monkeypatch.setattr(f"{make}._KEPT_VALUES", 200 * 128)
    asked: list[int] = []

    def stopped(_reader: object, _file: object, count: int) -> None:
        asked.append(count)
        raise KeyboardInterrupt

    monkeypatch.setattr(f"{make}.choose_texts", stopped)
    out = ["--out", str(tmp_path / "out.safetensors")]
    words = ["train-dictionary", "demo", "--reads", "resid_mid:3", *(writes or []), *out]
    assert main(words) == 130
    assert asked == [tokens]


def test_an_error_of_the_disk_names_the_flag_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(BundleError, match="choose another disk with --out; nothing was changed"):
        write_files_whole({tmp_path / "out.safetensors": b"some"}, flag="--out")


def test_ctrl_c_leaves_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("oriel.dictionary_training.make_dictionary.measure_dictionary", stopped)
    out = tmp_path / "out.safetensors"
    out.write_bytes(b"an earlier one")
    words = [*short_words(tmp_path), "--reads", "attn_output:2", "--out", str(out)]
    assert main(words) == 130
    assert "no file was left half-written" in capsys.readouterr().err
    assert out.read_bytes() == b"an earlier one"
    assert {each.name for each in tmp_path.iterdir()} == {"out.safetensors", "text.txt"}


def section() -> str:
    """Return the part of docs/dictionaries.md on training."""
    text = (ROOT / "docs" / "dictionaries.md").read_text("utf-8")
    return text.partition("\n## Training one\n")[2].partition("\n## ")[0]


def test_the_document_has_the_figures_of_the_bundled_dictionary(demo: Source) -> None:
    description = shipped(demo).description
    said, told = description["measured"], " ".join(section().split())
    for figure in (
        f"{int(description['features'])} features",
        f"{bundled_dictionaries()['mlp_11'].stat().st_size / 1000:.0f} KB",
        f"On {int(said['text']['tokens']):,} held-out tokens",
        f"recovers {said['loss_recovered']:.1%} of the loss".replace("%", " %"),
        f"{said['loss']['model']:.4f} nats",
        f"{said['loss']['replaced']:.4f} with the rebuilt activation",
        f"{said['loss']['zeroed']:.4f} with zeros",
        f"explains {said['explained_variance']:.1%} of the variance".replace("%", " %"),
        f"by {said['l0']:.1f} features a token",
    ):
        assert figure in told, figure
    assert said["dead_features"] == 0 and "none is dead" in told


def test_the_document_tells_every_flag() -> None:
    parser = Parser(prog="oriel train-dictionary")
    COMMAND.add_arguments(parser)
    flags = set(re.findall(r"^  (--\w+)", parser.format_help(), re.MULTILINE))
    assert set(re.findall(r"^\| `(--\w+)", section(), re.MULTILINE)) == flags
