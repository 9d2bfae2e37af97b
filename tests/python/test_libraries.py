"""Open the folder of `oriel publish --layout transformers.js` with the libraries that it is for,
and hold what they generate to transformers. `make test-libraries` installs them and names their
folder in ORIEL_LIBRARIES; without it these tests are skipped."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import save_random
from find_chromium import find
from generating_libraries import (
    GREEDY,
    NEW_TOKENS,
    PROMPTS,
    SEED,
    Array,
    Tokens,
    asked_of,
    in_a_loop,
    in_transformers,
    tiny_decoder,
)
from library_programs import LIBRARIES, NEEDS_LIBRARIES, run_node, run_python
from tokenizer_folders import byte_level, save
from transformers import (
    AutoModelForCausalLM,
)

from oriel.cli import main

pytestmark = NEEDS_LIBRARIES

TEXTS = ["The ferry left", "A kettle whistled twice; the clerk"]
DTYPES = {"fp32": "", "fp16": "_fp16", "q8": "_quantized", "q4": "_q4"}
SAMPLING: dict[str, Any] = {"do_sample": True, "top_k": 20, "temperature": 0.9}
BEAMS: dict[str, Any] = {"do_sample": False, "num_beams": 3, "num_return_sequences": 1}


@dataclass(frozen=True)
class Laid:
    """A tiny random checkpoint, and the folder for other libraries that was made of it."""

    checkpoint: Path
    folder: Path

    def graph(self, dtype: str) -> Path:
        return self.folder / "onnx" / f"model{DTYPES[dtype]}.onnx"


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def laid(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Laid:
    folder = tmp_path_factory.mktemp("libraries")
    checkpoint = save_random(tiny_decoder(request.param), folder / f"tiny-{request.param}", seed=1)
    save(checkpoint, byte_level(), eos_token="<|endoftext|>")
    bundle, made = folder / "bundle" / "model.onnx", folder / f"{request.param}-for-others"
    precision = ["--precision", "fp16,int8,int4", "--allow-lossy"]
    assert main(["export", "--model", str(checkpoint), "--output", str(bundle), *precision]) == 0
    assert main(["publish", str(bundle), "--layout", "transformers.js", "--to", str(made)]) == 0
    return Laid(checkpoint, made)


def _asked(laid: Laid, how: Mapping[str, Any], **more: object) -> dict[str, object]:
    return asked_of(laid.folder, how, **more)


class TestOptimum:
    @pytest.mark.parametrize("how", [GREEDY, SAMPLING, BEAMS], ids=["greedy", "sampling", "beams"])
    def test_it_generates_what_transformers_does(self, laid: Laid, how: dict[str, Any]) -> None:
        """A batch of unequal lengths; samples are drawn from the same seed."""
        made = run_python("optimum_generates.py", _asked(laid, how), "optimum")
        assert made == in_transformers(laid.checkpoint, how)

    @pytest.mark.parametrize("dtype", ["fp16", "q8", "q4"])
    def test_it_opens_every_precision(self, laid: Laid, dtype: str) -> None:
        asked = _asked(laid, GREEDY, file=laid.graph(dtype).name)
        made = run_python("optimum_generates.py", asked, "optimum")
        assert made == in_a_loop(laid.graph(dtype), PROMPTS)


class TestGenAI:
    @pytest.mark.parametrize(
        ("how", "same"),
        [
            (GREEDY, GREEDY),
            ({"do_sample": False, "num_beams": 3, "length_penalty": 1.0}, BEAMS),
        ],
        ids=["greedy", "beams"],
    )
    def test_it_generates_what_transformers_does(
        self, laid: Laid, how: dict[str, Any], same: dict[str, Any]
    ) -> None:
        """It pads on the right, transformers on the left: neither changes a number."""
        made = run_python("genai_generates.py", _asked(laid, how), "genai")
        assert made == in_transformers(laid.checkpoint, same)

    def test_it_samples_from_the_models_likeliest_tokens(self, laid: Laid) -> None:
        how = {"do_sample": True, "top_k": 3, "random_seed": SEED}
        made = run_python("genai_generates.py", _asked(laid, how), "genai")
        _check_among_likeliest(laid, made, 3)

    @pytest.mark.parametrize("dtype", ["fp16", "q8", "q4"])
    def test_it_opens_every_precision(self, laid: Laid, dtype: str, tmp_path: Path) -> None:
        """One text at a time: int8's numbers depend on what is fed together, pads too."""
        config = json.loads((laid.folder / "genai_config.json").read_text())
        config["model"]["decoder"]["filename"] = str(laid.graph(dtype).relative_to(laid.folder))
        for file in laid.folder.iterdir():
            tmp_path.joinpath(file.name).symlink_to(file)
        tmp_path.joinpath("genai_config.json").unlink()
        tmp_path.joinpath("genai_config.json").write_text(json.dumps(config))
        asked = _asked(laid, GREEDY, folder=str(tmp_path), prompts=PROMPTS[1:2])
        made = run_python("genai_generates.py", asked, "genai")
        assert made == in_a_loop(laid.graph(dtype), PROMPTS[1:2])


