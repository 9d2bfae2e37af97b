"""The scripts and notebooks that the page gives for numbers on its screen compute these numbers
again: written by the page's own code in Node, run here with PyTorch and transformers, and compared
with what the exported bundle gives in ONNX Runtime, under every kind of edit."""

from __future__ import annotations

import ast
import json
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import lens_maps
import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import oriel
from oriel.analysis import residual
from oriel.analysis.attribution import attribute
from oriel.analysis.head_scores import scores_of, value_weighted
from oriel.analysis.lens_measures import measure_lens
from oriel.lenses.bundle_packs import add_pack
from oriel.models.architectures import REGISTRY, find_architecture
from oriel.runtime.edit_json import edits_from_json

# Not type-checked: they make the bundles of the browser tests, and change only with these.
said_edits: Any = import_module("said_edits")
joint_edits: Any = import_module("joint_edits")

ROOT = Path(__file__).resolve().parents[2]
IDS = [5, 17, 2, 2, 40, 58, 8, 17, 30, 9, 44, 3]
CLOSE = 1e-4
WITHOUT = "no edits"
HOSTILE = 'a"b\\"""\nimport os\u2028\u202e\r\x00\'${x}`<script>\U0001f642'
"""A token's text that would end a literal, a comment or a cell, if it was not escaped."""
KINDS = (
    *("resid_pre", "q", "k", "v", "attn_z", "attn_output", "resid_mid", "mlp_pre", "mlp_gate"),
    *("mlp_linear", "mlp_act", "mlp_output", "resid_post", "embedding_sum", "final_norm"),
)
BY_HEAD = ("q", "k", "v", "attn_z")
OTHER_IDS = [5, 17, 9, 2, 40, 58, 33, 8, 17, 30, 12, 3, 4]
"""A second text, that the first is compared with."""
FACING = [(0, 0), (1, 1), (3, 3), (5, 5), (6, 7), (9, 9)]
WITHOUT_SCRIPTS = {
    # Their attention doesn't go through transformers' interface, which the scripts use.
    *("bloom", "falcon", "gpt_neo", "gptj"),
    # It lays texts end to end inside a block.
    "opt",
    # The scripts ask for the next token.
    *("bert", "distilbert", "electra", "modernbert", "roberta"),
}
THINGS = (
    *("next", "attention", "lens", "layer", "activation", "neuron", "attribution"),
    *("steps", "paths", "difference", "head-scores"),
)
Record = dict[str, Any]

CELL: Record = {
    "required": ["id", "cell_type", "metadata", "source"],
    "properties": {
        "id": {"type": "string", "pattern": "^[a-zA-Z0-9-_]+$", "minLength": 1, "maxLength": 64},
        "metadata": {"type": "object"},
        "source": {"type": "array", "items": {"type": "string"}},
    },
}
NOTEBOOK: Record = {
    "type": "object",
    "additionalProperties": False,
    "required": ["metadata", "nbformat_minor", "nbformat", "cells"],
    "properties": {
        "nbformat": {"const": 4},
        "nbformat_minor": {"const": 5},
        "metadata": {
            "type": "object",
            "properties": {
                "kernelspec": {"type": "object", "required": ["name", "display_name"]},
                "language_info": {"type": "object", "required": ["name"]},
            },
        },
        "cells": {
            "type": "array",
            "items": {
                "oneOf": [
                    {
                        **CELL,
                        "properties": CELL["properties"] | {"cell_type": {"const": "markdown"}},
                        "maxProperties": 4,
                    },
                    {
                        "required": [*CELL["required"], "outputs", "execution_count"],
                        "properties": {
                            **CELL["properties"],
                            "cell_type": {"const": "code"},
                            "outputs": {"type": "array", "maxItems": 0},
                            "execution_count": {"type": "null"},
                        },
                        "maxProperties": 6,
                    },
                ]
            },
        },
    },
}
"""The rules of nbformat 4.5 for notebooks that were not run."""


