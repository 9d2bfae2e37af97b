"""Edits of a dictionary's features: added and set in a run, beside the same by hooks in PyTorch and
by NumPy."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_dictionaries
import torch
from torch import Tensor, nn
from transformers import GPT2LMHeadModel

from oriel import Add, Bundle, Clamp
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import add_dictionary
from oriel.dictionaries.dictionary_file import read_dictionary, token_rows
from oriel.errors import OptionError
from oriel.runtime.edit_json import edits_from_json, edits_to_json

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]
FEATURE = 7
CLAMPED = ("relu", "jump", "heads")
"""Dictionaries that write what they read, without topk."""


def written_for(name: str) -> dict[str, Tensor]:
    """Return a case's tensors. FEATURE is active at some tokens, and the product of its decoder row
    with its encoder is 1 where they are of one width."""
    held = random_dictionaries.tensors(name)
    held["encoder_bias"][FEATURE] = 4.25 if name == "heads" else 0.25
    if "threshold" in held:
        held["threshold"][FEATURE] = 0.25
    encoder = held["encoder_weight"][:, FEATURE]
    if held["decoder_weight"].shape[1] == len(encoder):
        held["decoder_weight"][FEATURE] = encoder / (encoder @ encoder)
    return held


@pytest.fixture(scope="module")
def bundle(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    folder = tmp_path_factory.mktemp("feature_edits") / "tiny-gpt2"
    shutil.copytree(tiny_gpt2_bundle, folder)
    manifest = read_manifest(folder)
    weights = manifest.data["model"]["weights_digest"]
    for name in random_dictionaries.CASES:
        file = folder.parent / f"{name}.safetensors"
        said = random_dictionaries.description(name, weights)
        random_dictionaries.write(file, written_for(name), said)
        add_dictionary(folder, read_dictionary(file, manifest.shape, weights), name)
    with Bundle(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def model(tiny_gpt2_checkpoint: Path) -> GPT2LMHeadModel:
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    return found


@contextmanager
def changed(
    model: GPT2LMHeadModel, place: tuple[str, int], change: Callable[[Tensor], Tensor]
) -> Iterator[None]:
    """Change the rows (batch, tokens, width) of an activation, heads one after another."""
    kind, layer = place
    block = model.transformer.h[layer]
    parts = {
        "resid_post": "",
        "mlp_output": "mlp",
        "mlp_act": "mlp.c_proj",
        "attn_z": "attn.c_proj",
    }
    module = block.get_submodule(parts[kind])

    def gives(_m: nn.Module, _in: object, out: Any) -> Any:
        return (change(out[0]), *out[1:]) if isinstance(out, tuple) else change(out)

    def takes(_m: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (change(given[0]), *given[1:])

    is_input = kind in ("mlp_act", "attn_z")
    handle = (
        module.register_forward_pre_hook(takes) if is_input else module.register_forward_hook(gives)
    )
    try:
        yield
    finally:
        handle.remove()


def logits(model: GPT2LMHeadModel) -> Tensor:
    with torch.no_grad():
        found: Tensor = model(torch.tensor(IDS)).logits
        return found


@pytest.mark.parametrize("position", [None, [1, 4, 6]])
@pytest.mark.parametrize("name", CLAMPED)
def test_a_feature_is_set_as_by_a_hook_in_pytorch(
    bundle: Bundle, model: GPT2LMHeadModel, name: str, position: list[int] | None
) -> None:
    place, held = random_dictionaries.CASES[name].reads, written_for(name)
    rows = slice(None) if position is None else position

    def change(x: Tensor) -> Tensor:
        inner = x @ held["encoder_weight"][:, FEATURE] + held["encoder_bias"][FEATURE]
        least = held["threshold"][FEATURE] if "threshold" in held else 0
        feature = torch.where(inner > least, inner, torch.zeros_like(inner))
        whole = x + (1.5 - feature)[..., None] * held["decoder_weight"][FEATURE]
        x = x.clone()
        x[:, rows] = whole[:, rows]
        return x

    with changed(model, place, change):
        want = logits(model)
    edit = bundle.clamp_feature(name, FEATURE, 1.5, position)
    got = bundle.run(IDS, edits=[edit]).logits
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    assert np.abs(got - bundle.run(IDS).logits).max() > 1e-3


@pytest.mark.parametrize("name", CLAMPED)
def test_a_feature_that_was_active_has_the_value(bundle: Bundle, name: str) -> None:
    """Its row of the decoder times its column of the encoder is 1, so that it is read as it was
    set; one that was not active is read as its sum plus the value."""
    kind, layer = random_dictionaries.CASES[name].reads
    before = bundle.run(IDS, [f"features_{name}", f"layer_{layer}_{kind}"])
    edit = bundle.clamp_feature(name, FEATURE, 2.5)
    after = bundle.run(IDS, [f"features_{name}", f"layer_{layer}_{kind}"], [edit])
    held = written_for(name)
    sums = token_rows(before.of(kind, layer)) @ held["encoder_weight"].numpy()[:, FEATURE]
    sums = sums + float(held["encoder_bias"][FEATURE])
    was = before[f"features_{name}"][..., FEATURE]
    assert 0 < (was > 0).sum() < was.size, sums
    want = np.where(was > 0, 2.5, np.maximum(sums + 2.5, 0))
    if "threshold" in held:
        want = np.where(want > float(held["threshold"][FEATURE]), want, 0)
    read = bundle.dictionary(name).features(token_rows(after.of(kind, layer)))
    np.testing.assert_allclose(read[..., FEATURE], want, rtol=0, atol=1e-4)
    np.testing.assert_allclose(after[f"features_{name}"], read, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", random_dictionaries.CASES)
def test_what_a_feature_writes_is_added_as_by_a_hook(
    bundle: Bundle, model: GPT2LMHeadModel, name: str
) -> None:
    place, held = random_dictionaries.CASES[name].writes, written_for(name)
    row = held["decoder_weight"][FEATURE].float()

    def change(x: Tensor) -> Tensor:
        x = x.clone()
        x[:, 3:] += -2 * row
        return x

    with changed(model, place, change):
        want = logits(model)
    edit = bundle.add_feature(name, FEATURE, -2, slice(3, None))
    assert isinstance(edit, Add)
    got = bundle.run(IDS, edits=[edit]).logits
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
    assert np.abs(got - bundle.run(IDS).logits).max() > 1e-3


def test_a_set_feature_is_written_as_json_and_read_again(bundle: Bundle) -> None:
    for name in CLAMPED:
        edit = bundle.clamp_feature(name, FEATURE, 2.5, slice(1, None))
        assert isinstance(edit, Clamp)
        (again,) = edits_from_json(edits_to_json([edit]))
        assert again == edit
        record = edit.to_json()
        assert record["edit"] == "clamp"
        assert len(edit.numbers()["encoder"]) == 24
        assert ("threshold" in written_for(name)) == (edit.threshold > 0)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda b: b.clamp_feature("coder", 0, 1),
            "a feature of this dictionary can't be set to a value; got it reads"
            " layer_0_resid_post and writes layer_1_mlp_output",
        ),
        (lambda b: b.clamp_feature("top_5", 0, 1), "got it keeps the 5 greatest features"),
        (lambda b: b.clamp_feature("top_5", 0, 1), "Add the feature: bundle.add_feature("),
        (lambda b: b.clamp_feature("relu", 40, 1), "no such feature; got feature 40; expected 0"),
        (lambda b: b.add_feature("coder", -1, 1), "no such feature; got feature -1"),
        (lambda b: b.add_feature("coder", True, 1), "no such feature; got feature True"),
        (lambda b: b.clamp_feature("none", 0, 1), "no such dictionary; got none"),
        (
            lambda b: b.run(IDS, edits=[b.clamp_feature("relu", 0, float("nan"))]),
            "value of Clamp at resid_post is no finite number",
        ),
        (
            lambda b: b.run(IDS, edits=[b.clamp_feature("relu", 0, 1, 8)]),
            "no such position; got position 8",
        ),
    ],
)
def test_a_feature_that_can_not_be_edited_is_told_in_one_line(
    bundle: Bundle, ask: Callable[[Bundle], Any], message: str
) -> None:
    with pytest.raises(OptionError) as raised:
        ask(bundle)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