def _check_among_likeliest(laid: Laid, made: Tokens, count: int) -> None:
    """Check that each token is one of the checkpoint's likeliest after those before."""
    model: Any = AutoModelForCausalLM.from_pretrained(laid.checkpoint)
    for prompt, tokens in zip(PROMPTS, made, strict=True):
        assert len(tokens) == NEW_TOKENS
        with torch.no_grad():
            logits = model(torch.tensor([[*prompt, *tokens]])).logits[0, len(prompt) - 1 : -1]
        likeliest = logits.topk(count).indices.tolist()
        for token, allowed in zip(tokens, likeliest, strict=True):
            assert token in allowed
    greedy = in_transformers(laid.checkpoint, GREEDY)
    assert made != greedy, "nothing was sampled"


class TestTransformersJs:
    """It has no beams: num_beams is read as 1."""

    def test_it_generates_what_transformers_does(self, laid: Laid) -> None:
        asked = _asked(laid, GREEDY, dtype="fp32")
        made = run_node("transformers_js_generates.mjs", asked, LIBRARIES / "transformers_js")
        assert made == in_transformers(laid.checkpoint, GREEDY)

    def test_it_samples_from_the_models_likeliest_tokens(self, laid: Laid) -> None:
        asked = _asked(laid, {"do_sample": True, "top_k": 3}, dtype="fp32")
        made = run_node("transformers_js_generates.mjs", asked, LIBRARIES / "transformers_js")
        _check_among_likeliest(laid, made, 3)

    @pytest.mark.parametrize("dtype", ["fp16", "q8", "q4"])
    def test_it_opens_every_precision(self, laid: Laid, dtype: str) -> None:
        asked = _asked(laid, GREEDY, dtype=dtype)
        made = run_node("transformers_js_generates.mjs", asked, LIBRARIES / "transformers_js")
        assert made == in_a_loop(laid.graph(dtype), PROMPTS)

    def test_its_pipeline_gives_the_same_texts_in_node_and_chromium(self, laid: Laid) -> None:
        browser = os.environ.get("ORIEL_CHROMIUM") or find()
        assert browser is not None, "no Chromium was found"
        home = LIBRARIES / "transformers_js"
        asked = _asked(laid, GREEDY, texts=TEXTS)
        there = {
            dtype: run_node("transformers_js_generates.mjs", {**asked, "dtype": dtype}, home)
            for dtype in DTYPES
        }
        here = run_node(
            "transformers_js_in_chromium.mjs", {**asked, "dtypes": list(DTYPES)}, home, browser
        )
        assert here == there
        for text in there["fp32"]:
            assert any(text.startswith(prompt) and len(text) > len(prompt) for prompt in TEXTS)


FEEDS = {
    "input_ids": [[5, 170, 33, 91], [0, 0, 44, 7]],
    "attention_mask": [[1, 1, 1, 1], [0, 0, 1, 1]],
    "position_ids": [[0, 1, 2, 3], [0, 0, 0, 1]],
}
"""Two texts, the second padded on the left."""