@dataclass(frozen=True)
class Model:
    """A bundle with lens packs, and the checkpoint that it was exported from."""

    bundle: oriel.Bundle
    folder: Path
    checkpoint: Path

    @property
    def record(self) -> Record:
        manifest: Record = json.loads((self.folder / "manifest.json").read_text("utf-8"))
        return dict(manifest["model"])


@dataclass
class Asked:
    """Numbers, and the script and notebook that the page gave for them."""

    model: Model
    shown: Record
    edits: list[Record] = field(default_factory=list)
    closings: list[Record] = field(default_factory=list)
    files: tuple[Path, ...] = ()
    script: str = ""
    notebook: str = ""

    def request(self) -> Record:
        run = {"model": self.model.record, "variant": "fp32", "isExact": True, "ids": IDS}
        said = {"edits": self.edits, "closings": self.closings, "labels": {"5": HOSTILE}}
        return {"shown": self.shown, "run": run, **said}


def edits_of(model: Model) -> dict[str, list[Record]]:
    """Return sets of edits for a model, by their names."""
    shape = model.bundle.shape
    sets = said_edits.whole_model_sets(shape.layers, shape.hidden, shape.head_dim)
    stream = {"joint": "resid_post", "layer": 0}
    many = np.random.default_rng(3).normal(size=(1, 20, shape.hidden)).astype(np.float32)
    each_token = {"shape": [1, 20, shape.hidden], "values": many.reshape(-1).tolist()}
    by_head = {"shape": [1, shape.heads, 1, 1], "values": [0.5] * shape.heads}
    return {
        WITHOUT: [],
        **{name: [dict(edit) for edit in edits] for name, edits in sets.items()},
        "values of each token": [
            {"edit": "add", **stream, "vector": each_token, "position": {"start": 3}},
            {"edit": "replace", "joint": "mlp_output", "layer": 1, "value": each_token},
            {"edit": "replace", "joint": "attn_z", "layer": 1, "value": by_head, "position": 4},
            {"edit": "add", "joint": "attn_probs", "layer": 1, "vector": 0.25, "key": 0},
        ],
    }


def numbers_of(
    model: Model, edits: list[Record], kinds: list[str] | None = None
) -> Iterator[tuple[str, Record]]:
    """Return what the page would show of a run with these edits. kinds: of activations; None for
    those of GPT-2 or Llama, which are fewer with edits."""
    bundle = model.bundle
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    at, last = 7, bundle.shape.layers - 1
    of_gates = ("mlp_gate", "mlp_linear")
    if kinds is None and edits:
        kinds = ["attn_z", "resid_mid", "mlp_output"]
    elif kinds is None:
        kinds = [kind for kind in KINDS if bundle.shape.gated_mlp or kind not in of_gates]
    run = bundle.run(IDS, activations=[*kinds, "attn_probs", "attn_scores"], edits=said)
    logits = run.logits[0, -1].astype(np.float64)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    best = probabilities.argsort()[::-1][:10].tolist()
    yield "next", {"thing": "next", "ids": best, "values": probabilities[best].tolist()}
    for kind in ("attn_probs", "attn_scores"):
        row = run.of(kind, last)[0, 1, at, : at + 1].tolist()
        place = {"kind": kind, "head": [last, 1], "query": at}
        yield kind, {"thing": "attention", **place, "values": row}
    for kind in kinds:
        name = kind if kind in ("embedding_sum", "final_norm") else f"layer_{last}_{kind}"
        values = run[name][0]
        vector = values[:, at].reshape(-1) if kind in BY_HEAD else values[at]
        some = np.abs(vector).argsort()[::-1][:8].tolist()
        there = {"indices": some, "values": vector[some].tolist()}
        length = float(np.linalg.norm(vector))
        yield kind, {"thing": "activation", "name": name, "position": at, **there, "norm": length}


