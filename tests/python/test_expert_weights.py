"""Experts' matrices are the same whichever way a checkpoint has them: one tensor for each, or those
of a layer joined, as transformers keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from architecture_variants import VARIANTS
from checkpoint_files import (
    Tensors,
    copy_checkpoint,
    error_of,
    load,
    save_as_safetensors,
    save_as_zip_pickle,
)
from conftest import save_random
from transformers import PreTrainedModel

from oriel.bundle.write_weights import checkpoint_digest
from oriel.verification.run_reference import Reference

JOINED = "model.layers.1.mlp.experts.gate_up_proj"
IDS = np.array([[5, 17, 2, 40, 3]])
Made = tuple[PreTrainedModel, Path]


@pytest.fixture(scope="module")
def mixtral(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A random model, and its checkpoint with a tensor for each matrix."""
    model = VARIANTS["mixtral"]().eval()  # type: ignore[no-untyped-call]
    return model, save_random(model, tmp_path_factory.mktemp("experts") / "separate")


def joined(mixtral: Made, folder: Path, save: Any = save_as_safetensors, prefix: str = "") -> Path:
    """Write the same model with joined tensors, as its state_dict has them."""

    def change(tensors: Tensors) -> None:
        tensors.clear()
        state = mixtral[0].state_dict().items()
        tensors.update({prefix + name: value.contiguous() for name, value in state})

    return copy_checkpoint(mixtral[1], folder, change=change, save=save)


@pytest.mark.parametrize("save", [save_as_safetensors, save_as_zip_pickle])
def test_joined_tensors_are_the_same_weights(mixtral: Made, save: Any, tmp_path: Path) -> None:
    separate, other = load(mixtral[1]), load(joined(mixtral, tmp_path / "joined", save))
    assert list(separate.spec.parameters) == list(other.spec.parameters)
    assert checkpoint_digest(separate.checkpoint) == checkpoint_digest(other.checkpoint)
    # The gate's rows stand before those of the branch without a nonlinearity.
    whole = dict(mixtral[0].named_parameters())[JOINED].detach()
    half = whole.shape[1] // 2
    for name, want in (("gate", whole[2, :half]), ("up", whole[2, half:])):
        got = other.checkpoint.read(f"model.layers.1.mlp.experts.2.{name}_proj.weight")
        assert torch.equal(got, want)


def test_the_reference_computes_with_separate_matrices(mixtral: Made, tmp_path: Path) -> None:
    """With a wrapper's prefix, which transformers doesn't read by itself; then with one of them
    replaced."""
    wrapped = load(joined(mixtral, tmp_path / "wrapped", prefix="module."))
    reference = Reference(wrapped)
    with torch.no_grad():
        own = mixtral[0](torch.from_numpy(IDS)).logits.numpy()
        np.testing.assert_allclose(
            reference.run(IDS, ["logits"])["logits"], own, rtol=1e-5, atol=1e-5
        )
        name = "model.layers.1.mlp.experts.2.up_proj.weight"
        value = wrapped.checkpoint.read(name)
        reference.hold({name: 3 * value.numpy()})
        changed = dict(mixtral[0].named_parameters())[JOINED]
        half = changed.shape[1] // 2
        changed[2, half:] *= 3
        try:
            want = mixtral[0](torch.from_numpy(IDS)).logits.numpy()
        finally:
            changed[2, half:] /= 3
    assert np.abs(want - own).max() > 1e-3
    np.testing.assert_allclose(reference.run(IDS, ["logits"])["logits"], want, rtol=1e-4, atol=1e-5)


def test_a_matrix_that_is_missing_is_named(mixtral: Made, tmp_path: Path) -> None:
    lost = "model.layers.0.block_sparse_moe.experts.3.w2.weight"
    folder = copy_checkpoint(mixtral[1], tmp_path / "less", change=lambda t: t.pop(lost))
    error = error_of(folder)
    assert "no model.layers.0.mlp.experts.3.down_proj.weight" in error


def test_joined_tensors_of_fewer_experts_are_refused(mixtral: Made, tmp_path: Path) -> None:
    def change(tensors: Tensors) -> None:
        tensors.clear()
        state = mixtral[0].state_dict().items()
        tensors.update({name: value.contiguous() for name, value in state})
        tensors[JOINED] = tensors[JOINED][:3].contiguous()

    folder = copy_checkpoint(mixtral[1], tmp_path / "fewer", change=change)
    error = error_of(folder)
    assert "no model.layers.1.mlp.experts.3.gate_proj.weight" in error
