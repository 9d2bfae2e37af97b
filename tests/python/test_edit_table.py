"""The table of edits that Python and the page share (tests/fixtures/edits): what each does to
tensors of its joints, and what both refuse. tests/web/edit_table.test.ts reads the same files."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_examples import read_json

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.errors import OrielError
from oriel.runtime.edit_json import edits_from_json
from oriel.runtime.edits import Edit
from oriel.runtime.fed_text import FedText
from oriel.runtime.joint_edit import JointEdit
from oriel.runtime.place_edits import place_edits

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FOLDER = FIXTURES / "edits"
TABLE = read_json(FOLDER / "cases.json")
REFUSED = read_json(FOLDER / "refused.json")["cases"]
CASES = TABLE["cases"]


def shape_with(more: dict[str, Any]) -> ModelShape:
    return ModelShape.from_json(TABLE["model"] | more)


def text_of(tokens: int, past: int, goes_on: bool, lengths: list[int] | None = None) -> FedText:
    lengths = lengths or [tokens]
    mask = np.array([[0] * (tokens - length) + [1] * length for length in lengths])
    return FedText(np.zeros_like(mask[:, past:]), mask, goes_on)


def edits_of(case: dict[str, Any]) -> list[Edit]:
    return edits_from_json({"edits_version": "1.0", "edits": case["edits"]})


def along(value: Array, direction: Array) -> Array:
    found: Array = (value * direction).sum(axis=-1, keepdims=True)
    return found


def closed(value: Array, closing: str, given: dict[str, Array]) -> Array:
    """Return a joint's tensor behind a closing, by the closing's meaning in the contract."""
    for tensor in given.values():
        assert tensor.ndim == value.ndim
        assert all(n in (1, m) for n, m in zip(tensor.shape, value.shape, strict=True))
    behind: dict[str, Callable[[], Array]] = {
        "scale": lambda: value * given["scale"],
        "add": lambda: value + given["add"],
        "replace": lambda: np.where(given["mask"], given["value"], value),
        "project-out": lambda: without(given["amount"] * along(value, given["direction"])),
        "cap": lambda: without(np.maximum(along(value, given["direction"]) - given["limit"], 0)),
        "swap": lambda: mirrored(value, given),
        "clamp": lambda: with_feature(value, given),
    }

    def without(part: Array) -> Array:
        left: Array = value - part * given["direction"]
        return left

    return behind[closing]()


def mirrored(value: Array, given: dict[str, Array]) -> Array:
    normal = given["first"] - given["second"]
    normal = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    turned: Array = value - 2 * given["amount"] * along(value, normal) * normal
    return turned


def with_feature(value: Array, given: dict[str, Array]) -> Array:
    """Set a feature of each token: its heads, if there are any, count together."""
    inner = along(value, given["encoder"])
    if value.ndim == 4:
        inner = inner.sum(axis=1, keepdims=True)
    inner = inner + given["bias"]
    feature = np.where(inner > given["threshold"], inner, 0)
    changed: Array = value + given["amount"] * (given["value"] - feature) * given["direction"]
    return changed


def check(case: dict[str, Any], text: FedText, placed: list[JointEdit]) -> None:
    """Hold what the closings do to the part of each tensor that this call feeds."""
    past, tokens = text.total - text.seq, text.total
    first = case["text"]["past"]
    for joint in case["joints"]:
        axes = kinds()[joint["joint"]].shape
        cut = tuple(
            slice(past - first, tokens - first)
            if axis == "sequence_length"
            else slice(0, tokens if axis == "total_sequence_length" else None)
            for axis in axes
        )
        value, want = (
            np.array(joint[name], dtype=np.float32).reshape(joint["dims"])[cut]
            for name in ("input", "edited")
        )
        for edit in placed:
            if (edit.kind, edit.layer) == (joint["joint"], joint["layer"]):
                value = closed(value, edit.closing, dict(edit.tensors))
        # Values in the padding are null.
        own = ~np.isnan(want)
        np.testing.assert_allclose(value[own], want[own], rtol=1e-5, atol=1e-5)


def test_the_table_is_what_its_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FIXTURES)
    made = importlib.import_module("make_edit_cases").table()
    assert made["model"] == TABLE["model"]
    for ours, theirs in zip(made["cases"], CASES, strict=True):
        assert {**ours, "joints": None} == {**theirs, "joints": None}
        for one, other in zip(ours["joints"], theirs["joints"], strict=True):
            # The last digit is the processor's.
            mine, stored = (np.array(each["edited"], dtype=np.float64) for each in (one, other))
            np.testing.assert_allclose(mine, stored, rtol=1e-5, atol=2e-6)
            assert {**one, "edited": None} == {**other, "edited": None}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_edit_does_what_the_table_says(case: dict[str, Any]) -> None:
    text = text_of(**case["text"])
    placed = place_edits(edits_of(case), shape_with({}), text)
    check(case, text, placed)


@pytest.mark.parametrize("case", [c for c in CASES if c["in_pieces"]], ids=lambda c: c["name"])
def test_pieces_give_what_the_whole_gives(case: dict[str, Any]) -> None:
    for cut in range(1, case["text"]["tokens"]):
        for past, tokens in ((0, cut), (cut, case["text"]["tokens"])):
            text = text_of(tokens, past, goes_on=True)
            check(case, text, place_edits(edits_of(case), shape_with({}), text))


def test_alike_edits_in_a_row_are_one_closing() -> None:
    sizes = {
        case["name"]: len(place_edits(edits_of(case), shape_with({}), text_of(**case["text"])))
        for case in CASES
    }
    assert sizes["alike ones become one"] == 1
    assert sizes["knock-outs one after another"] == 1
    assert sizes["in their order"] == 3
    assert sizes["two joints in turns"] == 2


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
def test_what_has_no_place_is_refused_with_its_field(case: dict[str, Any]) -> None:
    with pytest.raises(OrielError) as raised:
        place_edits(edits_of(case), shape_with(case.get("model", {})), text_of(**case["text"]))
    line = str(raised.value)
    assert "\n" not in line
    assert case["field"] in line