def continued(model: Model, edits: list[Record]) -> Iterator[Record]:
    """Return the probability of every token of the text, and of some continuations."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})

    def shares(ids: list[int]) -> list[float]:
        logits = model.bundle.run(ids, edits=said).logits[0, :-1].astype(np.float64)
        logs = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
        return [float(logs[at, token]) for at, token in enumerate(ids[1:])]

    of_text = shares(IDS)
    positions = list(range(1, len(IDS)))
    yield {"thing": "steps", "positions": positions, "values": np.exp(of_text).tolist()}
    given = [value for edit in edits for value in edit.values() if isinstance(value, dict)]
    if any(value.get("shape", [1, 1])[-2] > 1 for value in given):
        # Values of each token end with the text.
        return
    paths = [[3, 9, 4], [7, 5]]
    values = [sum(shares(IDS + path)[len(IDS) - 1 :]) for path in paths]
    yield {"thing": "paths", "paths": paths, "values": values}


def packs_of(model: Model) -> list[Record]:
    manifest: Record = json.loads((model.folder / "manifest.json").read_text("utf-8"))
    return list(manifest.get("lens_packs", []))


def lenses_of(model: Model, edits: list[Record]) -> Iterator[tuple[str, Record, tuple[Path, ...]]]:
    """Return cells of each lens at an early layer and at the last, which no pack maps."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    packs = packs_of(model)
    for lens in ("logit", *[each["name"] for each in packs]):
        run = model.bundle.run(IDS, lens=lens, edits=said)
        for layer in (1, model.bundle.shape.layers - 1):
            ids = run.of("lens_ids", layer)[0, 6].tolist()
            cell = {"layer": layer, "position": 6, "ids": ids}
            values = run.of("lens_probs", layer)[0, 6].tolist()
            path = next((each["path"] for each in packs if each["name"] == lens), None)
            pack = None if path is None else {"file": path, "kind": lens}
            files = (model.folder / path,) if path is not None and layer == 1 else ()
            yield lens, {"thing": "lens", "pack": pack, **cell, "values": values}, files


def layers_of(model: Model, edits: list[Record]) -> Iterator[tuple[Record, tuple[Path, ...]]]:
    """Return each measure of an early layer, through each lens, and of its stream."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    packs = packs_of(model)
    at, layer, last = 6, 1, model.bundle.shape.layers - 1
    cell = {"thing": "layer", "layer": layer, "position": at}
    for lens in ("logit", *[each["name"] for each in packs]):
        path = next((each["path"] for each in packs if each["name"] == lens), None)
        pack = None if path is None else {"file": path, "kind": lens}
        found = measure_lens(model.bundle, IDS, token=40, lens=lens, edits=said)
        values = {
            **{"certainty": found.top_probability, "divergence": found.divergence},
            **{"entropy": found.entropy, "rank": found.rank, "probability": found.probability},
        }
        for measure, value in values.items():
            token = 40 if measure in ("rank", "probability") else None
            one = {"measure": measure, "token": token, "values": [float(value[layer, at])]}
            yield {**cell, "pack": pack, **one}, () if path is None else (model.folder / path,)
    run = model.bundle.run(IDS, ["resid_pre", "resid_post"], said)
    before, after = run.of("resid_pre", layer)[:, at], run.of("resid_post", layer)[:, at]
    final = run.of("resid_post", last)[:, at]
    for measure, value in {
        "norm": residual.norms(after),
        "growth": residual.norms(after) / residual.norms(before),
        "turn": residual.cosines(after, before),
        "final": residual.cosines(after, final),
    }.items():
        one = {"measure": measure, "token": None, "values": [float(value[0])]}
        yield {**cell, "pack": None, **one}, ()


def neurons_of(model: Model, edits: list[Record]) -> Iterator[Record]:
    """Return a neuron's activation, the norm of its row, from runs in which it is on and off, and
    its effect on logits, from its shares in them."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    at, layer, ids = 6, 1, [7, 40]
    activations = model.bundle.run(IDS, ["mlp_act"], said).of("mlp_act", layer)[0]
    neuron = int(np.abs(activations[at]).argmax())
    alone = np.zeros((1, 2, activations.shape[-1]), np.float32)
    alone[0, 1, neuron] = 1
    put_in = oriel.Replace("mlp_act", layer=layer, value=alone)
    off, on = model.bundle.run([[0, 0]], ["mlp_output"], [put_in]).of("mlp_output", layer)[0]
    activation = float(activations[at, neuron])
    values = [activation, float(np.linalg.norm(on - off))]
    for token in ids:
        shares = attribute(model.bundle, IDS, token, edits=said, neurons_of=layer).neurons
        assert shares is not None
        values.append(float(shares[0, at, neuron]) / activation)
    place = {"layer": layer, "neuron": neuron, "position": at}
    yield {"thing": "neuron", **place, "ids": ids, "values": values}


