"""Edits written as JSON and read again, and what is told of those that can't be."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_examples import CONTRACTS, read_json

from oriel import Add, Bundle, Cap, Clamp, KnockOut, ProjectOut, Replace, Scale, Swap
from oriel.errors import ContractError, OptionError
from oriel.runtime.edit_json import edit_from_json, edits_from_json, edits_to_json
from oriel.runtime.edits import Edit

VECTOR = np.random.default_rng(2).normal(size=24).astype(np.float32)
EDITS: dict[str, tuple[Edit, dict[str, Any]]] = {
    "a head off": (
        Scale("attn_z", layer=5, head=2),
        {"edit": "scale", "joint": "attn_z", "layer": 5, "head": 2, "factor": 0.0},
    ),
    "indices of NumPy": (
        Scale("mlp_act", layer=1, neuron=tuple(np.array([3, 4])), row=[0, 1], factor=-1.5),
        {
            **{"edit": "scale", "joint": "mlp_act", "layer": 1, "neuron": [3, 4], "row": [0, 1]},
            "factor": -1.5,
        },
    ),
    "an open stretch": (
        Add("resid_post", layer=0, position=slice(2, None), vector=[1, 2], strength=0.5),
        {
            **{"edit": "add", "joint": "resid_post", "layer": 0, "position": {"start": 2}},
            **{"vector": [1.0, 2.0], "strength": 0.5},
        },
    ),
    "values of the joint's rank": (
        Replace("q", layer=3, position=[1, -1], value=[[[[1], [2]]]]),
        {
            **{"edit": "replace", "joint": "q", "layer": 3, "position": [1, -1]},
            "value": {"shape": [1, 1, 2, 1], "values": [1.0, 2.0]},
        },
    ),
    "a knock-out": (
        KnockOut(layer=5, head=[2], query=9, key=slice(None, -2)),
        {"edit": "knock-out", "layer": 5, "head": [2], "query": 9, "key": {"stop": -2}},
    ),
    "a projection": (
        ProjectOut("resid_mid", layer=2, direction=[3, 4]),
        {
            **{"edit": "project-out", "joint": "resid_mid", "layer": 2},
            **{"direction": [3.0, 4.0], "amount": 1.0},
        },
    ),
    "a cap": (
        Cap("k", layer=2, head=0, direction=[0, 2], limit=1),
        {
            **{"edit": "cap", "joint": "k", "layer": 2, "head": 0},
            **{"direction": [0.0, 2.0], "limit": 1.0},
        },
    ),
    "a swap": (
        Swap("resid_pre", layer=0, row=0, first=[1, 0], second=[0, 1], amount=0.25),
        {
            **{"edit": "swap", "joint": "resid_pre", "layer": 0, "row": 0},
            **{"first": [1.0, 0.0], "second": [0.0, 1.0], "amount": 0.25},
        },
    ),
    "a feature": (
        Clamp("attn_z", layer=1, head=2, encoder=[1, 2], direction=[3, -4], value=5),
        {
            **{"edit": "clamp", "joint": "attn_z", "layer": 1, "head": 2, "encoder": [1.0, 2.0]},
            **{"bias": 0.0, "threshold": 0.0, "direction": [3.0, -4.0], "value": 5.0},
        },
    ),
    "a feature with a threshold": (
        Clamp(
            "resid_post",
            layer=0,
            position=slice(1, None),
            encoder=[1],
            bias=-0.5,
            threshold=0.25,
            direction=[2],
            value=0,
        ),
        {
            **{"edit": "clamp", "joint": "resid_post", "layer": 0, "position": {"start": 1}},
            **{"encoder": [1.0], "bias": -0.5, "threshold": 0.25, "direction": [2.0], "value": 0.0},
        },
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_written_as_the_contract_says(name: str) -> None:
    edit, record = EDITS[name]
    assert edit.to_json() == record
    read = edit_from_json(json.loads(json.dumps(record)))
    assert type(read) is type(edit)
    assert read.to_json() == record


def test_numbers_come_back_as_the_same_float32() -> None:
    edits = [Add("resid_post", layer=0, vector=VECTOR), Replace("q", layer=0, value=VECTOR[None])]
    text = json.dumps(edits_to_json(edits))
    add, replace = edits_from_json(json.loads(text))
    assert (add.numbers()["vector"] == VECTOR).all()
    assert (replace.numbers()["value"] == VECTOR[None]).all()


def test_values_of_another_run_are_written_out(tiny_gpt2_bundle: Path) -> None:
    with Bundle(tiny_gpt2_bundle) as bundle:
        run = bundle.run([5, 17, 3], activations=["attn_z"])
        edit = Replace("attn_z", layer=1, head=0, from_run=run, from_position=1)
        record = edit.to_json()
        assert "from_run" not in record
        read = edit_from_json(json.loads(json.dumps(record)))
        other = [1, 60, 60]
        given = [bundle.run(other, edits=[each]).logits for each in (edit, read)]
    assert (given[0] == given[1]).all()
    assert record["value"]["shape"] == [1, 3, 1, 8]  # type: ignore[typeddict-item,index,call-overload]


def test_whole_numbers_may_be_written_as_fractions() -> None:
    read = edit_from_json({"edit": "scale", "joint": "q", "layer": 2.0, "head": [1.0]})
    assert read == Scale("q", layer=2, head=[1])
    assert type(read.layer) is int


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (3, "the edit is no edit that Oriel knows; got int; expected edit: one of scale, add"),
        ({}, "got edit 'None'"),
        ({"edit": "double"}, "got edit 'double'"),
        ({"edit": "scale", "joint": "q"}, r"\(scale\) .*'layer' is a required property"),
        (
            {"edit": "scale", "joint": "q", "layer": 0, "positon": 2},
            r"'positon' was unexpected",
        ),
        (
            {"edit": "scale", "joint": "q", "layer": 0, "head": [0, -1]},
            r"at head/1: -1 is less than the minimum",
        ),
        (
            {"edit": "add", "joint": "q", "layer": 0, "vector": [1, 1e39]},
            r"vector of Add at q is no finite number",
        ),
        (
            {"edit": "cap", "joint": "q", "layer": 0, "direction": [0, 0], "limit": 1},
            r"direction of Cap at q has no length",
        ),
        (
            {"edit": "clamp", "joint": "q", "layer": 0, "encoder": [1], "value": 0}
            | {"direction": [1], "threshold": -0.5},
            r"at threshold: -0.5 is less than the minimum",
        ),
        (
            {"edit": "clamp", "joint": "q", "layer": 0, "encoder": [1e39], "value": 0}
            | {"direction": [1]},
            r"encoder of Clamp at q is no finite number",
        ),
        (
            {
                **{"edit": "replace", "joint": "q", "layer": 0},
                "value": {"shape": [2, 2], "values": [1]},
            },
            r"value of the edit has another number of values .*got 1; expected 2 × 2",
        ),
    ],
)
def test_a_mistake_is_told_in_one_line(record: object, message: str) -> None:
    with pytest.raises(ContractError) as raised:
        edit_from_json(record)
    assert re.search(message, str(raised.value)), str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_edit_at_fault_is_named() -> None:
    good = {"edit": "scale", "joint": "q", "layer": 0}
    with pytest.raises(ContractError, match=r"edit 1 \(scale\) doesn't keep"):
        edits_from_json({"edits_version": "1.0", "edits": [good, {**good, "layer": -1}]})


def test_an_edit_without_numbers_is_not_written() -> None:
    with pytest.raises(OptionError, match="no finite number"):
        edits_to_json([Scale("q", layer=0, factor=float("nan"))])


def test_the_example_of_the_contract_is_valid() -> None:
    text = (CONTRACTS / "ACTIVATIONS_CONTRACT.md").read_text(encoding="utf-8")
    section = text[text.index("\n## Edits\n") : text.index("\n## Documents\n")]
    (example,) = re.findall(r"```json edits\n(.*?)```", section, flags=re.S)
    assert len(edits_from_json(json.loads(example))) == 3
    names = {each["edit"] for each in read_json(EVERY_KIND)["edits"]}
    assert names | {"edit"} == set(re.findall(r"^\| `([a-z-]+)` \|", section, flags=re.M))


EVERY_KIND = CONTRACTS / "examples" / "valid" / "edits__every_kind.json"
