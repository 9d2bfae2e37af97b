"""Recipes: which rule a weight falls under, one clear line for whatever can't be read, and what the
bundled ones make of GPT-2 small's sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from oriel.errors import RecipeError
from oriel.graph.attach_weights import place_weights
from oriel.precision.recipes.recipe import (
    Rule,
    bundled_recipe,
    bundled_recipes,
    parse_recipe,
    read_recipe,
)
from oriel.precision.recipes.weight_uses import WeightUse
from oriel.precision.weights.write_encoded import place_encoded

MATRIX = WeightUse((8, 6), 0, multiplied=True)
TABLE = WeightUse((100, 6), 1, gathered=True)
VECTOR = WeightUse((6,), None)
CHANNELS = {"treat": "channels"}
BLOCKS = {"treat": "blocks", "bits": 4, "block": 32}


def recipe_of(*rules: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": "own", "rules": [{"match": "*", **rule} for rule in rules]}


def chosen(uses: Mapping[str, WeightUse], *rules: Mapping[str, Any]) -> dict[str, Rule]:
    return parse_recipe(recipe_of(*rules)).choose(uses)


# Which rule it is.


def test_the_first_rule_that_matches_wins() -> None:
    rules = (
        {"match": "a.*", "treat": "float16"},
        {"match": ["*.b", "c"], **BLOCKS},
        {"match": "a.b", **CHANNELS},
    )
    found = chosen(dict.fromkeys(("a.b", "x.b", "c", "cc"), MATRIX), *rules)
    treats = {name: rule.treat for name, rule in found.items()}
    assert treats == {"a.b": "float16", "x.b": "blocks", "c": "blocks", "cc": "float32"}


def test_patterns_are_globs_of_whole_names_that_mind_case() -> None:
    uses = dict.fromkeys(("h.0.W", "h.1.W", "h.0.w", "h.0.W.x"), MATRIX)
    found = chosen(uses, {"match": "h.[0-9].W", **BLOCKS})
    assert [name for name, rule in found.items() if rule.quantizes] == ["h.0.W", "h.1.W"]


def test_a_vector_passes_rules_that_quantize() -> None:
    found = chosen({"w": MATRIX, "v": VECTOR}, BLOCKS, {"treat": "float16"})
    assert [found[name].treat for name in "wv"] == ["blocks", "float16"]


def test_a_weight_beyond_max_values_goes_on_to_the_next_rule() -> None:
    small = {**BLOCKS, "bits": 8, "max_values": 48}
    found = chosen({"w": MATRIX, "t": TABLE}, small, BLOCKS)
    assert [found[name].bits for name in "wt"] == [8, 4]


def test_values_of_channels_are_unsigned_unless_asked_for() -> None:
    kinds: tuple[dict[str, bool], ...] = (
        {},
        {"signed": True},
        {"signed": False},
        {"symmetric": False},
    )
    found = [parse_recipe(recipe_of({**CHANNELS, **kind})).rules[0] for kind in kinds]
    assert [rule.signed for rule in found] == [False, True, False, False]
    assert [rule.symmetric for rule in found] == [True, True, True, False]


# What can't be used.

REFUSED: dict[str, tuple[Any, str]] = {
    "a list": ([], "[] is not of type 'object'"),
    "no name": ({"rules": [{"match": "*", **BLOCKS}]}, "'name' is a required"),
    "no rules": ({"name": "own"}, "'rules' is a required"),
    "empty rules": ({"name": "own", "rules": []}, "rules"),
    "an unknown key": ({**recipe_of(BLOCKS), "colour": 1}, "'colour'"),
    "an unknown key of a rule": (recipe_of({**BLOCKS, "colour": 1}), "'colour'"),
    "no match": ({"name": "own", "rules": [BLOCKS]}, "'match' is a required"),
    "an empty match": (recipe_of({**BLOCKS, "match": ""}), "match"),
    "a match of nothing": (recipe_of({**BLOCKS, "match": []}), "match"),
    "a match that is a number": (recipe_of({**BLOCKS, "match": 3}), "rules/0/match: 3"),
    "no treatment": (recipe_of({"bits": 4}), "'treat' is a required"),
    "an unknown treatment": (recipe_of({"treat": "int3"}), "'int3' is not one of"),
    "unknown bits": (recipe_of({**BLOCKS, "bits": 5}), "bits: 5 is not one of [4, 8]"),
    "an unknown block": (recipe_of({**BLOCKS, "block": 48}), "block: 48 is not one of"),
    "no block": (recipe_of({"treat": "blocks", "bits": 4}), "'block' is a required"),
    "channels of 4 bits": (recipe_of({**CHANNELS, "bits": 4}), "bits: 4"),
    "channels in blocks": (recipe_of({**CHANNELS, "block": 32}), "'block' is not one of"),
    "signed blocks": (recipe_of({**BLOCKS, "signed": True}), "'signed' is not one of"),
    "an unknown rounding": (recipe_of({**BLOCKS, "rounding": "up"}), "'up' is not one of"),
    "a rounding of floats": (
        recipe_of({"treat": "float16", "rounding": "mse"}),
        "'rounding' is not one of",
    ),
    "symmetric in words": (recipe_of({**BLOCKS, "symmetric": "yes"}), "'yes' is not of type"),
    "no values at all": (recipe_of({**BLOCKS, "max_values": 0}), "max_values: 0"),
    "reduced without a sign": (
        recipe_of({**CHANNELS, "reduced": True}),
        "reduced without signed",
    ),
    "signed with zero points": (
        recipe_of({**CHANNELS, "signed": True, "symmetric": False}),
        "signed without symmetric",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_recipe_that_is_none_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    data, told = REFUSED[name]
    file = tmp_path / "own.json"
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RecipeError) as error:
        read_recipe(file)
    line = str(error.value)
    assert told in line and "own.json" in line
    assert "\n" not in line and len(line) < 600


@pytest.mark.parametrize("content", [b"", b"{", b"q4", b"\xff\xfe{", b"[" * 100_000])
def test_a_file_that_is_not_json_is_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=r"own\.json is not JSON"):
        read_recipe(file)


def test_a_file_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.json can't be read; got No such file"):
        read_recipe(tmp_path / "none.json")
    with pytest.raises(RecipeError, match="can't be read; got Is a directory"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    "rules",
    [
        ({"match": "*.nothing", **BLOCKS},),
        ({"match": "norm", **BLOCKS}, {"treat": "float16"}),
        ({**BLOCKS, "max_values": 4},),
        ({"treat": "float32"},),
        ({"match": "nothing", "treat": "float16"},),
    ],
)
def test_a_recipe_that_changes_nothing_is_refused(rules: tuple[dict[str, Any], ...]) -> None:
    with pytest.raises(RecipeError, match=r"recipe own matches nothing.* such as h\.0\.w"):
        chosen({"h.0.w": MATRIX, "norm": VECTOR}, *rules)


# What is told of them.


def test_the_documents_example_is_a_recipe_and_its_table_has_every_key() -> None:
    text = (Path(__file__).parents[2] / "docs" / "recipes.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    assert parse_recipe(json.loads(example)).calibrated
    told = set(re.findall(r"^\| `(\w+)`", text, re.MULTILINE))
    assert told == {field.name for field in fields(Rule)}


# The bundled ones.


def gpt2_small() -> tuple[dict[str, tuple[int, ...]], dict[str, WeightUse]]:
    """Names and shapes of its 124,439,808 parameters, matrices as (in, out)."""
    width = 768
    shapes: dict[str, tuple[int, ...]] = {
        "transformer.wte.weight": (50257, width),
        "transformer.wpe.weight": (1024, width),
        "transformer.ln_f.weight": (width,),
        "transformer.ln_f.bias": (width,),
    }
    uses = {
        name: WeightUse(shape, 1 if len(shape) == 2 else None) for name, shape in shapes.items()
    }
    for layer in range(12):
        for name, inputs, outputs in (
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ):
            at = f"transformer.h.{layer}.{name}"
            shapes |= {f"{at}.weight": (inputs, outputs), f"{at}.bias": (outputs,)}
            uses[f"{at}.weight"] = WeightUse((inputs, outputs), 0, multiplied=True)
        for norm in ("ln_1", "ln_2"):
            at = f"transformer.h.{layer}.{norm}"
            shapes |= {f"{at}.weight": (width,), f"{at}.bias": (width,)}
    return shapes, {name: uses.get(name, WeightUse(shape, None)) for name, shape in shapes.items()}


@pytest.mark.parametrize(("name", "maximum"), [("f16", 250e6), ("q8", 130e6), ("q4", 76e6)])
def test_gpt2_small_stays_below_what_was_promised(name: str, maximum: float) -> None:
    shapes, uses = gpt2_small()
    layout = place_weights(shapes, ())
    assert sum(weight.bytes for weight in layout.weights) == 4 * 124_439_808
    last = place_encoded(layout, uses, bundled_recipe(name))[-1]
    assert last.values + last.value_bytes <= maximum


def test_the_bundled_recipes_are_those_of_the_encodings() -> None:
    assert bundled_recipes() == ["f16", "q4", "q8", "q8_signed"]
    assert [bundled_recipe(name).name for name in bundled_recipes()] == bundled_recipes()
    _, uses = gpt2_small()
    treats = {name: bundled_recipe(name).choose(uses) for name in bundled_recipes()}
    matrix, positions = "transformer.h.3.mlp.c_fc.weight", "transformer.wpe.weight"
    assert {rule.treat for rule in treats["f16"].values()} == {"float16"}
    assert [treats[name][matrix].treat for name in ("q8", "q4")] == ["channels", "blocks"]
    assert [treats[name][matrix].bits for name in ("q8", "q4")] == [8, 4]
    assert {treats[name][positions].treat for name in ("q8", "q4")} == {"float16"}


def test_a_small_embedding_keeps_8_bits_in_q4_and_a_large_one_does_not() -> None:
    recipe = bundled_recipe("q4")
    for vocab, bits in ((4096, 8), (50257, 4)):
        for name in ("transformer.wte.weight", "model.embed_tokens.weight", "lm_head.weight"):
            rule = recipe.rule_for(name, WeightUse((vocab, 768), 1, gathered=True))
            assert rule.bits == bits
