"""A client that was written from the contract alone opens every variant of a bundle and computes
what PyTorch does with the checkpoint."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo_bundle
import numpy as np
import pytest
import torch
from contract_client import Bundle, Run
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from story_gpt2.weights_folder import WEIGHTS_FOLDER

CLIENT = Path(__file__).resolve().parents[1] / "contract_client"

TEXT = "When Robin and Clara went to the lake, Clara gave a book to"
VARIANTS = {
    # The largest distance from float32, over the length of what is compared; and between ways of
    # feeding the same text, where int8 finds other ranges and int4 has other kernels for one token.
    "fp32": (1e-5, 1e-5),
    "f16": (1e-3, 1e-5),
    "q8": (0.02, 1e-5),
    "q4": (0.1, 1e-5),
    "fp16": (2e-3, 2e-3),
    "int8": (0.05, 0.05),
    "int8_static": (0.05, 1e-3),
    "int4": (0.1, 0.02),
}


@pytest.fixture(scope="module")
def bundle_folder() -> Path:
    # It exports the model, unless the page's demo is already of this code.
    subprocess.run([sys.executable, demo_bundle.__file__], check=True)
    return demo_bundle.MANIFEST.parent


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(WEIGHTS_FOLDER)
    loaded.train(False)
    return loaded


@pytest.fixture(scope="module")
def ids() -> list[int]:
    found: list[int] = AutoTokenizer.from_pretrained(WEIGHTS_FOLDER)(TEXT)["input_ids"]
    return found


def distance(got: NDArray[Any], want: NDArray[Any]) -> float:
    assert got.shape == want.shape
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def test_the_client_imports_nothing_of_ours() -> None:
    names = set()
    for node in ast.walk(ast.parse((CLIENT / "contract_client.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    standard = {"__future__", "base64", "hashlib", "json", "math", "pathlib", "typing"}
    assert names - standard == {"numpy", "onnx", "onnxruntime", "tokenizers"}


def test_it_opens_every_variant_there_is(bundle_folder: Path) -> None:
    assert [v["name"] for v in Bundle(bundle_folder).manifest["variants"]] == list(VARIANTS)


def test_its_tokens_are_the_checkpoints(bundle_folder: Path, ids: list[int]) -> None:
    bundle = Bundle(bundle_folder)
    assert bundle.tokens(TEXT) == ids
    cases = json.loads(bundle.read(bundle.manifest["tokenizer"]["cases"]))["cases"]
    assert cases
    for case in cases:
        assert bundle.tokens(case["text"]) == case["ids"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_computes_what_the_checkpoint_does(
    variant: str, bundle_folder: Path, model: PreTrainedModel, ids: list[int], tmp_path: Path
) -> None:
    bundle = Bundle(bundle_folder)
    with torch.no_grad():
        truth = model(torch.tensor([ids]), output_hidden_states=True)
    stream = truth.hidden_states[4].numpy()
    largest, between = VARIANTS[variant]
    taps = ["layer_3_resid_post", "layer_2_lens_probs"]
    run = bundle.open(variant, "decoder", taps, tmp_path)
    whole = run.feed(ids)
    assert distance(whole["logits"], truth.logits.numpy()) <= largest
    assert distance(whole["layer_3_resid_post"], stream) <= largest
    assert whole["layer_2_lens_ids"].dtype == np.int64
    plain = bundle.open(variant, "plain", [], tmp_path).feed(ids)
    assert distance(plain["logits"], whole["logits"]) <= between
    cached = Run(run.session, run.document)
    parts = [cached.feed(ids[:5]), *(cached.feed([token]) for token in ids[5:])]
    for name in ("logits", "layer_3_resid_post"):
        fed = np.concatenate([part[name] for part in parts], axis=1)
        assert distance(fed, whole[name]) <= between


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_is_edited_as_pytorch_is(
    variant: str, bundle_folder: Path, model: PreTrainedModel, ids: list[int], tmp_path: Path
) -> None:
    """A head is switched off, and a vector added to the stream behind another layer."""
    joints = {"layer_1_attn_z": ["scale"], "layer_3_resid_post": ["add", "scale"]}
    run = Bundle(bundle_folder).open(variant, "open", [], tmp_path, joints)
    heads, hidden = model.config.n_head, model.config.n_embd
    scale = np.ones((1, heads, 1, 1), np.float32)
    scale[0, 2] = 0
    added = np.random.default_rng(1).normal(size=(1, 1, hidden)).astype(np.float32)
    found = run.feed(
        ids,
        **{
            "layer_1_attn_z/0/scale": scale,
            "layer_3_resid_post/0/add": added,
            "layer_3_resid_post/1/scale": np.full((1, 1, 1), 0.5, np.float32),
        },
    )
    wide = torch.from_numpy(np.repeat(scale.reshape(-1), hidden // heads))
    network: Any = model
    blocks = network.transformer.h
    handles = [
        blocks[1].attn.c_proj.register_forward_pre_hook(lambda _m, x: (x[0] * wide,)),
        blocks[3].register_forward_hook(lambda _m, _i, out: (out + torch.from_numpy(added)) / 2),
    ]
    with torch.no_grad():
        truth = model(torch.tensor([ids])).logits.numpy()
        for handle in handles:
            handle.remove()
        untouched = model(torch.tensor([ids])).logits.numpy()
    # Halved streams stand closer to what rounding adds to them.
    off = distance(found["logits"], truth)
    assert off <= 2 * VARIANTS[variant][0]
    assert distance(found["logits"], untouched) > max(0.2, 3 * off)


def test_a_changed_file_is_refused(bundle_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "changed")
    data = bytearray((folder / "model_q4.onnx.data").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model_q4.onnx.data").write_bytes(data)
    with pytest.raises(ValueError, match=r"model_q4\.onnx\.data has sha256"):
        Bundle(folder).open("q4", "plain", [], tmp_path)


def test_an_expansion_that_rounds_otherwise_is_refused(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest holds a reader to every bit of the products."""
    import contract_client

    exact = contract_client.expand_weight
    off = np.float32(1 + 2**-23)
    monkeypatch.setattr(contract_client, "expand_weight", lambda *a: exact(*a) * off)
    with pytest.raises(ValueError, match=r"model\.onnx\.data has sha256"):
        Bundle(bundle_folder).open("q8", "plain", [], tmp_path)
