"""Encoders with a head over labels, of whole texts and of tokens, exported and compared with
transformers' own classes: logits, what the last matrix reads, padding and edits."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architecture_variants import CLASSIFIERS, gpt2
from conftest import save_random
from numpy.typing import NDArray
from safetensors.numpy import load
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from oriel import Bundle, Scale
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.errors import OptionError, OrielError
from oriel.export_bundle import export
from oriel.fidelity.gate import GATE_EFFORT
from oriel.fidelity.label_distributions import label_distributions
from oriel.models.architectures import REGISTRY
from oriel.models.architectures.classifier import classifier_record
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model, load_spec
from oriel.notebook.record import Asked, analysis_record
from oriel.options import ExportOptions
from oriel.progress import Silent
from oriel.proof.prove import ProofOptions, prove
from oriel.publishing.first_pass import compute_first_pass
from oriel.publishing.library_layout import write_library_layout
from oriel.verification.verify import verify

PRECISIONS = ("fp16", "int8", "int4")
ROUNDED = ("bert-texts", "electra-tokens", "modernbert-texts-mean-several", "roberta-texts-numbers")
"""Exported in every precision as well: each problem, and labels of tokens."""
PROVEN = ("bert-texts", "modernbert-texts-mean-several", "roberta-tokens")


@pytest.fixture(scope="module", autouse=True)
def short_text() -> Iterator[None]:
    """Of a tiny model a few hundred tokens tell enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oriel.fidelity.gate.GATE_EFFORT", replace(GATE_EFFORT, tokens=512))
        yield


