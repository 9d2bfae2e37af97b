"""The shipped demo weights keep the bounds of their card, on smaller samples than the card's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from thorough import examples
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from story_gpt2.indirect_objects import indirect_object
from story_gpt2.measure import (
    CARD,
    MEASUREMENTS,
    TABLE_END,
    TABLE_START,
    MeasureOptions,
    agreement_accuracy,
    head_scores,
    indirect_object_accuracy,
    perplexity,
    refresh_card,
    table,
)
from story_gpt2.tokenizer import END_OF_TEXT, END_OF_TEXT_ID
from story_gpt2.vocabulary import NAMES
from story_gpt2.weights_folder import WEIGHTS_FOLDER, demo_config, read_model, write_model

LARGEST = 12 * 1024 * 1024


@pytest.fixture(scope="module")
def loaded() -> tuple[GPT2LMHeadModel, Tokenizer]:
    return read_model()


@pytest.fixture(scope="module")
def card_figures() -> dict[str, object]:
    text = (WEIGHTS_FOLDER / MEASUREMENTS).read_text(encoding="utf-8")
    return dict(json.loads(text))


def test_perplexity_is_what_the_card_says(
    loaded: tuple[GPT2LMHeadModel, Tokenizer], card_figures: dict[str, object]
) -> None:
    overall, kinds = perplexity(*loaded, documents=200, seed=3)
    assert overall == pytest.approx(card_figures["perplexity"], rel=0.15)
    assert kinds["counting"] < kinds["plain_english"]


def test_indirect_objects_are_found(loaded: tuple[GPT2LMHeadModel, Tokenizer]) -> None:
    assert indirect_object_accuracy(*loaded, sentences=300, seed=3) >= 0.9


def test_verbs_agree(loaded: tuple[GPT2LMHeadModel, Tokenizer]) -> None:
    overall, by_count = agreement_accuracy(*loaded, sentences=300, seed=3)
    assert overall >= 0.9
    assert set(by_count) == {"1", "2", "3"}


def test_heads_are_what_the_card_says(
    loaded: tuple[GPT2LMHeadModel, Tokenizer], card_figures: dict[str, object]
) -> None:
    induction, previous, passes = head_scores(loaded[0], sequences=8, length=50, seed=3)
    assert induction[0].score >= 0.5
    assert previous[0].score >= 0.5
    assert passes[1] < passes[0] - 3
    for key, found in (("induction_heads", induction), ("previous_token_heads", previous)):
        heads = card_figures[key]
        assert isinstance(heads, list)
        scores = {(score.layer, score.head): score.score for score in found}
        best = heads[0]
        assert scores[best["layer"], best["head"]] == pytest.approx(best["score"], abs=0.08)


def test_head_scores_are_those_of_attention_made_by_hand() -> None:
    """A stand-in model with known attention: head 0 is an induction head, head 1 looks back one."""
    length = 5
    by_hand = torch.zeros(1, 2, 2 * length, 2 * length)
    for row in range(2 * length):
        by_hand[0, 0, row, row - length + 1 if row >= length else 0] = 1
        by_hand[0, 1, row, max(0, row - 1)] = 1

    class Known(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = demo_config(64)
            self.config.n_head = 2
            self.transformer = torch.nn.Module()
            self.transformer.h = torch.nn.ModuleList([torch.nn.Identity()])

        def forward(self, ids: torch.Tensor, **_: object) -> object:
            return SimpleNamespace(
                attentions=[by_hand.expand(len(ids), -1, -1, -1)],
                logits=torch.zeros(*ids.shape, 64),
            )

    induction, previous, _ = head_scores(Known(), sequences=3, length=length, seed=0)  # type: ignore[arg-type]
    assert (induction[0].head, previous[0].head) == (0, 1)
    assert induction[0].score == previous[0].score == pytest.approx(1.0)
    assert induction[1].score == pytest.approx(0.0)


def test_an_untrained_model_misses_every_bound(
    loaded: tuple[GPT2LMHeadModel, Tokenizer],
) -> None:
    torch.manual_seed(0)
    config = demo_config(loaded[1].get_vocab_size())
    config._attn_implementation = "eager"
    untrained = GPT2LMHeadModel(config).train(False)
    assert indirect_object_accuracy(untrained, loaded[1], sentences=60, seed=3) < 0.2
    assert agreement_accuracy(untrained, loaded[1], sentences=60, seed=3)[0] < 0.9
    induction, previous, _ = head_scores(untrained, sequences=2, length=50, seed=3)
    assert induction[0].score < 0.2
    assert previous[0].score < 0.2


def test_the_card_and_the_measurements_agree(card_figures: dict[str, object]) -> None:
    card = (WEIGHTS_FOLDER / CARD).read_text(encoding="utf-8")
    shown = card.partition(TABLE_START)[2].partition(TABLE_END)[0].strip()
    assert shown == table(card_figures)
    changed = refresh_card(card, {**card_figures, "agreement_accuracy": 0.123})
    assert "0.123" in changed and changed != card


def test_the_card_keeps_the_bounds(card_figures: dict[str, object]) -> None:
    samples = card_figures["samples"]
    assert isinstance(samples, dict)
    assert MeasureOptions(**samples) == MeasureOptions()
    for key in ("indirect_object_accuracy", "agreement_accuracy"):
        value = card_figures[key]
        assert isinstance(value, float) and value >= 0.9
    for key in ("induction_heads", "previous_token_heads"):
        heads = card_figures[key]
        assert isinstance(heads, list) and heads[0]["score"] >= 0.5


def test_what_ships_is_small_and_only_safetensors() -> None:
    files = [file for file in WEIGHTS_FOLDER.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) <= LARGEST
    assert {file.suffix for file in files} <= {".json", ".md", ".safetensors"}
    with safe_open(WEIGHTS_FOLDER / "model.safetensors", framework="pt") as weights:
        keys = list(weights.keys())
        assert {weights.get_slice(key).get_dtype() for key in keys} == {"F16"}
        assert "lm_head.weight" not in keys


def test_it_loads_without_this_package() -> None:
    model = AutoModelForCausalLM.from_pretrained(WEIGHTS_FOLDER)
    tokenizer = AutoTokenizer.from_pretrained(WEIGHTS_FOLDER)
    assert type(model).__name__ == "GPT2LMHeadModel"
    assert model.dtype == torch.float32
    assert (model.config.n_layer, model.config.n_positions) == (12, 256)
    assert 2_900_000 <= model.num_parameters() <= 6_000_000
    assert model.config.vocab_size == len(tokenizer)
    assert model.config.eos_token_id == tokenizer.eos_token_id == END_OF_TEXT_ID
    text = "When Anna and Tom went to the shop"
    ids = tokenizer(text).input_ids
    assert END_OF_TEXT_ID not in ids
    assert tokenizer.decode(ids) == text
    assert tokenizer(END_OF_TEXT).input_ids == [END_OF_TEXT_ID]


def test_every_name_is_one_token(loaded: tuple[GPT2LMHeadModel, Tokenizer]) -> None:
    for name in NAMES:
        assert len(loaded[1].encode(f" {name.text}").ids) == 1


_TOKENIZER = Tokenizer.from_file(str(WEIGHTS_FOLDER / "tokenizer.json"))


@settings(max_examples=examples(300), deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives_the_tokenizer(text: str) -> None:
    ids = _TOKENIZER.encode(text, add_special_tokens=False).ids
    assert _TOKENIZER.decode(ids, skip_special_tokens=False) == text


def test_a_written_model_reads_back_as_its_rounded_self(
    tmp_path: Path, loaded: tuple[GPT2LMHeadModel, Tokenizer]
) -> None:
    torch.manual_seed(1)
    model = GPT2LMHeadModel(demo_config(loaded[1].get_vocab_size()))
    folder = tmp_path / "model"
    write_model(model, loaded[1], folder)
    again, _ = read_model(folder)
    for (name, before), after in zip(
        model.state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(before.half().float(), after), name
    assert model.dtype == torch.float32
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model"]


def test_the_measured_prompt_ends_before_the_name() -> None:
    case = indirect_object(Random(0), held_out=True)
    assert not case.prompt.endswith(" ")
    assert case.text.startswith(case.prompt + case.answer)
    assert replace(MeasureOptions(), seed=2) != MeasureOptions()