def shares_of(model: Model, edits: list[Record]) -> Iterator[Record]:
    """Return all parts' shares of a logit and of a difference."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    at, answer = 9, 7
    for other in (None, 40):
        shares = attribute(model.bundle, IDS, answer, other, edits=said)
        parts: list[Record] = [{"part": "embedding"}, {"part": "bias"}]
        values = [float(shares.embedding[0, at]), float(shares.bias)]
        for layer in range(model.bundle.shape.layers):
            rest = {"part": "attention_rest", "layer": layer}
            parts += [rest, {"part": "mlp", "layer": layer}]
            values += [float(shares.attention_rest[0, layer, at]), float(shares.mlps[0, layer, at])]
            for head in range(model.bundle.shape.heads):
                parts.append({"part": "head", "layer": layer, "head": head})
                values.append(float(shares.heads[layer][0, head, at]))
        place = {"answer": answer, "other": other, "position": at}
        yield {"thing": "attribution", **place, "parts": parts, "values": values}


def log_softmax(logits: Any) -> Any:
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def differences_of(model: Model, edits: list[Record]) -> Iterator[Record]:
    """Return how a run with these edits differs from another text's, and from its own without."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    last = model.bundle.shape.layers - 1
    kinds = ["attn_probs", "resid_post", "mlp_output", "lens_ids", "lens_probs"]
    first = model.bundle.run(IDS, activations=kinds, edits=said)
    for ids in (OTHER_IDS, *([IDS] if edits else [])):
        second = model.bundle.run(ids, activations=kinds)
        pairs = FACING if ids is OTHER_IDS else [(at, at) for at in range(len(IDS))]
        facing = [{"a": a, "b": b} for a, b in pairs]

        def shown(what: Record, values: list[float], ids: list[int] = ids) -> Record:
            return {"thing": "difference", "other": {"ids": ids}, "what": what, "values": values}

        p, q = log_softmax(first.logits[0, -1]), log_softmax(second.logits[0, -1])
        some = p.argsort()[::-1][:6].tolist()
        divergences = [(np.exp(p) * (p - q)).sum(), (np.exp(q) * (q - p)).sum()]
        change = (np.exp(q) - np.exp(p))[some]
        what: Record = {"of": "prediction", "ids": some}
        yield shown(what, [*map(float, divergences), *change.tolist()])
        a, b = np.array(pairs).T
        for kind in ("resid_post", "mlp_output"):
            x, y = first.of(kind, last)[0, a], second.of(kind, last)[0, b]
            lengths = np.linalg.norm(x, axis=-1) * np.linalg.norm(y, axis=-1)
            of_kind = {"of": "stream", "kind": kind, "layer": last, "pairs": facing}
            distance = np.linalg.norm(y - x, axis=-1)
            yield shown({**of_kind, "measure": "norm"}, distance.tolist())
            yield shown({**of_kind, "measure": "cosine"}, ((x * y).sum(-1) / lengths).tolist())
        at = 4
        x, y = first.of("attn_probs", last)[0, 1, a[at]], second.of("attn_probs", last)[0, 1, b[at]]
        row = {"query": facing[at], "keys": facing[: at + 1]}
        weights = (y[b[: at + 1]] - x[a[: at + 1]]).tolist()
        yield shown({"of": "attention", "head": [last, 1], **row}, weights)
        by_id = [
            dict(zip(run.of("lens_ids", 1)[0, at], run.of("lens_probs", 1)[0, at], strict=True))
            for run, at in ((first, pairs[1][0]), (second, pairs[1][1]))
        ]
        both = sorted(set(by_id[0]) & set(by_id[1]))
        if both:
            cell = {"of": "lens", "layer": 1, "cell": facing[1], "ids": [int(id) for id in both]}
            yield shown(cell, [float(by_id[1][id] - by_id[0][id]) for id in both])


