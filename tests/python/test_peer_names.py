"""The names of other libraries in the table are those of the same numbers. `make test-peers`
installs the libraries and names their folder in ORIEL_PEERS; without it, what needs them is
skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from architecture_variants import VARIANTS
from conftest import save_random
from contract_examples import CONTRACTS, read_json
from numpy.typing import NDArray
from safetensors.numpy import load_file

from oriel.contract.activation_names import ModelShape, input_specs, kind_of, kinds
from oriel.contract.manifest import read_manifest
from oriel.export_bundle import export
from oriel.graph.taps import Tap, open_taps
from oriel.options import ExportOptions
from oriel.progress import Silent

DESCRIBE = Path(__file__).parent / "describe_peer.py"
PEERS = os.environ.get("ORIEL_PEERS")
TABLE = read_json(CONTRACTS / "activations.json")
ROWS = TABLE["activations"]
RUNS = {
    # The library as it runs, its folder in ORIEL_PEERS, and whose names it is held to.
    "HookedTransformer": ("hooked_transformer", "transformer_lens_3", "transformer_lens_3"),
    "HookedEncoder": ("hooked_encoder", "transformer_lens_3", "transformer_lens_3"),
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
    # An encoder counts them itself.
    if "position_ids" in feeds:
        feeds["position_ids"] = np.broadcast_to(np.arange(7), ids.shape)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(names, feeds), strict=True))
    tapped.unlink()
    return ids, found


@pytest.mark.slow
@pytest.mark.skipif(PEERS is None, reason="ORIEL_PEERS names no folder")
@pytest.mark.parametrize("run", [run for run in RUNS if run != "HookedEncoder"])
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


ROTARY = ("gemma2", "mixtral")
NAMED_BY = {
    "bert": ("HookedEncoder", "TransformerBridge 4"),
    "gemma2": ("TransformerBridge 4", "interp-engine"),
    "mixtral": ("HookedTransformer", "TransformerBridge 4", "interp-engine"),
}
"""{architecture: the libraries that run it}. interp-engine finds no blocks in a BERT."""
ELSEWHERE: dict[tuple[str, str], dict[str, str | None]] = {
    # Where norms stand in the stream, its names are of the sums before them.
    ("bert", "HookedEncoder"): {
        "resid_mid": None,
        "resid_post": "blocks.{L}.hook_normalized_resid_post",
        "final_norm": "blocks.1.hook_normalized_resid_post",
    },
    # It takes BERT's attention with the norm behind it for one part, and the head's norm for the
    # last one.
    ("bert", "TransformerBridge 4"): {
        "attn_scores": None,
        "attn_output": "blocks.{L}.attn.o.hook_out",
        "resid_mid": "blocks.{L}.ln1.hook_out",
        "final_norm": "blocks.1.hook_out",
    },
    # Before the cap.
    ("gemma2", "TransformerBridge 4"): {"logits": None},
    ("gemma2", "interp-engine"): {"logits": None},
}
"""{(architecture, library): {kind: the name that has the contract's number, or None for none}}, of
kinds whose name in the table is another number there."""


@pytest.fixture(scope="module", params=NAMED_BY)
def architecture(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, Path]:
    """A model's name, its checkpoint and its bundle."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    checkpoint = save_random(VARIANTS[name](), folder / "checkpoint")
    options = ExportOptions(model=str(checkpoint), output=folder / "bundle" / "model.onnx")
    return name, checkpoint, export(options, Silent()).folder


@pytest.mark.slow
@pytest.mark.skipif(PEERS is None, reason="ORIEL_PEERS names no folder")
def test_names_of_other_architectures_are_those_of_the_same_numbers(
    architecture: tuple[str, Path, Path], tmp_path: Path
) -> None:
    """Encoders and routers among them; a name that is another number there is told, with the one
    that has it."""
    name, checkpoint, bundle = architecture
    ids, ours = every_activation(bundle)
    shape = read_manifest(bundle).shape
    for run in NAMED_BY[name]:
        library, folder, peer_id = RUNS[run]
        theirs = run_library(library, folder, checkpoint, ids, tmp_path)
        wrong = differences(ours, theirs, peer_id, shape, rotary=name in ROTARY)
        elsewhere = ELSEWHERE.get((name, run), {})
        assert {kind_of(one.split()[0]) for one in wrong} == set(elsewhere), (run, wrong)
        for kind, given in elsewhere.items():
            if given is not None:
                layer = 0 if kinds()[kind].per_layer else None
                mine = ours[kinds()[kind].at(layer)]
                assert same(mine, theirs[given.replace("{L}", str(layer))]), (run, kind)


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
