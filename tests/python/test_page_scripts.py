"""The scripts and notebooks that the page gives for numbers on its screen compute these numbers
again: written by the page's own code in Node, run here with PyTorch and transformers, and compared
with what the exported bundle gives in ONNX Runtime, under every kind of edit."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import jsonschema
import lens_maps
import numpy as np
import pytest
import torch
from page_dictionaries import add_page_dictionaries
from page_programs import (
    CLOSE,
    HOSTILE,
    IDS,
    WITHOUT,
    Asked,
    Model,
    Record,
    edits_of,
    features_of,
    largest_difference,
    layers_of,
    lenses_of,
    neurons_of,
    numbers_of,
    run_script,
    shares_of,
    shown_values,
    written_programs,
)
from transformers import AutoModelForCausalLM

import oriel
from oriel.analysis.head_scores import scores_of, value_weighted
from oriel.lenses.bundle_packs import add_pack
from oriel.models.architectures import REGISTRY, find_architecture
from oriel.runtime.edit_json import edits_from_json

# Not type-checked: they make the bundles of the browser tests, and change only with these.
joint_edits: Any = import_module("joint_edits")

OTHER_IDS = [5, 17, 9, 2, 40, 58, 33, 8, 17, 30, 12, 3, 4]
"""A second text, that the first is compared with."""
FACING = [(0, 0), (1, 1), (3, 3), (5, 5), (6, 7), (9, 9)]
THINGS = (
    *("next", "attention", "lens", "layer", "activation", "neuron", "attribution"),
    "feature",
    *("steps", "paths", "difference", "head-scores"),
)

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
            for shown, files in features_of(model, edits):
                yield Asked(model, shown, edits, files=files)
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
        add_page_dictionaries(folder)
        made.append(Model(oriel.Bundle(folder), folder, checkpoint))
    return made


@pytest.fixture(scope="module")
def written(models: list[Model]) -> tuple[list[Asked], Record]:
    """Return all requests with what the page wrote for them, and its table of module paths."""
    with written_programs() as write:
        return write([one for model in models for one in every_number(model)])


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
    assert set(paths) == set(REGISTRY)
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
            "router": "router",
        }
        assert {key: row[key] for key in same} == {
            key: getattr(architecture, field) for key, field in same.items()
        }
        assert (row["finish"] is None) == (architecture.finish_logits is None)
        # OPT's embedding may have a width of its own, and a matrix before the unembedding then.
        assert name == "opt" or tuple(row["head"]) == architecture.head
        assert (row["products"] is None) == (architecture.through_interface is None)
        assert row["products"] in (None, architecture.attention_caller)
        assert (row["firstPosition"] is None) == (architecture.first_position is None)
        further = {"matrix", "norm", "finish", "head", "products", "firstPosition", "prepare"}
        assert set(row) == {*same, *further}
