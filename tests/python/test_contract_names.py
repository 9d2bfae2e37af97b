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
    NUM_LOGITS,
    LayerSizes,
    ModelShape,
    activation_spec,
    all_activations,
    cache_output_specs,
    head_scale_name,
    in_terms_of,
    input_specs,
    joint_specs,
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
FULL = replace(SHAPE, gated_mlp=True, raw_outputs=True)
MIXED = replace(FULL, experts=4, active_experts=2)
POOLED = replace(SHAPE, bidirectional=True, labels=3, pooled=True)
"""Shapes that between them have every kind: experts replace the one MLP, labels the vocabulary."""
LAYERS = (0, 1, 9, 10, 11, 99, 999, 1000, 9999)


@pytest.mark.parametrize("kind", kinds())
def test_a_name_that_is_made_is_read_back(kind: str) -> None:
    row = kinds()[kind]
    for layer in LAYERS if row.per_layer else (None,):
        assert parse_name(row.at(layer)) == (row, layer)


@pytest.mark.parametrize("row", TABLE["activations"], ids=lambda row: row["kind"])
def test_names_are_the_tables_own(row: dict[str, str]) -> None:
    for layer in range(SHAPE.layers):
        name = row["name"].replace("{L}", str(layer))
        specs = [activation_spec(name, shape) for shape in (FULL, MIXED, POOLED)]
        spec = next(each for each in specs if each is not None)
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
        "attention_mask",
        "token_type_ids",
        "position_ids",
        "cache_position",
        "num_logits_to_keep",
        "past_key_values.{L}.key",
        "past_key_values.{L}.value",
        "present.{L}.key",
        "present.{L}.value",
        "layer_{L}_head_scale",
        "layer_{L}_resid_delta",
        "logits_start",
    }
    layers = range(SHAPE.layers)
    past = {past_name(layer, part) for layer in layers for part in ("key", "value")}
    edits = {head_scale_name(layer) for layer in layers}
    edits |= {resid_delta_name(layer) for layer in layers}
    interactive = {spec.name for spec in input_specs(SHAPE, "interactive")}
    assert interactive == {"input_ids", LOGITS_START, *past, *edits}
    for graph in ("decoder", "open"):
        names = {spec.name for spec in input_specs(SHAPE, graph)}
        assert names == {"input_ids", "attention_mask", "position_ids", NUM_LOGITS, *past}
    assert [spec.name for spec in input_specs(SHAPE, "plain")] == ["input_ids"]
    assert {spec.name for spec in cache_output_specs(SHAPE)} == {
        present_name(layer, part) for layer in layers for part in ("key", "value")
    }


def test_shapes_take_their_sizes_from_the_model() -> None:
    specs = {spec.name: spec.shape for spec in all_activations(SHAPE)}
    tokens = ("batch_size", "sequence_length")
    assert specs["logits"] == ("batch_size", "num_logits", 7)
    assert specs["layer_3_q"] == ("batch_size", 6, "sequence_length", 5)
    assert specs["layer_3_k"] == ("batch_size", 3, "sequence_length", 5)
    probs = ("batch_size", 6, "sequence_length", "total_sequence_length")
    assert specs["layer_3_attn_probs"] == probs
    assert specs["layer_3_mlp_act"] == (*tokens, 40)
    assert specs["layer_3_lens_ids"] == (*tokens, 7), "no more than the vocabulary"
    deltas = [spec for spec in input_specs(SHAPE, "interactive") if "delta" in spec.name]
    assert deltas[0].shape == ("delta_batch", "delta_seq", 20)


def test_a_document_of_1_x_names_the_same_dimensions_otherwise() -> None:
    logits, probs = (activation_spec(name, SHAPE) for name in ("logits", "layer_3_attn_probs"))
    assert logits is not None and probs is not None
    assert in_terms_of("1.0", logits).shape == ("batch", "seq", 7)
    assert in_terms_of("1.4", probs).shape == ("batch", 6, "seq", "total")
    assert in_terms_of("2.3", probs) == probs
    for spec in (probs, in_terms_of("1.0", probs)):
        assert spec.sizes(2, 3, 4) == (2, 6, 3, 7)


def test_joints_are_the_kinds_that_the_table_marks() -> None:
    marked = [row["kind"] for row in TABLE["activations"] if row.get("joint")]
    assert {spec.name for spec in joint_specs(SHAPE)} == {
        kinds()[kind].at(layer) for kind in marked for layer in range(SHAPE.layers)
    }
    assert all(spec.dtype == "float32" for spec in joint_specs(SHAPE))
    parallel = replace(SHAPE, parallel_residual=True)
    gone = {spec.name for spec in joint_specs(SHAPE)} - {s.name for s in joint_specs(parallel)}
    assert gone == {f"layer_{layer}_resid_mid" for layer in range(SHAPE.layers)}


def test_a_parallel_block_has_no_resid_mid() -> None:
    parallel = replace(SHAPE, parallel_residual=True)
    names = {spec.name for spec in all_activations(parallel)}
    assert {spec.name for spec in all_activations(SHAPE)} - names == {
        f"layer_{layer}_resid_mid" for layer in range(SHAPE.layers)
    }
    assert activation_spec("layer_0_resid_mid", parallel) is None


