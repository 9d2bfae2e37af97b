"""oriel.show in a real kernel: its output is HTML that the notebook keeps, and its widget answers
what a page asks through Jupyter's messages. `make test-notebook` installs Jupyter's packages and
names their folder in ORIEL_NOTEBOOK; without it, what needs them is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from test_show import arrays
from transformers import GPT2LMHeadModel

NOTEBOOK = os.environ.get("ORIEL_NOTEBOOK")
pytestmark = pytest.mark.skipif(NOTEBOOK is None, reason="make test-notebook installs Jupyter")
CONVERSE = Path(__file__).parent / "converse_with_kernel.py"


def test_a_kernel_shows_and_answers(
    tiny_gpt2_bundle: Path, torch_gpt2: GPT2LMHeadModel, tmp_path: Path
) -> None:
    question = {
        "prompt": None,
        "ids": [1, 60, 60, 7],
        "edits": {"edits_version": "1.0", "edits": []},
        "activations": ["layer_3_attn_probs"],
        "lens": "logit",
    }
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(NOTEBOOK), *sys.path]),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
    }
    done = subprocess.run(
        [sys.executable, str(CONVERSE), str(tiny_gpt2_bundle), json.dumps(question)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    heard = cast("dict[str, Any]", json.loads(done.stdout.splitlines()[-1]))
    # One output, of HTML and text alone: what needs a kernel has no display of its own.
    assert heard["kinds"] == [["text/html", "text/plain"]]
    assert heard["token"] in heard["html"]
    assert "initialize" in heard["script"]
    held = arrays(json.loads(heard["answer"]["record"])["tensors"])
    with torch.no_grad():
        found = torch_gpt2(torch.tensor([question["ids"]]), output_attentions=True)
    np.testing.assert_allclose(held["logits"][0, 0], found.logits[0, -1], rtol=0, atol=1e-4)
    np.testing.assert_allclose(held["layer_3_attn_probs"], found.attentions[3], rtol=0, atol=1e-4)
    assert "bad" not in heard["refused"] and "reason" in heard["refused"]
