"""The page's data files hold what they were written from: Python's safetensors and json read every
tensor back bit by bit, and the facts about where the numbers come from."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import load

ROOT = Path(__file__).resolve().parents[2]
FACTS: dict[str, Any] = {
    **{"contract_version": "2.1", "model": 'a "name" 词\n', "weights_digest": "sha256:00"},
    **{"variant": "fp32", "lens": "logit", "prompt_digest": "sha256:11", "ids": [5, 17, 2]},
    "edits": {
        "edits_version": "1.0",
        "edits": [{"edit": "scale", "joint": "attn_z", "layer": 5, "head": 2}],
    },
    "closings": [],
}
LOWEST = np.finfo(np.float32).min


def tensors() -> dict[str, np.ndarray[Any, Any]]:
    draw = np.random.default_rng(7)
    # Every exponent of float32, denormal numbers among them, and both zeros.
    bits = draw.integers(0, 2**32, size=(1, 2, 3, 40), dtype=np.uint32).view(np.float32)
    bits[~np.isfinite(bits)] = LOWEST
    bits[0, 0, 0, :4] = [0.0, -0.0, 1e-45, 0.1]
    return {
        "layer_5_attn_scores": bits,
        "layer_5_lens_ids": draw.integers(0, 50000, size=(1, 3, 10)).astype(np.int64),
        "final_norm": draw.normal(size=(1, 3, 7)).astype(np.float32),
        "logits": draw.normal(size=(1, 1, 11)).astype(np.float32),
    }


def written() -> dict[str, str]:
    given = [
        {
            **{"name": name, "shape": list(tensor.shape), "whole": tensor.dtype == np.int64},
            "values": tensor.reshape(-1).tolist(),
        }
        for name, tensor in tensors().items()
    ]
    done = subprocess.run(
        ["node", "tests/web/write_data_files.mjs"],
        cwd=ROOT,
        input=json.dumps({"facts": FACTS, "tensors": given}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    files: dict[str, str] = json.loads(done.stdout)
    return files


def test_both_files_hold_the_same_numbers(tmp_path: Path) -> None:
    files = written()
    file = base64.b64decode(files["safetensors"])
    loaded = load(file)
    document = json.loads(files["json"])
    assert set(loaded) == set(document["tensors"]) == set(tensors())
    for name, right in tensors().items():
        assert loaded[name].dtype == right.dtype
        assert loaded[name].shape == right.shape
        assert loaded[name].tobytes() == right.tobytes()
        said = document["tensors"][name]
        assert (said["dtype"], said["shape"]) == (right.dtype.name, list(right.shape))
        values = np.asarray(said["values"], right.dtype)
        # JSON's -0 is 0.
        assert np.array_equal(values, right.reshape(-1))
    path = tmp_path / "file.safetensors"
    path.write_bytes(file)
    with safe_open(path, "numpy") as opened:
        metadata = opened.metadata()
    assert metadata["oriel.model"] == document["model"] == FACTS["model"]
    assert json.loads(metadata["oriel.edits"]) == document["edits"] == FACTS["edits"]
    assert json.loads(metadata["oriel.ids"]) == document["ids"] == FACTS["ids"]
    assert set(metadata) == {f"oriel.{key}" for key in FACTS}
    assert int.from_bytes(file[:8], "little") % 8 == 0
