"""Names are made and read alike, as the table spells them, for every kind in every layer."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from contract_examples import CONTRACTS, read_json, read_schema
from hypothesis import given
from hypothesis import strategies as st

from oriel.contract.activation_names import (
    LOGITS_START,
    ModelShape,
    activation_spec,
    all_activations,
    cache_output_specs,
    head_scale_name,
    input_specs,
    kinds,
    parse_name,
    past_name,
    present_name,
    resid_delta_name,
)

TABLE = read_json(CONTRACTS / "activations.json")
SHAPE = ModelShape(
    layers=12,
    hidden=20,
    heads=6,
    kv_heads=3,
    head_dim=5,
    intermediate=40,
    vocab=7,
    context_length=9,
)
LAYERS = (0, 1, 9, 10, 11, 99, 999, 1000, 9999)


@pytest.mark.parametrize("kind", kinds())
def test_a_name_that_is_made_is_read_back(kind: str) -> None:
    row = kinds()[kind]
    for layer in LAYERS if row.per_layer else (None,):
        assert parse_name(row.at(layer)) == (row, layer)


@pytest.mark.parametrize("row", TABLE["activations"], ids=lambda row: row["kind"])
def test_names_are_the_tables_own(row: dict[str, str]) -> None:
    for layer in range(SHAPE.layers):
        spec = activation_spec(row["name"].replace("{L}", str(layer)), SHAPE)
        assert spec is not None
        assert spec.dtype == row["dtype"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Logits",
        "logits ",
        "logits\n",
        "layer_0",
        "layer_0_",
        "layer_0_logits",
        "layer_00_q",
        "layer_01_q",
        "layer_-1_q",
        "layer_10000_q",
        "layer_٣_q",
        "layer_0_q\n",
        "layer_0_Q",
        "layer_{L}_q",
        "layer_0_head_scale",
        "q",
        "resid_post",
        "present.0.key",
    ],
)
def test_other_strings_are_no_activations(name: str) -> None:
    assert parse_name(name) is None


@given(st.text())
def test_whatever_is_read_is_spelt_back_the_same(name: str) -> None:
    found = parse_name(name)
    assert found is None or found[0].at(found[1]) == name


def test_a_layer_that_the_model_lacks_has_no_activations() -> None:
    assert activation_spec("layer_11_q", SHAPE) is not None
    assert activation_spec("layer_12_q", SHAPE) is None


def test_inputs_and_cache_outputs_have_the_names_that_the_functions_make() -> None:
    patterns = {row["name"] for row in (*TABLE["inputs"], *TABLE["cache_outputs"])}
    assert patterns == {
        "input_ids",
        "past_key_values.{L}.key",
        "past_key_values.{L}.value",
        "present.{L}.key",
        "present.{L}.value",
        "layer_{L}_head_scale",
        "layer_{L}_resid_delta",
        "logits_start",
    }
    layers = range(SHAPE.layers)
    made = {past_name(layer, part) for layer in layers for part in ("key", "value")}
    made |= {head_scale_name(layer) for layer in layers}
    made |= {resid_delta_name(layer) for layer in layers}
    assert {spec.name for spec in input_specs(SHAPE, "interactive")} == {
        "input_ids",
        LOGITS_START,
        *made,
    }
    assert [spec.name for spec in input_specs(SHAPE, "plain")] == ["input_ids"]
    assert {spec.name for spec in cache_output_specs(SHAPE)} == {
        present_name(layer, part) for layer in layers for part in ("key", "value")
    }


def test_shapes_take_their_sizes_from_the_model() -> None:
    specs = {spec.name: spec.shape for spec in all_activations(SHAPE)}
    assert specs["logits"] == ("batch", "seq", 7)
    assert specs["layer_3_q"] == ("batch", 6, "seq", 5)
    assert specs["layer_3_k"] == ("batch", 3, "seq", 5)
    assert specs["layer_3_attn_probs"] == ("batch", 6, "seq", "total")
    assert specs["layer_3_mlp_act"] == ("batch", "seq", 40)
    assert specs["layer_3_lens_ids"] == ("batch", "seq", 7), "no more than the vocabulary"
    deltas = [spec for spec in input_specs(SHAPE, "interactive") if "delta" in spec.name]
    assert deltas[0].shape == ("delta_batch", "delta_seq", 20)


def test_a_parallel_block_has_no_resid_mid() -> None:
    parallel = replace(SHAPE, parallel_residual=True)
    names = {spec.name for spec in all_activations(parallel)}
    assert {spec.name for spec in all_activations(SHAPE)} - names == {
        f"layer_{layer}_resid_mid" for layer in range(SHAPE.layers)
    }
    assert activation_spec("layer_0_resid_mid", parallel) is None


def test_every_name_keeps_the_schemas_pattern_and_length() -> None:
    rule = read_schema("activations")["$defs"]["tensorName"]
    deep = replace(SHAPE, layers=1000)
    specs = [*all_activations(deep), *input_specs(deep, "interactive"), *cache_output_specs(deep)]
    for spec in specs:
        assert re.fullmatch(rule["pattern"].strip("^$"), spec.name), spec.name
        assert len(spec.name) <= rule["maxLength"]
    assert len({spec.name for spec in specs}) == len(specs)


def test_the_deepest_model_fits_the_schemas_limits() -> None:
    activations, manifest = read_schema("activations"), read_schema("manifest")
    deepest = activations["$defs"]["modelShape"]["properties"]["layers"]["maximum"]
    inputs_a_layer = sum("{L}" in row["name"] for row in TABLE["inputs"])
    inputs_once = len(TABLE["inputs"]) - inputs_a_layer
    assert inputs_once + inputs_a_layer * deepest <= activations["properties"]["inputs"]["maxItems"]
    taps_a_layer = sum(row["per_layer"] for row in TABLE["activations"]) - 1
    variant = manifest["$defs"]["variant"]["properties"]
    assert 2 + taps_a_layer * deepest <= variant["taps"]["maxItems"]


def test_the_tables_own_words_hang_together() -> None:
    rows = [*TABLE["activations"], *TABLE["inputs"], *TABLE["cache_outputs"]]
    symbols = {
        symbol.removesuffix(" or 1") for row in rows for symbol in row["shape"] if symbol != 1
    }
    assert symbols == set(TABLE["dimensions"])
    assert set(TABLE["dynamic_dimensions"]) <= symbols
    assert set(TABLE["defaults"]["activations"]) <= set(kinds())
    dtypes = read_schema("activations")["$defs"]["tensor"]["properties"]["dtype"]["enum"]
    assert {row["dtype"] for row in rows} == set(dtypes)
    for row in TABLE["activations"]:
        assert row["name"] in (row["kind"], f"layer_{{L}}_{row['kind']}")
        assert row["per_layer"] == ("{L}" in row["name"])
    for row in rows:
        assert row["meaning"]["en"].strip()
        assert re.search(r"[\u4e00-\u9fff]", row["meaning"]["zh"])