def maps_together(model: Model, edits: list[Record]) -> Iterator[Record]:
    """Return rows of attention that several heads give together, and ones weighted by values."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    run = model.bundle.run(IDS, activations=["attn_probs", "v"], edits=said)
    last, at = model.bundle.shape.layers - 1, 7
    heads = [[0, 0], [last, 1], [last, 2]]
    plain = [run.of("attn_probs", layer)[0, head, at, : at + 1] for layer, head in heads]
    weighted = [
        value_weighted(run.of("attn_probs", layer), run.of("v", layer))[0, head, at, : at + 1]
        for layer, head in heads
    ]
    place = {"thing": "attention", "kind": "attn_probs", "head": heads[1], "query": at}
    yield {**place, "weighted": True, "values": weighted[1].tolist()}
    for rows, is_weighted in ((plain, False), (weighted, True)):
        for how, values in (("mean", np.mean(rows, axis=0)), ("max", np.max(rows, axis=0))):
            over = {"how": how, "heads": heads}
            yield {**place, "weighted": is_weighted, "over": over, "values": values.tolist()}


def scores_on_text(model: Model, edits: list[Record]) -> Record:
    """Return the scores of heads in two layers that the page would show on the text."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    run = model.bundle.run(IDS, activations=["attn_probs"], edits=said)
    layers = [run.of("attn_probs", layer) for layer in range(model.bundle.shape.layers)]
    scores = scores_of(layers, [IDS])
    names = [*scores]
    heads = [[0, 0], [model.bundle.shape.layers - 1, 1]]
    values = [float(scores[name][layer, head]) for layer, head in heads for name in names]
    return {"thing": "head-scores", "scores": names, "heads": heads, "values": values}


def closings_of(model: Model) -> Iterator[tuple[Record, list[Record]]]:
    """Return every closing at every joint, with the next token that PyTorch's own edits give."""
    network: Any = AutoModelForCausalLM.from_pretrained(
        model.checkpoint, attn_implementation="eager"
    )
    architecture = find_architecture(model.record["architecture"])
    for edits in joint_edits.edit_sets(network.eval(), architecture).values():
        logits, _ = joint_edits.run_edited(network, architecture, IDS, edits)
        values, ids = logits.softmax(-1).topk(10)
        shown = {"thing": "next", "ids": ids.tolist(), "values": values.tolist()}
        yield (
            shown,
            [
                {
                    **{"joint": edit.joint, "layer": edit.layer, "closing": edit.closing},
                    "positions": edit.positions,
                    "tensors": {
                        name: {
                            **{"dims": list(tensor.shape), "mask": tensor.dtype == torch.bool},
                            "data": tensor.reshape(-1).float().tolist(),
                        }
                        for name, tensor in edit.tensors.items()
                    },
                }
                for edit in edits
            ],
        )


def every_number(model: Model) -> Iterator[Asked]:
    for name, edits in edits_of(model).items():
        for _, shown in numbers_of(model, edits):
            yield Asked(model, shown, edits)
        for _, shown, files in lenses_of(model, edits):
            yield Asked(model, shown, edits, files=files)
        for shown in continued(model, edits):
            yield Asked(model, shown, edits)
        if name in (WITHOUT, "heads off", "values of each token"):
            for shown in differences_of(model, edits):
                yield Asked(model, shown, edits)
        if name in (WITHOUT, "heads off"):
            yield Asked(model, scores_on_text(model, edits), edits)
            for shown in maps_together(model, edits):
                yield Asked(model, shown, edits)
        if name in (WITHOUT, "heads off"):
            for shown in shares_of(model, edits):
                yield Asked(model, shown, edits)
            for shown, files in layers_of(model, edits):
                yield Asked(model, shown, edits, files=files)
            for shown in neurons_of(model, edits):
                yield Asked(model, shown, edits)
    for shown, closings in closings_of(model):
        yield Asked(model, shown, closings=closings)


