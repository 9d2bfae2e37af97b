"""Tests `oriel fit-lens`: a tuned lens predicts the model better than the logit lens on held-out
text, mean Jacobians equal those of torch.func, and both kinds are reproducible."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GPT2LMHeadModel

from oriel import Bundle
from oriel.bundle.passages import Passages
from oriel.bundle.write_weights import checkpoint_digest
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.lens_fitting.fit_jacobian import JacobianSettings, fit_jacobian
from oriel.lens_fitting.fit_tuned import TunedSettings, fit_tuned
from oriel.lens_fitting.streams import mean_divergence, readout_of, streams_of
from oriel.models.demo.bundled_text import held_out_passages, training_passages
from oriel.models.demo.shipped_files import bundled_lenses
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model
from oriel.verification.run_reference import Reference

DEMO = Path(__file__).resolve().parents[2] / "tools/model-export/oriel/models/demo/weights"


def some_passages(count: int, length: int, seed: int) -> Passages:
    rng = np.random.default_rng(seed)
    return Passages("random", tuple(rng.integers(0, 97, length) for _ in range(count)))


@pytest.fixture(scope="module")
def tiny(tiny_gpt2_checkpoint: Path) -> Reference:
    return Reference(load_model(find_checkpoint(str(tiny_gpt2_checkpoint))))


def test_average_jacobians_are_those_of_torch_func(
    tiny: Reference, tiny_gpt2_checkpoint: Path
) -> None:
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint, attn_implementation="eager")
    passages = some_passages(2, 5, 3)
    blocks = model.transformer.h
    wanted = [torch.zeros(24, 24) for _ in range(3)]

    def behind(layer: int, stream: Tensor) -> Tensor:
        for block in blocks[layer + 1 :]:
            stream = behind_one(block, stream)
        return stream

    for ids in passages.ids:
        streams: list[Tensor] = []
        with torch.no_grad():
            stream = model.transformer.wte(torch.tensor(ids)) + model.transformer.wpe.weight[:5]
            for layer in range(4):
                stream = behind_one(blocks[layer], stream)
                streams.append(stream)
        for layer in range(3):
            whole = torch.func.jacrev(lambda x, at=layer: behind(at, x))(streams[layer])
            # (position, hidden, position, hidden): derivatives of later positions with respect to
            # earlier ones.
            pairs = [whole[t, :, s] for s in range(1, 5) for t in range(s, 5)]
            wanted[layer] += torch.stack(pairs).mean(0) / len(passages.ids)
    found = fit_jacobian(tiny, passages, JacobianSettings(elements=7 * 5 * 4 * 24))
    assert len(found) == 3
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs.T, rtol=1e-4, atol=1e-5)


def behind_one(block: torch.nn.Module, stream: Tensor) -> Tensor:
    # Eager attention isn't causal unless the mask says so.
    later = torch.full((1, 1, len(stream), len(stream)), torch.finfo(torch.float32).min).triu(1)
    out = block(stream[None], attention_mask=later)
    after: Tensor = out[0] if isinstance(out, tuple) else out
    return after.reshape(stream.shape)


def test_a_tuned_lens_is_nearer_than_the_logit_lens_and_the_same_every_time(
    tiny: Reference,
) -> None:
    streams, readout = streams_of(tiny, some_passages(40, 20, 5)), readout_of(tiny)
    other = streams_of(tiny, some_passages(20, 20, 6))
    settings = TunedSettings(steps=60, tokens=64, seed=4)
    found = fit_tuned(streams, readout, settings)
    for layer, (weight, bias) in enumerate(found):
        stream = other.layers[layer]
        logit = mean_divergence(readout, stream, other.final)
        assert mean_divergence(readout, stream + stream @ weight + bias, other.final) < logit
    again = fit_tuned(streams, readout, settings)
    for (weight, bias), (weight_again, bias_again) in zip(found, again, strict=True):
        assert torch.equal(weight, weight_again)
        assert torch.equal(bias, bias_again)
    drawn_otherwise = fit_tuned(streams, readout, TunedSettings(steps=60, tokens=64, seed=5))
    assert not torch.equal(found[0][0], drawn_otherwise[0][0])


def test_a_fit_that_only_harms_leaves_the_logit_lens(tiny: Reference) -> None:
    """The steps are far too large, so the initial identity stays the best map."""
    streams, readout = streams_of(tiny, some_passages(10, 20, 5)), readout_of(tiny)
    for weight, bias in fit_tuned(streams, readout, TunedSettings(steps=8, tokens=16, rate=1e4)):
        assert not weight.any()
        assert not bias.any()


def mean_divergences(texts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Return each layer's mean KL divergence from the bundled model, by the logit lens and by its
    tuned lens: (layers - 1) each, in nats."""
    maps = load_file(bundled_lenses()["tuned"])
    model = GPT2LMHeadModel.from_pretrained(DEMO)
    norm, head = model.transformer.ln_f, model.lm_head
    totals = torch.zeros(11, 2, dtype=torch.float64)
    for ids in texts:
        with torch.no_grad():
            out = model(torch.tensor([ids]), output_hidden_states=True)
            final = out.logits.log_softmax(-1)
            for layer in range(11):
                stream = out.hidden_states[layer + 1]
                weight, bias = (maps[f"layer_{layer}.{p}"].float() for p in ("weight", "bias"))
                for at, read in enumerate((stream, stream + stream @ weight + bias)):
                    ours = head(norm(read)).log_softmax(-1)
                    totals[layer, at] += (final.exp() * (final - ours)).sum()
    logit, tuned = (totals / sum(map(len, texts))).T
    return logit, tuned


