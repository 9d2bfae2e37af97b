"""Tests dictionaries: every variant of a bundle computes their features as PyTorch does, and
forged, mismatched and damaged files are refused in one line and change nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import random_dictionaries
import torch
from transformers import GPT2LMHeadModel

from oriel import Bundle
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import add_dictionary
from oriel.dictionaries.dictionary_file import Dictionary, read_dictionary, token_rows

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]


def read(file: Path, bundle: Path) -> Dictionary:
    manifest = read_manifest(bundle)
    return read_dictionary(file, manifest.shape, manifest.data["model"]["weights_digest"])


@pytest.fixture(scope="module")
def files(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dictionaries")
    return random_dictionaries.write_all(tiny_gpt2_bundle, folder)


@pytest.fixture(scope="module")
def bundle(
    quantized_gpt2_bundle: Path, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("with_dictionaries") / "tiny-gpt2"
    shutil.copytree(quantized_gpt2_bundle, folder)
    for name, file in files.items():
        add_dictionary(folder, read(file, folder), name)
    return folder


@pytest.fixture(scope="module")
def model(tiny_gpt2_checkpoint: Path) -> GPT2LMHeadModel:
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    return found


def activations(model: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """Return what PyTorch's modules give for IDS, by the kind and layer that a dictionary reads."""
    found: dict[str, torch.Tensor] = {}
    hooks = []
    for layer, block in enumerate(model.transformer.h):
        for kind, module in (("resid_post", block), ("mlp_output", block.get_submodule("mlp"))):
            hooks.append(module.register_forward_hook(_keep(found, f"{kind}_{layer}")))
        # The last projection of each part reads the neurons and the heads, one after another.
        for kind, part in (("mlp_act", "mlp"), ("attn_z", "attn")):
            last = block.get_submodule(f"{part}.c_proj")
            hooks.append(last.register_forward_pre_hook(_keep_input(found, f"{kind}_{layer}")))
    with torch.no_grad():
        model(torch.tensor(IDS))
    for hook in hooks:
        hook.remove()
    return found


def _keep(found: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_module: object, _given: object, out: Any) -> None:
        found[name] = out[0] if isinstance(out, tuple) else out

    return hook


def _keep_input(found: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        found[name] = given[0]

    return hook


@pytest.mark.parametrize("name", random_dictionaries.CASES)
def test_features_equal_pytorchs(bundle: Path, model: GPT2LMHeadModel, name: str) -> None:
    case = random_dictionaries.CASES[name]
    rows = activations(model)[f"{case.reads[0]}_{case.reads[1]}"]
    right = random_dictionaries.features(name, rows)
    with Bundle(bundle) as opened:
        assert opened.dictionaries == tuple(random_dictionaries.CASES)
        output = f"features_{name}"
        run = opened.run(IDS, [output, f"layer_{case.reads[1]}_{case.reads[0]}"])
        assert set(run) == {output, f"layer_{case.reads[1]}_{case.reads[0]}", "logits"}
        np.testing.assert_allclose(run[output], right, rtol=0, atol=1e-4)
        # A feature that is 0 must be exactly 0, and most are.
        zeros = right.numpy() == 0
        assert 0.3 < zeros.mean() < 1
        np.testing.assert_array_equal(run[output] == 0, zeros)
        own = opened.dictionary(name)
    read_rows = token_rows(run.of(*case.reads))
    np.testing.assert_allclose(own.features(read_rows), run[output], rtol=0, atol=1e-4)
    rebuilt = random_dictionaries.rebuilt(name, right)
    np.testing.assert_allclose(own.rebuild(run[output]), rebuilt, rtol=0, atol=1e-4)
