"""The names of other libraries in the table are those of the same numbers. `make test-peers`
installs the libraries and names their folder in ORIEL_PEERS; without it, what needs them is
skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from conftest import save_random
from contract_examples import CONTRACTS, read_json
from numpy.typing import NDArray
from safetensors.numpy import load_file
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
)

from oriel.contract.activation_names import ModelShape, input_specs, kinds
from oriel.contract.manifest import read_manifest
from oriel.graph.taps import Tap, open_taps

DESCRIBE = Path(__file__).parent / "describe_peer.py"
PEERS = os.environ.get("ORIEL_PEERS")
TABLE = read_json(CONTRACTS / "activations.json")
ROWS = TABLE["activations"]
RUNS = {
    # The library as it runs, its folder in ORIEL_PEERS, and whose names it is held to.
    "HookedTransformer": ("hooked_transformer", "transformer_lens_3", "transformer_lens_3"),
    "TransformerBridge 3": ("bridge", "transformer_lens_3", "transformer_lens_4"),
    "TransformerBridge 4": ("bridge", "transformer_lens_4", "transformer_lens_4"),
    "interp-engine": ("interp_engine", "interp_engine", "interp_engine"),
}

Arrays = Mapping[str, NDArray[Any]]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["kind"])
def test_every_row_says_what_each_library_calls_it(row: dict[str, Any]) -> None:
    assert list(row["peers"]) == list(TABLE["peers"])
    for peer in filter(None, row["peers"].values()):
        assert not row["per_layer"] or "{L}" in peer["name"]
        # Another order or grouping of the same dimensions, and no other.
        given = peer.get("shape", row["shape"])
        assert sorted(" * ".join(given).split(" * ")) == sorted(row["shape"])


def named(peer: Mapping[str, Any], rotary: bool, layer: int | None) -> str:
    name: str = peer["rotary"] if rotary and "rotary" in peer else peer["name"]
    return name.replace("{L}", str(layer))


def as_theirs(ours: NDArray[Any], dimensions: list[str], theirs: list[str]) -> NDArray[Any]:
    """Our array with its axes in their order, those that they join joined."""
    order = " * ".join(theirs).split(" * ")
    moved = ours.transpose([dimensions.index(name) for name in order])
    sizes = dict(zip(order, moved.shape, strict=True))
    return moved.reshape([int(np.prod([sizes[n] for n in axis.split(" * ")])) for axis in theirs])


def same(ours: NDArray[Any], theirs: NDArray[Any]) -> bool:
    """Return whether all but masked scores agree; these are -inf or the lowest float32."""
    if ours.shape != theirs.shape:
        return False
    seen = (ours > -1e30) & (theirs > -1e30)
    masked_alike = np.array_equal(ours > -1e30, theirs > -1e30)
    return bool(masked_alike and np.allclose(ours[seen], theirs[seen], rtol=1e-4, atol=2e-5))


def test_axes_are_moved_and_joined_as_a_row_says() -> None:
    ours = np.arange(24).reshape(1, 2, 3, 4)
    dimensions = ["batch", "heads", "seq", "head_dim"]
    moved = as_theirs(ours, dimensions, ["batch", "seq", "heads", "head_dim"])
    assert moved[0, 2, 1].tolist() == ours[0, 1, 2].tolist()
    joined = as_theirs(ours, dimensions, ["batch", "seq", "heads * head_dim"])
    assert joined.shape == (1, 3, 8)
    assert joined[0, 2].tolist() == [*ours[0, 0, 2], *ours[0, 1, 2]]


@cache
def every_activation(bundle: Path) -> tuple[NDArray[Any], Arrays]:
    """Token ids, and all that the fp32 graph of a bundle gives for them with every tap open."""
    manifest = read_manifest(bundle)
    variant, shape = manifest.variant("fp32"), manifest.shape
    graph = (bundle / variant["decoder"]["path"]).read_bytes()
    tapped = bundle / "with-every-tap.onnx"
    given = {output["name"] for output in variant["decoder"]["activations"]["outputs"]}
    taps = [Tap.from_json(tap) for tap in variant["taps"]]
    closed = [tap for tap in taps if not given & {spec.name for spec in tap.outputs}]
    tapped.write_bytes(open_taps(graph, closed))
    session = onnxruntime.InferenceSession(tapped)
    ids = np.random.default_rng(3).integers(0, shape.vocab, (2, 7))
    specs = {spec.name: spec.sizes(2, 7) for spec in input_specs(shape, "decoder")}
    feeds: dict[str, NDArray[Any]] = {}
    for port in session.get_inputs():
        dtype = np.int64 if port.type == "tensor(int64)" else np.float32
        feeds[port.name] = np.zeros(specs[port.name], dtype)
    feeds |= {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    feeds["position_ids"] = np.broadcast_to(np.arange(7), ids.shape)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    tapped.unlink()
    return ids, found


@pytest.mark.slow
@pytest.mark.skipif(PEERS is None, reason="ORIEL_PEERS names no folder")
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("model", ["tiny_gpt2", "tiny_llama"])
def test_the_numbers_under_each_name_are_the_same(
    run: str, model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    bundle: Path = request.getfixturevalue(f"{model}_bundle")
    ids, ours = every_activation(bundle)
    library, folder, peer_id = RUNS[run]
    theirs = run_library(
        library, folder, request.getfixturevalue(f"{model}_checkpoint"), ids, tmp_path
    )
    shape = read_manifest(bundle).shape
    wrong = list(differences(ours, theirs, peer_id, shape, rotary=model == "tiny_llama"))
    assert not wrong, f"{len(wrong)} of {run}: {wrong[:8]}"


TINY: dict[str, Any] = {
    "num_hidden_layers": 2,
    "hidden_size": 24,
    "intermediate_size": 44,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 61,
    "max_position_embeddings": 32,
}
NOT_EXPORTED: dict[str, Callable[[], PreTrainedModel]] = {
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(head_dim=6, sliding_window=4, **TINY)),
    "mixtral": lambda: MixtralForCausalLM(
        MixtralConfig(num_local_experts=5, num_experts_per_tok=2, **TINY)
    ),
}
"""Models with kinds that no exported architecture has yet: modules of transformers give these."""
MODULES = {
    "gemma2": {
        "attn_output_raw": ("self_attn", 0),
        "attn_output": ("post_attention_layernorm", 0),
        "mlp_output_raw": ("mlp", 0),
        "mlp_output": ("post_feedforward_layernorm", 0),
    },
    "mixtral": {
        "router_logits": ("mlp.gate", 0),
        "expert_weights": ("mlp.gate", 1),
        "expert_ids": ("mlp.gate", 2),
    },
}
"""{model: {kind: (module of a block, which of its results)}}."""


@pytest.mark.slow
@pytest.mark.skipif(PEERS is None, reason="ORIEL_PEERS names no folder")
@pytest.mark.parametrize("run", ["TransformerBridge 4", "interp-engine"])
@pytest.mark.parametrize("model", MODULES)
def test_names_of_kinds_to_come_are_those_of_transformers_modules(
    run: str, model: str, tmp_path: Path
) -> None:
    checkpoint = save_random(NOT_EXPORTED[model](), tmp_path / model)
    loaded: Any = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
    ids = np.random.default_rng(3).integers(0, TINY["vocab_size"], (2, 7))
    block, truth = loaded.model.layers[1], {}

    def keep(kind: str, part: int) -> Callable[..., None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            value = output[part] if isinstance(output, tuple) else output
            truth[kind] = value.detach().numpy().reshape(2, 7, -1)

        return hook

    for kind, (path, part) in MODULES[model].items():
        block.get_submodule(path).register_forward_hook(keep(kind, part))
    with torch.no_grad():
        loaded(torch.from_numpy(ids))
    library, folder, peer_id = RUNS[run]
    theirs = run_library(library, folder, checkpoint, ids, tmp_path)
    compared = 0
    for row in ROWS:
        peer = row["peers"][peer_id]
        if row["kind"] in truth and peer is not None:
            wanted = as_theirs(truth[row["kind"]], row["shape"], peer.get("shape", row["shape"]))
            assert same(wanted, theirs[named(peer, True, 1)]), row["kind"]
            compared += 1
    assert compared


def run_library(
    library: str, folder: str, checkpoint: Path, ids: NDArray[Any], tmp_path: Path
) -> Arrays:
    np.save(tmp_path / "ids.npy", ids)
    arguments = [library, str(checkpoint), str(tmp_path / "ids.npy"), str(tmp_path / "theirs")]
    packages = os.pathsep.join(str(Path(PEERS or "") / name) for name in (folder, "shared"))
    done = subprocess.run(
        [sys.executable, str(DESCRIBE), *arguments],
        env={**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": packages},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    theirs: Arrays = load_file(tmp_path / "theirs")
    return theirs


def differences(
    ours: Arrays, theirs: Arrays, peer_id: str, shape: ModelShape, rotary: bool
) -> list[str]:
    """Names whose numbers aren't ours, and rows without a name that the library has after all."""
    wrong = []
    for row in ROWS:
        kind, peer = kinds()[row["kind"]], row["peers"][peer_id]
        if not kind.present_in(shape):
            continue
        for layer in range(shape.layers) if kind.per_layer else (None,):
            mine = ours[kind.at(layer)]
            if peer is not None:
                name = named(peer, rotary, layer)
                wanted = as_theirs(mine, row["shape"], peer.get("shape", row["shape"]))
                if name not in theirs or not same(wanted, theirs[name]):
                    wrong.append(f"{kind.at(layer)} is not {name}")
            elif any(same(form, value) for form in _forms(mine) for value in theirs.values()):
                wrong.append(f"{kind.at(layer)} has a name")
    return wrong


def _forms(ours: NDArray[Any]) -> list[NDArray[Any]]:
    """Return an array as a library may give it: heads first, heads inside, heads joined."""
    if ours.ndim != 4:
        return [ours]
    inside = ours.transpose(0, 2, 1, 3)
    return [ours, inside, inside.reshape(*inside.shape[:2], -1)]
