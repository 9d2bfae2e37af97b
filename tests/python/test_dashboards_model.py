"""Tests the model run of `oriel dashboards`: it needs no temporary files once the model is open."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

from oriel.contract.manifest import read_manifest
from oriel.dashboards.model_run import ModelRun
from oriel.dashboards.units import unit_groups
from oriel.runtime.bundle import Bundle


@pytest.mark.parametrize("variant", ["fp32", "q8"])
def test_a_worker_that_is_killed_leaves_no_temporary_files(
    quantized_gpt2_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str
) -> None:
    """They are gone while the model is open; a variant with expanded weights still runs."""
    ids = np.array([[1, 2, 3, 4], [4, 3, 2, 1]])
    with Bundle(quantized_gpt2_bundle, variant=variant) as bundle:
        wanted = bundle.run(ids, activations=["layer_1_mlp_act"]).activations
    manifest = read_manifest(quantized_gpt2_bundle)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    model = ModelRun(
        quantized_gpt2_bundle, manifest, unit_groups(manifest.shape, ["mlp_act"]), variant
    )
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_allclose(
        model(ids)["layer_1_mlp_act"], wanted["layer_1_mlp_act"], rtol=1e-5, atol=1e-6
    )
