"""The demo corpus keeps its rules; the trained weights are tested in test_demo_weights.py."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch

from oriel.models.demo import bundled_text
from story_gpt2.agreement import AUXILIARIES, LEXICAL, agreement
from story_gpt2.batches import IGNORED, BatchOptions, batches, random_repeat
from story_gpt2.corpus import (
    KINDS,
    WEIGHTS,
    document,
    held_out_documents,
    held_out_passages,
    is_held_out,
    training_documents,
    training_passages,
)
from story_gpt2.indirect_objects import indirect_object
from story_gpt2.patterns import brackets
from story_gpt2.stories import scene
from story_gpt2.tokenizer import read_tokenizer
from story_gpt2.train import TrainingOptions, rate_factor, train
from story_gpt2.vocabulary import (
    GIVING_NAMES,
    HELD_OUT_NAMES,
    NAMES,
    OBJECTS,
    held_out_pair,
)
from story_gpt2.weights_folder import WEIGHTS_FOLDER
from story_gpt2.word_forms import article, conjugate, plural
from story_gpt2.write_passages import PASSAGES_FOLDER, passage_files


@pytest.fixture(scope="module")
def training() -> list[tuple[str, str]]:
    return list(islice(training_documents(20), 12_000))


def test_the_same_seed_gives_the_same_text_and_another_seed_another() -> None:
    for kind in KINDS:
        assert document(kind, "a") == document(kind, "a")
    assert training_passages(50, 3) == training_passages(50, 3)
    assert training_passages(50, 3) != training_passages(50, 4)
    assert held_out_passages(20, 3) == held_out_passages(20, 3)


def test_the_corpus_is_the_one_that_the_weights_were_trained_on() -> None:
    """A change to the generator asks for a new training, and then for new pins here."""
    assert document("indirect_object", "pin") == (
        "Then the doctor and the girl had a long talk at the river, "
        "and the girl gave a stamp to the doctor."
    )
    digest = sha256("\n".join(training_passages(2000, TrainingOptions.seed)).encode())
    assert digest.hexdigest() == "8d9a97a13130c89d1ce9cb2010646572d1eba4ea6a4834db54f28e464ed80852"


def test_every_kind_is_drawn(training: list[tuple[str, str]]) -> None:
    assert set(WEIGHTS) == set(KINDS)
    assert {kind for kind, _ in training} == set(KINDS)


def test_held_out_documents_are_not_in_training(training: list[tuple[str, str]]) -> None:
    held_out = {text for _, text in islice(held_out_documents(20), 500)}
    assert len(held_out) > 450
    assert held_out.isdisjoint(text for _, text in training)
    assert all(is_held_out(text) for text in held_out)
    assert not any(is_held_out(text) for _, text in training)


def test_held_out_names_are_never_given_anything(training: list[tuple[str, str]]) -> None:
    names = "|".join(name.text for name in HELD_OUT_NAMES)
    to_name = re.compile(rf"\b(?:to|gave|lent|sent) (?:{names})\b")
    bought = re.compile(rf"\bbought [^.]* for (?:{names})\b")
    for kind, text in training:
        assert not to_name.search(text), text
        assert not bought.search(text), text
        if kind == "indirect_object":
            assert not re.search(rf"\b(?:{names})\b", text), text


def test_held_out_names_are_common_in_stories(training: list[tuple[str, str]]) -> None:
    stories = " ".join(text for kind, text in training if kind == "story")
    counts = {name.text: len(re.findall(rf"\b{name.text}\b", stories)) for name in NAMES}
    assert min(counts[name.text] for name in HELD_OUT_NAMES) > 50


def test_indirect_objects_name_the_one_who_did_not_act() -> None:
    rng = Random(5)
    orders = set()
    for held_out in (False, True):
        pool = {name.text for name in (HELD_OUT_NAMES if held_out else GIVING_NAMES)}
        for _ in range(500):
            case = indirect_object(rng, held_out=held_out)
            said = [w for w in re.findall(r"[A-Z][a-z]+", case.prompt) if w in pool]
            assert len(said) == 3
            assert said[2] == case.giver.text
            assert {case.answer.strip()} == set(said) - {case.giver.text}
            assert held_out_pair(case.object, case.place) == held_out
            orders.add(said[0] == said[2])
    assert orders == {True, False}


def test_brackets_are_balanced() -> None:
    closing = {")": "(", "]": "[", "}": "{", ">": "<"}
    deepest = 0
    for seed in range(500):
        text = brackets(Random(seed))
        stack: list[str] = []
        for letter in text:
            if letter in closing.values():
                stack.append(letter)
                deepest = max(deepest, len(stack))
            elif letter in closing:
                assert stack and stack.pop() == closing[letter], text
        assert not stack, text
    assert deepest >= 4


def test_double_quotes_close(training: list[tuple[str, str]]) -> None:
    for _, text in training:
        assert text.count('"') % 2 == 0, text


# Written by hand, so that the check does not share the generator's rules.
_PLURALS_NOT_IN_S = {"men", "women", "children", "people", "mice", "geese", "policemen", "postmen"}
_PLURALS_NOT_IN_S |= {"fishermen", "wolves", "calves", "leaves", "knives", "scarves"}
_SINGULARS_IN_S = {"bus", "glass", "dress", "canvas", "compass", "princess", "actress"}


def _looks_plural(noun: str) -> bool:
    if noun in _PLURALS_NOT_IN_S:
        return True
    return noun.endswith("s") and noun not in _SINGULARS_IN_S


def test_verbs_agree_with_the_head_and_not_the_attractor() -> None:
    rng = Random(9)
    singular = {f" {pair[0]}" for pair in AUXILIARIES + LEXICAL}
    for _ in range(3000):
        case = agreement(rng, opposed=True, attractors=rng.randint(0, 3))
        many = _looks_plural(case.head)
        assert (case.right in singular) == (not many), case.text
        assert (case.wrong in singular) == many, case.text
        if case.attractors:
            assert _looks_plural(case.attractors[-1][0]) != many, case.text
        assert case.text.startswith(case.prompt + case.right + " ")


def test_scenes_answer_from_their_own_facts() -> None:
    checked = 0
    for seed in range(400):
        text = scene(Random(seed))
        for noun, colour in re.findall(r"What colour is the (\w+)\? The \w+ is (\w+)\.", text):
            facts = text.split("What colour")[0]
            stated = re.search(rf"{colour} {noun} |The {noun} is {colour},", facts)
            assert stated, text
            checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("noun", "expected"),
    [("child", "children"), ("city", "cities"), ("box", "boxes"), ("boy", "boys"), ("key", "keys")],
)
def test_plurals(noun: str, expected: str) -> None:
    assert plural(noun) == expected


def test_verb_forms() -> None:
    assert conjugate("carry").past == "carried"
    assert conjugate("stop").gerund == "stopping"
    assert conjugate("lie").gerund == "lying"
    assert conjugate("go").third == "goes"
    assert conjugate("write").participle == "written"
    assert article("apple") == "an apple"
    assert article("uniform") == "a uniform"


def test_random_repeats_are_masked_where_nothing_could_predict_them() -> None:
    ids, length = random_repeat(Random(1), 4096, 64)
    assert ids[:length] == ids[length : 2 * length]
    assert 0 not in ids
    tokenizer = read_tokenizer(WEIGHTS_FOLDER)
    source = batches(tokenizer, BatchOptions(rows=4))
    ignored = total = 0
    for batch in islice(source, 10):
        assert batch.ids.shape == batch.labels.shape == (4, 256)
        kept = batch.labels[:, :-1] != IGNORED
        assert (batch.labels[:, :-1][kept] == batch.ids[:, 1:][kept]).all()
        ignored += int((~kept).sum())
        total += kept.numel()
    assert 0.02 < ignored / total < 0.3


def test_batches_are_the_same_for_the_same_seed() -> None:
    tokenizer = read_tokenizer(WEIGHTS_FOLDER)
    first, again = (next(batches(tokenizer, BatchOptions(rows=4, seed=7))) for _ in range(2))
    other = next(batches(tokenizer, BatchOptions(rows=4, seed=8)))
    assert (first.ids == again.ids).all()
    assert (first.labels == again.labels).all()
    assert not (first.ids == other.ids).all()


def test_objects_are_listed_once() -> None:
    assert len(set(OBJECTS)) == len(OBJECTS)
    assert len({name.text for name in NAMES}) == len(NAMES)


def test_the_learning_rate_warms_up_stays_and_falls_to_zero() -> None:
    options = TrainingOptions(warm_up=100, decay_from=0.5)
    assert rate_factor(0.0, 0, options) == pytest.approx(0.01)
    assert rate_factor(0.4, 4000, options) == 1
    assert rate_factor(0.75, 7500, options) == pytest.approx(0.5)
    assert rate_factor(1.0, 10000, options) == 0


def test_training_twice_gives_the_same_weights(tmp_path: Path) -> None:
    tokenizer = read_tokenizer(WEIGHTS_FOLDER)
    threads = torch.get_num_threads()
    options = TrainingOptions(steps=2, rows=1, warm_up=1, compiled=False, threads=1)
    try:
        for name in ("first", "again"):
            assert train(options, tmp_path / name, tokenizer=tokenizer)["steps"] == 2
        train(replace(options, seed=21, steps=1), tmp_path / "other", tokenizer=tokenizer)
    finally:
        torch.set_num_threads(threads)
    first, again, other = (
        (tmp_path / name / "model.safetensors").read_bytes() for name in ("first", "again", "other")
    )
    assert first == again
    assert first != other


def test_the_passages_of_the_exporter_are_the_corpus() -> None:
    """Calibration and fidelity read files; whoever changes the corpus writes them anew."""
    for name, text in passage_files().items():
        written = (PASSAGES_FOLDER / name).read_text(encoding="utf-8")
        assert written == text, f"{name}: run python -m story_gpt2.write_passages"
    assert list(bundled_text.training_passages()) == training_passages(400)
    assert list(bundled_text.held_out_passages()) == held_out_passages(400)