def _logits(graph: Path) -> Array:
    """Return the logits of FEEDS in the ONNX Runtime of the exporter; pads have none that count."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options)
    feeds: dict[str, Array] = {name: np.array(value) for name, value in FEEDS.items()}
    for port in session.get_inputs():
        if port.name.startswith("past_key_values."):
            feeds[port.name] = np.zeros((2, port.shape[1], 0, port.shape[3]), np.float32)
    (logits,) = session.run(["logits"], feeds)
    return _of_texts(logits)


def _of_texts(logits: object) -> Array:
    kept: Array = np.array(logits)[np.array(FEEDS["attention_mask"]) == 1]
    return kept


TOLERANCE = {"fp32": 1e-4, "fp16": 5e-2, "q8": 1e-2, "q4": 0.2}
"""Largest difference of logits, of which the largest are about 10: kernels add up in another order,
add float16 up in float32 or not, and round what is multiplied by 4 bits (accuracy_level) or not."""


def test_openvino_computes_the_same(laid: Laid) -> None:
    asked = [{"graph": str(laid.graph(dtype)), "feeds": FEEDS} for dtype in DTYPES]
    found = run_python("openvino_runs.py", asked, "openvino")
    for dtype, logits in zip(DTYPES, found, strict=True):
        assert np.abs(_of_texts(logits) - _logits(laid.graph(dtype))).max() < TOLERANCE[dtype]


@pytest.mark.parametrize(
    ("packages", "version", "dtypes"),
    [
        ("onnxruntime_1_17", "1.17.0", ("fp32", "fp16", "q8")),
        ("onnxruntime_1_22", "1.22.0", ("fp32", "fp16", "q8", "q4")),
    ],
)
def test_the_oldest_onnx_runtimes_compute_the_same(
    laid: Laid, packages: str, version: str, dtypes: Sequence[str]
) -> None:
    asked = [{"graph": str(laid.graph(dtype)), "feeds": FEEDS} for dtype in dtypes]
    found = run_python("onnxruntime_runs.py", asked, packages)
    assert found["version"] == version
    for dtype, logits in zip(dtypes, found["logits"], strict=True):
        assert np.abs(_of_texts(logits) - _logits(laid.graph(dtype))).max() < TOLERANCE[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_onnxslim_leaves_the_function(
    laid: Laid, dtype: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if dtype == "q4" and laid.checkpoint.name == "tiny-llama":
        # GPT-2's products get theirs from the biases that are added.
        why = "onnxslim 0.1.98 writes a type of 0 for MatMulNBits, which ONNX Runtime refuses"
        request.applymarker(pytest.mark.xfail(strict=True, reason=why))
    slim = tmp_path / "slim.onnx"
    run_python("onnxslim_slims.py", None, "onnxslim", laid.graph(dtype), slim)
    assert np.abs(_logits(slim) - _logits(laid.graph(dtype))).max() < TOLERANCE[dtype]


def test_netron_reads_the_graphs(laid: Laid) -> None:
    graphs = [laid.graph(dtype) for dtype in DTYPES]
    for graph, found in zip(
        graphs, run_node("netron_opens.mjs", None, LIBRARIES / "netron", *graphs), strict=True
    ):
        model = onnx.load(graph, load_external_data=False)
        assert found["format"] == f"ONNX v{model.ir_version}"
        assert found["producer"] == f"{model.producer_name} {model.producer_version}"
        given = {tensor.name for tensor in model.graph.initializer}
        wanted = [port.name for port in model.graph.input if port.name not in given]
        assert found["inputs"] == wanted
        assert found["outputs"] == [port.name for port in model.graph.output]
        assert found["nodes"] > 0


def test_tract_infers_every_shape(laid: Laid) -> None:
    """It has no dynamic int8 and no 8-bit rows of an embedding."""
    run_python("tract_loads.py", None, "tract", laid.graph("fp32"), laid.graph("fp16"))