class Exported:
    """A tiny random classifier, its bundle, and transformers' own model."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.checkpoint = save_random(CLASSIFIERS[name](), folder / "checkpoint", spread=0.25)
        options = ExportOptions(
            model=str(self.checkpoint),
            output=folder / "bundle" / "model.onnx",
            precision=PRECISIONS if name in ROUNDED else (),
            # Random weights lose the most.
            allow_lossy=True,
        )
        self.bundle = Bundle(export(options, Silent()).folder)
        own = type(CLASSIFIERS[name]())
        stock = own.from_pretrained(self.checkpoint, attn_implementation="eager")
        self.stock: PreTrainedModel = stock.requires_grad_(False)
        self.shape = self.bundle.shape

    def ids(self, batch: int, tokens: int, seed: int = 0) -> NDArray[Any]:
        # transformers' RoBERTa counts no position for a token of id 1, its padding.
        return np.random.default_rng(seed).integers(2, self.shape.vocab, (batch, tokens))


@pytest.fixture(scope="module", params=list(CLASSIFIERS))
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    return Exported(request.param, tmp_path_factory.mktemp("classifier"))


def close(got: NDArray[Any], want: NDArray[Any]) -> None:
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=2e-5)


def test_every_encoder_has_both_heads_among_the_variants() -> None:
    tried = {variant.model_class for variant in CLASSIFIERS.values()}
    known = [head for a in REGISTRY.values() for head in a.classifiers]
    assert tried == {head.model_class for head in known}


def test_logits_are_those_of_transformers(exported: Exported) -> None:
    count = exported.stock.config.num_labels
    for batch, tokens in ((1, 1), (3, 7), (1, exported.shape.context_length)):
        ids = exported.ids(batch, tokens)
        run = exported.bundle.run(ids)
        close(run.logits, exported.stock(torch.from_numpy(ids)).logits.numpy())
        sizes = (batch, count) if exported.shape.pooled else (batch, tokens, count)
        assert run.logits.shape == sizes
        assert run.scores().shape == (batch, count)


def test_a_padded_text_has_the_labels_that_it_has_alone(exported: Exported) -> None:
    """transformers' own heads read the first row, which is padding's in a text padded before."""
    short, long = exported.ids(1, 4, seed=1), exported.ids(1, 7, seed=2)
    want = exported.stock(torch.from_numpy(short)).logits.numpy()
    graph = exported.bundle._session(("pooled",) if exported.shape.pooled else (), ())
    for place in (slice(3, 7), slice(0, 4), slice(1, 5)):
        ids = np.concatenate([long, exported.ids(1, 7, seed=3)])
        mask = np.ones_like(ids)
        mask[1] = 0
        ids[1, place], mask[1, place] = short[0], 1
        (got,) = graph.run(ids, ["logits"], mask=mask).values()
        close(got[1:] if exported.shape.pooled else got[1:, place], want)
        close(got[:1], exported.stock(torch.from_numpy(long)).logits.numpy())


def test_everything_is_verified(exported: Exported) -> None:
    """verify compares every activation of the contract, pooled among them, and edits at every
    joint."""
    report = verify(exported.bundle.folder, exported.checkpoint)
    assert report.passed, report.failures
    names = {row.name for variant in report.variants for row in variant.activations}
    assert ("pooled" in names) is exported.shape.pooled
    assert not [name for name in names if "lens" in name]


def test_it_is_proven_with_padding_on_either_side(exported: Exported) -> None:
    if exported.name not in PROVEN:
        pytest.skip("the others' padding is compared above")
    record = prove(str(exported.checkpoint), str(exported.bundle.folder), ProofOptions())
    assert record["verdict"] == "same"
    assert any("padded" in case["name"] for case in record["cases"])


def test_what_is_lost_by_rounding_is_measured_on_labels(exported: Exported) -> None:
    manifest = read_manifest(exported.bundle.folder)
    lost = {}
    for variant in manifest.variants[1:]:
        fidelity = variant["fidelity"]
        assert "perplexity" not in fidelity
        assert 0 < fidelity["kl_mean"] < 0.5 and fidelity["top1"] > 0.5
        lost[variant["name"]] = fidelity["kl_mean"]
    if lost:
        assert lost["fp16"] < lost["int8"] and lost["fp16"] < lost["int4"]


def test_labels_are_distributions_by_their_problem() -> None:
    logits = np.array([[1.0, 2.0], [3.0, -2.0]], np.float32)
    single = label_distributions("single_label", [logits])
    assert single.of(logits) is logits
    several = label_distributions("multi_label", [logits]).of(logits)
    assert several.tolist() == [[1, 0], [2, 0], [3, 0], [-2, 0]]
    # Mean 1, standard deviation sqrt((0 + 1 + 4 + 9) / 4).
    numbers = label_distributions("regression", [logits[:1], logits[1:]]).of(logits)
    np.testing.assert_allclose(numbers[:, 0], np.array([0, 1, 2, -3]) / np.sqrt(3.5), rtol=1e-6)
    assert not numbers[:, 1].any()
    same = label_distributions("regression", [np.full((3, 1), 2, np.float32)])
    assert same.of(np.full((1, 1), 5, np.float32)).tolist() == [[3, 0]]


def test_the_manifest_names_the_labels(exported: Exported) -> None:
    config = exported.stock.config
    record = read_manifest(exported.bundle.folder).data["model"]
    wanted = {"multi_label_classification": "multi_label", "regression": "regression"}
    assert record["classifier"]["labels"] == [f"LABEL_{at}" for at in range(config.num_labels or 0)]
    alone = "regression" if config.num_labels == 1 else "single_label"
    assert record["classifier"]["problem"] == wanted.get(config.problem_type or "", alone)
    assert not record["tied_embeddings"]
    with pytest.raises(OptionError, match="no such activation"):
        exported.bundle.run([[3]], activations=["layer_0_lens_ids"])


def test_what_is_published_and_saved_holds_the_labels(exported: Exported, tmp_path: Path) -> None:
    ids = exported.ids(1, 5, seed=6)
    want = exported.stock(torch.from_numpy(ids)).logits.numpy()
    want = want if exported.shape.pooled else want[:, -1:]
    prompt = " ".join(map(str, ids[0].tolist()))
    manifest = read_manifest(exported.bundle.folder).data
    made = compute_first_pass(exported.bundle.folder, manifest, prompt)
    assert made.data is not None
    close(load(made.data)["logits"], want)
    asked = Asked(tuple(ids[0].tolist()), 5, prompt, ("layer_1_attn_probs",), "logit", ())
    saved = analysis_record(exported.bundle, asked, "", None)
    close(load(gzip.decompress(base64.b64decode(saved["tensors"])))["logits"], want)
    # Other libraries know the head, and its labels, by config.json.
    write_library_layout(exported.bundle.folder, tmp_path / "library", Silent())
    config = json.loads((tmp_path / "library" / "config.json").read_text("utf-8"))
    assert config["architectures"] == [type(exported.stock).__name__]
    assert len(config["id2label"]) == exported.stock.config.num_labels
    with pytest.raises(OptionError, match="read the logits of its labels"):
        exported.bundle.generate([[3]], 1)


def test_a_head_that_is_switched_off_moves_the_labels_as_in_pytorch(exported: Exported) -> None:
    ids = exported.ids(1, 6, seed=4)
    a = REGISTRY[exported.stock.config.model_type]
    matrix = exported.stock.get_submodule(f"{a.blocks}.1.{a.attention_output_matrix}")
    width = exported.shape.head_dim
    handle = matrix.register_forward_pre_hook(
        lambda _m, given: (torch.cat([given[0][..., :width] * 0, given[0][..., width:]], dim=-1),)
    )
    want = exported.stock(torch.from_numpy(ids)).logits.numpy()
    handle.remove()
    close(exported.bundle.run(ids, edits=[Scale("attn_z", layer=1, head=0)]).logits, want)
    assert np.abs(want - exported.bundle.run(ids).logits).max() > 1e-4


def test_a_classifier_is_refused_where_its_class_is_not_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_random(CLASSIFIERS["distilbert-texts"](), tmp_path / "model")
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    del config["architectures"]
    (checkpoint / "config.json").write_text(json.dumps(config), "utf-8")
    output, doctor = tmp_path / "bundle", ["doctor", str(checkpoint)]
    for command in (["export", "--model", str(checkpoint), "--output", str(output)], doctor):
        assert main(command) != 0
        said = capsys.readouterr()
        assert 'name its class in config.json, as in "architectures"' in said.err + said.out
    assert not output.exists()


def test_a_decoders_classifier_is_refused_with_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = replace(gpt2(pad_token_id=0), model_class="GPT2ForSequenceClassification")
    checkpoint = save_random(made(), tmp_path / "model")
    assert main(["export", "--model", str(checkpoint), "--output", str(tmp_path / "out")]) != 0
    said = capsys.readouterr().err
    assert "is a classifier, not a language model" in said
    assert "of bert, distilbert, electra, modernbert, roberta" in said


@pytest.mark.parametrize("count", [0, 10_001])
def test_labels_that_no_manifest_describes_are_refused(count: int, tmp_path: Path) -> None:
    config = CLASSIFIERS["bert-texts"].config()
    config.architectures = ["BertForSequenceClassification"]
    config.save_pretrained(tmp_path)
    raw = json.loads((tmp_path / "config.json").read_text("utf-8"))
    raw["id2label"] = {str(at): "l" for at in range(count)}
    (tmp_path / "config.json").write_text(json.dumps(raw), "utf-8")
    with pytest.raises(OrielError, match=f"{count} labels|doesn't make a model"):
        load_spec(tmp_path)


def test_a_long_name_of_a_label_is_cut(tmp_path: Path) -> None:
    config = CLASSIFIERS["bert-texts"].config()
    config.id2label = {0: "a" * 300, 1: "\u732b", 2: 7}  # type: ignore[assignment]
    assert classifier_record(config, pooled=True)["labels"] == ["a" * 256, "\u732b", "7"]


def test_a_classifier_may_still_hold_the_head_that_it_was_trained_from(tmp_path: Path) -> None:
    checkpoint = save_random(CLASSIFIERS["roberta-tokens"](), tmp_path / "model")
    weights = load_file(checkpoint / "model.safetensors")
    weights["lm_head.dense.weight"] = torch.zeros(24, 24)
    weights["roberta.pooler.dense.weight"] = torch.zeros(24, 24)
    save_file(weights, checkpoint / "model.safetensors", {"format": "pt"})
    assert "classifier.weight" in load_model(find_checkpoint(str(checkpoint))).checkpoint.tensors


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("bert-texts", "sequence classification, 3 labels"),
        ("bert-number", "sequence classification, 1 label"),
        ("roberta-tokens", "token classification, 3 labels"),
    ],
)
def test_doctor_says_which_head_a_checkpoint_has(
    name: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = save_random(CLASSIFIERS[name](), tmp_path / "model")
    assert main(["doctor", str(checkpoint)]) == 0
    assert f"head: {said}" in " ".join(capsys.readouterr().out.split())