@pytest.fixture(scope="module")
def models(
    tiny_gpt2_bundle: Path,
    tiny_gpt2_checkpoint: Path,
    tiny_llama_bundle: Path,
    tiny_llama_checkpoint: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[Model]:
    made = []
    for bundle, checkpoint in (
        (tiny_gpt2_bundle, tiny_gpt2_checkpoint),
        (tiny_llama_bundle, tiny_llama_checkpoint),
    ):
        folder = tmp_path_factory.mktemp("scripts") / bundle.name
        shutil.copytree(bundle, folder)
        for file in lens_maps.write_packs_for(folder, tmp_path_factory.mktemp("packs")):
            add_pack(folder, file)
        made.append(Model(oriel.Bundle(folder), folder, checkpoint))
    return made


@pytest.fixture(scope="module")
def written(models: list[Model]) -> tuple[list[Asked], Record]:
    """Return all requests with what the page wrote for them, and its table of module paths."""
    return write([one for model in models for one in every_number(model)])


def write(asked: list[Asked]) -> tuple[list[Asked], Record]:
    """Return the requests with what the page wrote for them, and its table of module paths."""
    done = subprocess.run(
        ["node", "tests/web/write_programs.mjs"],
        cwd=ROOT,
        input=json.dumps([one.request() for one in asked]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    for one, got in zip(asked, answer["written"], strict=True):
        assert got is not None, one.shown
        one.script, one.notebook = got["script"], got["notebook"]
    return asked, answer["paths"]


def shown_values(asked: Asked) -> list[float]:
    return [*asked.shown["values"], *([asked.shown["norm"]] if "norm" in asked.shown else [])]


def largest_difference(found: Record, asked: Asked) -> float:
    """Return the largest difference, absolute up to 1 and relative to the largest value beyond."""
    computed = np.asarray(found["computed"])
    right = np.asarray(shown_values(asked), np.float32)
    assert computed.shape == right.shape
    assert np.isfinite(computed).all()
    # Masked scores hold the lowest float32, and everything else is small beside them.
    masked = right < -1e38
    assert (computed[masked] < -1e38).all()
    difference = np.abs(computed[~masked] - right[~masked]).max(initial=0)
    return float(difference / max(1.0, np.abs(right[~masked]).max(initial=0)))


def run_script(asked: Asked, folder: Path) -> Record:
    """Run the script in this process, which spares importing torch again. Return its names."""
    file = folder / "script.py"
    file.write_text(asked.script, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(file), str(asked.model.checkpoint), *map(str, asked.files)])
        return runpy.run_path(str(file))


def run_notebook(asked: Asked, folder: Path) -> Record:
    """Run the notebook's code cells in their order, beside files of the names that it opens."""
    (folder / asked.model.record["name"]).symlink_to(asked.model.checkpoint)
    for file in asked.files:
        shutil.copy(file, folder / file.name)
    names: Record = {"__name__": "__main__"}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for cell in json.loads(asked.notebook)["cells"]:
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), cell["id"], "exec"), names)  # noqa: S102
    return names


def first_of(asked: list[Asked], thing: str, model: int) -> Asked:
    names = sorted({one.model.record["name"] for one in asked})
    return next(
        one
        for one in asked
        if one.shown["thing"] == thing
        and one.model.record["name"] == names[model]
        and one.shown.get("pack", True) is not None
    )


def test_scripts_compute_the_numbers_of_the_screen(
    written: tuple[list[Asked], Record], tmp_path: Path
) -> None:
    asked, _ = written
    assert {(one.model.record["architecture"], one.shown["thing"]) for one in asked} == {
        (architecture, thing) for architecture in ("gpt2", "llama") for thing in THINGS
    }
    for one in asked:
        found = run_script(one, tmp_path)
        assert largest_difference(found, one) < CLOSE, (one.shown, one.edits, one.closings)
        assert found["shown"] == pytest.approx(shown_values(one), rel=1e-6)


def without_edits(script: str) -> str:
    """Return the script without its calls of `change`."""
    lines = script.split("\n")
    for node in reversed(ast.parse(script).body):
        is_call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if is_call and ast.unparse(node).startswith("change("):
            del lines[node.lineno - 1 : node.end_lineno]
    return "\n".join(lines)


