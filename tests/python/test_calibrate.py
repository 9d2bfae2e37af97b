"""Calibration, held to what PyTorch's own modules are given on the same ids."""

from __future__ import annotations

import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, LlamaForCausalLM

from oriel.bundle.passages import Passages
from oriel.bundle.read_bundle import StoredBundle, read_bundle
from oriel.errors import GraphError
from oriel.graph import graph_in_parts
from oriel.precision.calibration.calibrate import Calibration, RangeMethod, calibrate
from oriel.precision.recipes.recipe import bundled_recipe
from oriel.precision.recipes.weight_uses import weight_uses
from oriel.precision.weights.expand_weights import expand_weights
from oriel.precision.weights.write_encoded import write_encoded_file

Array = np.ndarray[Any, np.dtype[Any]]


def passages(vocab: int) -> Passages:
    rng = np.random.default_rng(6)
    lengths = (3, 17, 32, 1, 30, 32, 32, 32, 32, 32, 9)
    return Passages("drawn", tuple(rng.integers(0, vocab, length) for length in lengths))


def given_to_modules(model: torch.nn.Module, text: Passages) -> dict[str, Array]:
    """What each module with a matrix is given, (positions, width), by the matrix' name."""
    found: dict[str, list[Array]] = defaultdict(list)

    def listen(name: str, module: torch.nn.Module) -> None:
        def hook(_: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
            found[f"{name}.weight"].append(args[0].reshape(-1, args[0].shape[-1]).numpy())

        module.register_forward_pre_hook(hook)

    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, torch.nn.Embedding) or weight is None or weight.dim() != 2:
            continue
        listen(name, module)
    with torch.no_grad():
        for ids in text.ids:
            model(torch.from_numpy(ids)[None])
    return {name: np.concatenate(parts) for name, parts in found.items()}


def gathered(bundle: StoredBundle, method: RangeMethod | None, moments: bool) -> Calibration:
    text = passages(bundle.shape.vocab)
    return calibrate(bundle.folder, bundle.graphs, bundle.shape, text, method, moments)


@pytest.fixture(scope="module")
def gpt2(tiny_gpt2_bundle: Path) -> StoredBundle:
    return read_bundle(tiny_gpt2_bundle / "model.onnx")


@pytest.fixture(scope="module")
def gpt2_inputs(tiny_gpt2_checkpoint: Path, gpt2: StoredBundle) -> dict[str, Array]:
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    found = given_to_modules(model, passages(gpt2.shape.vocab))
    # Tied: the graph knows it by its first name.
    return {name.replace("lm_head", "transformer.wte"): rows for name, rows in found.items()}


def check_moments(bundle: StoredBundle, inputs: dict[str, Array]) -> None:
    moments = gathered(bundle, None, True).moments
    assert moments is not None
    uses = weight_uses(bundle.graphs.decoder.model.graph)
    assert inputs.keys() == {name for name, use in uses.items() if use.multiplied}
    for name, rows in inputs.items():
        parts = moments.of(uses[name].factors)
        assert parts is not None and len(parts) == 1
        wide = rows.astype(np.float64)
        wanted = wide.T @ wide / len(wide)
        assert np.allclose(parts[0].matrix, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())


def test_moments_are_those_of_what_modules_are_given(
    gpt2: StoredBundle, gpt2_inputs: dict[str, Array]
) -> None:
    check_moments(gpt2, gpt2_inputs)


def test_moments_of_a_model_that_is_run_in_parts(
    gpt2: StoredBundle, gpt2_inputs: dict[str, Array]
) -> None:
    with (
        patch.object(graph_in_parts, "WHOLE_BYTES", 0),
        patch.object(graph_in_parts, "PART_BYTES", 6000),
    ):
        check_moments(gpt2, gpt2_inputs)