OPTIONAL = {
    "gated_mlp": {"mlp_gate", "mlp_linear"},
    "raw_outputs": {"attn_output_raw", "mlp_output_raw"},
}


@pytest.mark.parametrize("trait", OPTIONAL)
def test_a_model_has_the_kinds_of_its_properties_alone(trait: str) -> None:
    without = {spec.name for spec in all_activations(SHAPE)}
    with_it = {spec.name for spec in all_activations(replace(SHAPE, **{trait: True}))}  # type: ignore[arg-type]
    assert with_it - without == {
        f"layer_{layer}_{kind}" for layer in range(SHAPE.layers) for kind in OPTIONAL[trait]
    }
    assert not without - with_it


def test_experts_bring_a_router_and_take_the_neurons_of_the_one_mlp() -> None:
    gated = replace(SHAPE, gated_mlp=True)
    routed = replace(gated, experts=4, active_experts=2)
    one = {spec.name for spec in all_activations(gated)}
    several = {spec.name: spec for spec in all_activations(routed)}
    assert {name for name in one - several.keys() if name.startswith("layer_3_")} == {
        f"layer_3_{kind}" for kind in ("mlp_pre", "mlp_gate", "mlp_linear", "mlp_act")
    }
    assert several["layer_3_router_logits"].shape == ("batch_size", "sequence_length", 4)
    assert several["layer_3_router_probs"].shape == ("batch_size", "sequence_length", 4)
    assert several["layer_3_expert_ids"].shape == ("batch_size", "sequence_length", 2)
    assert several["layer_3_expert_ids"].dtype == "int64"
    assert several["layer_3_expert_weights"].shape == ("batch_size", "sequence_length", 2)


def test_a_layer_may_have_sizes_of_its_own() -> None:
    sizes = (LayerSizes(), LayerSizes(heads=9, value_dim=4), LayerSizes(experts=2))
    shape = replace(SHAPE, layers=3, value_dim=2, active_experts=1, layer_sizes=sizes)
    specs = {spec.name: spec.shape for spec in all_activations(shape)}
    assert specs["layer_0_attn_z"] == ("batch_size", 6, "sequence_length", 2)
    assert specs["layer_1_attn_z"] == ("batch_size", 9, "sequence_length", 4)
    assert specs["layer_0_q"] == ("batch_size", 6, "sequence_length", 5), (
        "value_dim is the values' alone"
    )
    assert "layer_1_mlp_act" in specs and "layer_2_mlp_act" not in specs
    assert kinds()["mlp_act"].layers_of(shape) == [0, 1]
    assert kinds()["router_probs"].layers_of(shape) == [2]
    assert kinds()["attn_z"].layers_of(shape) == [0, 1, 2]
    assert specs["layer_2_router_logits"] == ("batch_size", "sequence_length", 2)
    caches = {spec.name: spec.shape for spec in cache_output_specs(shape)}
    assert caches["present.1.key"] == ("batch_size", 3, "total_sequence_length", 5)
    assert caches["present.1.value"] == ("batch_size", 3, "total_sequence_length", 4)
    inputs = {spec.name: spec.shape for spec in input_specs(shape, "interactive")}
    assert inputs["layer_1_head_scale"] == (9,)
    assert inputs["past_key_values.0.value"] == ("batch_size", 3, "past_sequence_length", 2)


@pytest.mark.parametrize(
    "shape",
    [
        SHAPE,
        replace(FULL, attention_sinks=True, window=7, value_dim=3),
        replace(MIXED, layers=2, layer_sizes=(LayerSizes(experts=0, window=3), LayerSizes())),
    ],
)
def test_a_shape_is_read_back_from_its_record(shape: ModelShape) -> None:
    assert ModelShape.from_json(shape.to_json()) == shape


def test_what_a_model_lacks_is_left_out_of_its_record() -> None:
    """Readers of contract 1.0 then find what they know and nothing else."""
    assert set(SHAPE.to_json()) == set(
        read_schema("activations")["$defs"]["modelShape"]["required"]
    )


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
    # One tap gives both tensors of the lens.
    kinds_a_layer = max(
        sum(name.startswith("layer_0_") for name in names)
        for names in ([s.name for s in all_activations(shape)] for shape in (FULL, MIXED))
    )
    taps_a_layer = kinds_a_layer - 1
    assert kinds_a_layer * deepest + 3 <= activations["properties"]["outputs"]["maxItems"]
    variant = manifest["$defs"]["variant"]["properties"]
    assert 2 + taps_a_layer * deepest <= variant["taps"]["maxItems"]


def test_the_tables_own_words_hang_together() -> None:
    rows = [*TABLE["activations"], *TABLE["inputs"], *TABLE["cache_outputs"]]
    # The deltas of 1.x spell dynamic dimensions as it does.
    shapes = [
        shape for row in rows for shape in (row["shape"], *row.get("shape_when", {}).values())
    ]
    symbols = {s for shape in shapes for s in shape if s != 1 and not s.endswith(" or 1")}
    assert symbols == set(TABLE["dimensions"])
    assert set(TABLE["earlier"]["dimensions"]) == set(TABLE["dynamic_dimensions"])
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