def test_the_bundled_models_lens_beats_the_logit_lens_at_every_layer() -> None:
    """Measure with plain PyTorch, on passages that it wasn't fitted to, with and without the first
    token that preceded each passage in training. The pack's file must record the same numbers."""
    assert not set(training_passages()) & set(held_out_passages())
    tokenizer = Tokenizer.from_file(str(DEMO / "tokenizer.json"))
    texts = [tokenizer.encode(t, add_special_tokens=False).ids for t in held_out_passages()]
    logit, tuned = mean_divergences([ids[:128] for ids in texts[300:330]])
    assert (tuned < 0.5 * logit).all(), (logit, tuned)
    begun, left = [], 4096
    for ids in texts:
        begun.append([0, *ids][:left])
        left -= len(begun[-1])
        if left < 2:
            break
    assert max(map(len, begun)) <= 128
    logit, tuned = mean_divergences(begun)
    with safe_open(bundled_lenses()["tuned"], framework="pt") as opened:
        said = json.loads(opened.metadata()["oriel.lens_pack"])
    rows = said["fitted"]["kl"]
    np.testing.assert_allclose([row["logit"] for row in rows], logit, rtol=1e-3)
    np.testing.assert_allclose([row["lens"] for row in rows], tuned, rtol=1e-3)
    assert all(row["lens"] < row["logit"] for row in rows)
    assert said["weights"] == checkpoint_digest(load_model(find_checkpoint("demo")).checkpoint)


def test_the_command_writes_a_pack_and_puts_it_into_a_bundle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fit with few steps on a user's text; a second run must write the same file."""
    text = tmp_path / "text.txt"
    text.write_text("\n".join(training_passages()[:60]), "utf-8")
    bundle = tmp_path / "demo"
    assert main(["export", "--model", "demo", "--output", str(bundle / "model.onnx")]) == 0
    assert [each["name"] for each in read_manifest(bundle).data["lens_packs"]] == ["tuned"]
    words = ["fit-lens", "--text", str(text), "--steps", "8", "--tokens", "600", "--seed", "3"]
    out = tmp_path / "own.safetensors"
    capsys.readouterr()
    assert main([*words, "--output", str(out), "--bundle", str(bundle), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [row["layer"] for row in printed["fitted"]["kl"]] == list(range(11))
    assert printed["fitted"]["text"]["name"] == "text.txt, training passages"
    assert printed["fitted"]["seed"] == 3
    packs = read_manifest(bundle).data["lens_packs"]
    assert [(each["name"], each["description"]["fitted"]["seed"]) for each in packs] == [
        ("tuned", 3)
    ]
    again = tmp_path / "again.safetensors"
    assert main([*words, "--output", str(again)]) == 0
    assert again.read_bytes() == out.read_bytes()
    with Bundle(bundle) as opened:
        assert "layer_3_lens_probs" in opened.run("Once upon a time", lens="tuned")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--kind", "prism"], "invalid choice: 'prism'"),
        (["--steps", "0"], "expected a number of 1 or more, got 0"),
        (["--seed", "-1"], "expected 0 to 2147483647, got -1"),
        (["--text", "nowhere.txt"], "--text can't be read"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_a_line(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned.safetensors"
    assert main(["fit-lens", *words, "--output", str(out)]) == 2
    (line,) = [each for each in capsys.readouterr().err.splitlines() if each.startswith("error")]
    assert said in line
    assert not out.exists()


def test_a_bundle_that_cannot_take_the_lens_is_refused_before_the_fit(
    tmp_path: Path,
    tiny_gpt2_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "oriel.lens_fitting.make_pack.choose_texts", lambda *_: pytest.fail("text was read")
    )
    out = tmp_path / "tuned.safetensors"
    for bundle, said in (
        (tmp_path / "nowhere", "no bundle in"),
        (tiny_gpt2_bundle, "is of another model than"),
    ):
        assert main(["fit-lens", "--bundle", str(bundle), "--output", str(out)]) != 0
        (line,) = capsys.readouterr().err.splitlines()[-1:]
        assert line.startswith("error") and said in line
    assert not out.exists()


def test_too_little_text_and_no_tokenizer_are_refused(
    tmp_path: Path, tiny_llama_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "tuned.safetensors"
    text = tmp_path / "short.txt"
    text.write_text("One line alone.\n", "utf-8")
    assert main(["fit-lens", "--text", str(text), "--output", str(out)]) == 2
    assert "there is too little training text to fit a lens" in capsys.readouterr().err
    assert main(["fit-lens", "--model", str(tiny_llama_checkpoint), "--output", str(out)]) == 2
    assert "this model has no tokenizer" in capsys.readouterr().err
    assert not out.exists()
