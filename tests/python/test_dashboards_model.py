"""Tests the model run of `oriel dashboards`: it needs no temporary files once the model is open."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from dashboard_dictionaries import add_random

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
    own, place = tmp_path / "bundle", ("mlp_output", 1)
    shutil.copytree(quantized_gpt2_bundle, own)
    add_random(own, "mlp", seed=0, reads=place, writes=place, features=40)
    names = ["layer_1_mlp_act", "features_mlp"]
    with Bundle(own, variant=variant) as bundle:
        wanted = bundle.run(ids, activations=names).activations
    manifest = read_manifest(own)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    kinds, dictionaries = ["mlp_act", "features"], manifest.data["dictionaries"]
    model = ModelRun(own, manifest, unit_groups(manifest.shape, kinds, dictionaries), variant)
    assert list(scratch.iterdir()) == []
    found = model(ids)
    for name in names:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-6)