def test_an_edit_or_a_text_left_out_is_noticed(
    written: tuple[list[Asked], Record], tmp_path: Path
) -> None:
    """The comparison fails for a script that lacks its edits, or feeds another token."""
    asked, _ = written
    edited = [one for one in asked if one.edits and one.shown["thing"] == "next"]
    assert len(edited) > 8
    for one in edited:
        found = run_script(replace(one, script=without_edits(one.script)), tmp_path)
        assert largest_difference(found, one) > CLOSE, one.edits
    other = edited[0].script.replace("ids = torch.tensor([[5, 17", "ids = torch.tensor([[5, 18")
    assert (
        largest_difference(run_script(replace(edited[0], script=other), tmp_path), edited[0])
        > CLOSE
    )


def test_a_script_runs_by_itself_and_says_what_it_needs(
    written: tuple[list[Asked], Record], tmp_path: Path
) -> None:
    asked, _ = written
    one = first_of(asked, "lens", 1)
    file = tmp_path / "script.py"
    file.write_text(one.script, "utf-8")
    without = subprocess.run([sys.executable, file], capture_output=True, text=True, check=False)
    assert without.returncode == 1
    assert (
        without.stderr.strip()
        == "give the folder of the checkpoint tiny-llama, then the lens pack's file"
    )
    command = [str(word) for word in (sys.executable, file, one.model.checkpoint, *one.files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    *rows, last = done.stdout.strip().splitlines()
    assert len(rows) == len(one.shown["ids"])
    for row, value in zip(rows, one.shown["values"], strict=True):
        words = row.split()
        there, here = (
            float(words[words.index(word) + at]) for word, at in (("screen", 1), ("here", 1))
        )
        assert there == pytest.approx(value, rel=1e-6)
        assert here == pytest.approx(value, abs=CLOSE)
    assert float(last.removeprefix("largest difference ")) < CLOSE


@pytest.mark.parametrize("model", [0, 1])
@pytest.mark.parametrize("thing", THINGS)
def test_notebooks_are_valid_and_their_cells_run(
    written: tuple[list[Asked], Record], tmp_path: Path, thing: str, model: int
) -> None:
    one = first_of(written[0], thing, model)
    notebook = json.loads(one.notebook)
    jsonschema.validate(notebook, NOTEBOOK)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    found = run_notebook(one, tmp_path)
    assert largest_difference(found, one) < CLOSE


def test_text_of_a_token_stays_inside_its_literal(written: tuple[list[Asked], Record]) -> None:
    asked, _ = written
    for one in asked[:3]:
        tree = ast.parse(one.script)
        modules = {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for name in node.names
        }
        assert modules <= {"sys", "torch", "base64"}
        (tokens,) = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "tokens"
        ]
        assert tokens[0] == HOSTILE
        assert not set(one.script) & {"\u2028", "\u202e", "\r", "\x00"}


def test_module_paths_are_those_of_the_exporter(written: tuple[list[Asked], Record]) -> None:
    _, paths = written
    assert set(REGISTRY) - set(paths) == WITHOUT_SCRIPTS
    assert set(paths) <= set(REGISTRY)
    for name, row in paths.items():
        architecture = find_architecture(name)
        same = {
            **{
                "blocks": "blocks",
                "attention": "attention",
                "mlp": "mlp",
                "finalNorm": "final_norm",
            },
            **{"mlpNorm": "mlp_norm", "mlpNonlinearity": "mlp_nonlinearity"},
            **{"attentionOutputMatrix": "attention_output_matrix", "mlpLinear": "mlp_linear"},
            **{"mlpOutputMatrix": "mlp_output_matrix", "unembedding": "unembedding"},
            **{"attentionAdded": "attention_added", "mlpAdded": "mlp_added"},
            **{"residualMultiplier": "residual_multiplier", "fusedMlp": "fused_mlp"},
        }
        assert {key: row[key] for key in same} == {
            key: getattr(architecture, field) for key, field in same.items()
        }
        assert (row["finish"] is None) == (architecture.finish_logits is None)
        assert set(row) == {*same, "matrix", "norm", "finish"}