def test_moments_of_matrices_that_share_their_input(
    tiny_llama_bundle: Path, tiny_llama_checkpoint: Path
) -> None:
    bundle = read_bundle(tiny_llama_bundle / "model.onnx")
    model = LlamaForCausalLM.from_pretrained(tiny_llama_checkpoint)
    check_moments(bundle, given_to_modules(model, passages(bundle.shape.vocab)))


def test_ranges_are_those_of_what_modules_are_given(
    gpt2: StoredBundle, gpt2_inputs: dict[str, Array]
) -> None:
    ranges = gathered(gpt2, "minmax", False).ranges
    assert ranges is not None and ranges.method == "minmax"
    uses = weight_uses(gpt2.graphs.decoder.model.graph)
    for name, rows in gpt2_inputs.items():
        (factor,) = uses[name].factors
        assert np.allclose(ranges.ranges[factor], (rows.min(), rows.max()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_other_methods_stay_within_what_was_seen_and_keep_most_of_it(
    method: RangeMethod, gpt2: StoredBundle, gpt2_inputs: dict[str, Array],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ranges = gathered(gpt2, method, False).ranges
    assert capsys.readouterr().out == ""
    assert ranges is not None
    uses = weight_uses(gpt2.graphs.decoder.model.graph)
    for name, rows in gpt2_inputs.items():
        (factor,) = uses[name].factors
        low, high = ranges.ranges[factor]
        slack = np.abs(rows).max() * 1e-3
        assert rows.min() - slack <= low < high <= rows.max() + slack
        assert np.mean((rows >= low) & (rows <= high)) > 0.95


def test_the_record_says_what_was_read_and_how(gpt2: StoredBundle) -> None:
    text = passages(gpt2.shape.vocab).to_json()
    assert gathered(gpt2, "minmax", False).record == {"text": text, "method": "minmax"}
    found = gathered(gpt2, None, True)
    assert found.record == {"text": text} and found.ranges is None


def test_a_model_that_computes_nan_is_told(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle")
    bundle = read_bundle(tmp_path / "bundle" / "model.onnx")
    place = next(w for w in bundle.graphs.layout.weights if w.name.endswith("h.2.ln_2.bias"))
    data = np.memmap(tmp_path / "bundle" / "model.onnx.data", "<f4", "r+", place.offset, (1,))
    data[0] = np.nan
    data.flush()
    with pytest.raises(GraphError, match="NaN or infinity on the calibration text") as error:
        gathered(bundle, None, True)
    assert "\n" not in str(error.value)


def test_gptq_by_these_moments_keeps_products_closer(
    gpt2: StoredBundle, gpt2_inputs: dict[str, Array], tmp_path: Path
) -> None:
    """What each MatMul gives on the calibration text, with moments of it and without."""
    uses = weight_uses(gpt2.graphs.decoder.model.graph)
    source = gpt2.folder / gpt2.paths.weights()
    moments = gathered(gpt2, None, True).moments
    assert moments is not None
    wide = np.fromfile(source, "<f4")
    errors: list[dict[str, float]] = []
    for known in (moments, type(moments)({})):
        target = tmp_path / "own.data"
        recipe = bundled_recipe("q4")
        encoded = write_encoded_file(source, gpt2.graphs.layout, uses, recipe, target, known)
        expand_weights(target, encoded.to_expansion("x"), tmp_path / "expanded.data")
        changed = np.fromfile(tmp_path / "expanded.data", "<f4") - wide
        found = {}
        for place in gpt2.graphs.layout.weights:
            if place.name in gpt2_inputs:
                matrix = changed[place.offset // 4 :][: place.bytes // 4].reshape(place.shape)
                matrix = matrix if uses[place.name].axis == 0 else matrix.T
                found[place.name] = float(np.square(gpt2_inputs[place.name] @ matrix).sum())
        errors.append(found)
    assert all(errors[0][name] < errors[1][name] for name in errors[0])
    assert sum(errors[0].values()) < 0.7 * sum(errors[1].values())
