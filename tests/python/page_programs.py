"""Programs that the page gives for numbers on its screen: what the page would show of a bundle, the
scripts that its own code writes for it in Node, and their runs with PyTorch and transformers."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import oriel
from oriel.analysis import residual
from oriel.analysis.attribution import attribute
from oriel.analysis.lens_measures import measure_lens
from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.contract.documents import DictionaryActivation
from oriel.contract.manifest import read_manifest
from oriel.runtime.edit_json import edits_from_json

said_edits: Any = import_module("said_edits")
ROOT = Path(__file__).resolve().parents[2]
IDS = [5, 17, 2, 2, 40, 58, 8, 17, 1, 9, 44, 3]
"""Token 1 is RoBERTa's padding, which its own count of positions leaves out."""
CLOSE = 1e-4
WITHOUT = "no edits"
HOSTILE = 'a"b\\"""\nimport os\u2028\u202e\r\x00\'${x}`<script>\U0001f642'
"""A token's text that would end a literal, a comment or a cell, if it was not escaped."""
KINDS = (
    *("resid_pre", "q", "k", "v", "attn_z", "attn_output", "resid_mid", "mlp_pre", "mlp_gate"),
    *("mlp_linear", "mlp_act", "mlp_output", "resid_post", "embedding_sum", "final_norm"),
)
BY_HEAD = ("q", "k", "v", "attn_z")
Record = dict[str, Any]


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


Writer = Callable[[list[Asked]], tuple[list[Asked], Record]]


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
    is_whole = bundle.shape.bidirectional
    # A model that continues no text predicts one of its tokens.
    logits = run.logits[0, at if is_whole else -1].astype(np.float64)
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    best = probabilities.argsort()[::-1][:10].tolist()
    values = {"ids": best, "values": probabilities[best].tolist()}
    yield "next", {"thing": "next", **({"position": at} if is_whole else {}), **values}
    for kind in ("attn_probs", "attn_scores"):
        row = run.of(kind, last)[0, 1, at, : None if is_whole else at + 1].tolist()
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
    has_effects = "attribution" in read_manifest(model.folder).variant("fp32")
    at, layer, ids = 6, 1, [7, 40] if has_effects else []
    activations = model.bundle.run(IDS, ["mlp_act"], said).of("mlp_act", layer)[0]
    neuron = int(np.abs(activations[at]).argmax())
    alone = np.zeros((1, 2, activations.shape[-1]), np.float32)
    alone[0, 1, neuron] = 1
    put_in = oriel.Replace("mlp_act", layer=layer, value=alone)
    # Another norm may stand between the output matrix and the stream.
    raw = "mlp_output_raw" if model.bundle.shape.raw_outputs else "mlp_output"
    off, on = model.bundle.run([[0, 0]], [raw], [put_in]).of(raw, layer)[0]
    activation = float(activations[at, neuron])
    values = [activation, float(np.linalg.norm(on - off))]
    for token in ids:
        shares = attribute(model.bundle, IDS, token, edits=said, neurons_of=layer).neurons
        assert shares is not None
        values.append(float(shares[0, at, neuron]) / activation)
    place = {"layer": layer, "neuron": neuron, "position": at}
    yield {"thing": "neuron", **place, "ids": ids, "values": values}


def features_of(model: Model, edits: list[Record]) -> Iterator[tuple[Record, tuple[Path]]]:
    """Return the strongest feature of each dictionary at a token, from the bundle's own tap, and
    its effect on logits, from the checkpoint's own norm and unembedding. Of GPT-2 or Llama."""
    said = edits_from_json({"edits_version": "1.0", "edits": edits})
    at, ids, last = 6, [7, 40], model.bundle.shape.layers - 1
    for name in model.bundle.dictionaries:
        dictionary, output = model.bundle.dictionary(name), f"features_{name}"
        description = dictionary.description
        run = model.bundle.run(IDS, [output, f"layer_{last}_resid_post"], said)
        feature = int(run[output][0, at].argmax())
        row = _in_stream(model, description["writes"], dictionary.wide("decoder_weight")[feature])
        stream = run.of("resid_post", last)[0, at]
        effects = _effects(model, torch.tensor(stream), torch.tensor(row))[ids].tolist()
        read, written = description["reads"], description["writes"]
        yield (
            {
                **{"thing": "feature", "name": name, "file": dictionary.path},
                **{"reads": read, "writes": written, "activation": description["activation"]},
                **{"k": description.get("k"), "feature": feature, "position": at, "ids": ids},
                "values": [float(run[output][0, at, feature]), *effects],
            },
            (model.folder / dictionary.path,),
        )


def _in_stream(model: Model, writes: DictionaryActivation, row: Array) -> Array:
    """Return what a row of an activation adds to the stream, (hidden), from a run with it and with
    zeros."""
    kind, layer, heads = writes["kind"], writes["layer"], model.bundle.shape.heads
    if kind not in ("mlp_act", "attn_z"):
        return row
    output = "mlp_output" if kind == "mlp_act" else "attn_output"
    rows = np.stack([np.zeros_like(row), row])
    value = rows[None] if kind == "mlp_act" else rows.reshape(1, 2, heads, -1).swapaxes(1, 2)
    put_in = oriel.Replace(kind, layer=layer, value=value)
    off, on = model.bundle.run([[0, 0]], [output], [put_in]).of(output, layer)[0]
    difference: Array = on - off
    return difference


def _effects(model: Model, stream: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
    """Return (vocab): the change of logits for 1 of a row, with the final norm's divisor held."""
    found: Any = AutoModelForCausalLM.from_pretrained(model.checkpoint)
    base = found.base_model
    if hasattr(base, "ln_f"):
        norm = base.ln_f
        part = (row - row.mean()) / (stream.var(unbiased=False) + norm.eps).sqrt()
    else:
        norm = base.norm
        part = row / (stream.pow(2).mean() + norm.variance_epsilon).sqrt()
    effects: torch.Tensor = found.get_output_embeddings().weight @ (part * norm.weight)
    return effects.detach()


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


@contextmanager
def written_programs() -> Iterator[Writer]:
    """Give a function that returns its requests with what the page wrote for them, and the page's
    table of module paths. One process of Node serves all its calls."""
    process = subprocess.Popen(
        ["node", "tests/web/write_programs.mjs"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    asks, answers = process.stdin, process.stdout

    def write(asked: list[Asked]) -> tuple[list[Asked], Record]:
        asks.write(json.dumps([one.request() for one in asked]) + "\n")
        asks.flush()
        line = answers.readline()
        assert line, "Node ended; its message stands above"
        answer = json.loads(line)
        for one, got in zip(asked, answer["written"], strict=True):
            assert got is not None, one.shown
            one.script, one.notebook = got["script"], got["notebook"]
        return asked, answer["paths"]

    try:
        yield write
    finally:
        asks.close()
        answers.close()
        process.wait(timeout=60)


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


READ = (
    *("q", "attn_output_raw", "attn_output", "resid_mid", "mlp_pre", "mlp_linear", "mlp_act"),
    *("mlp_output_raw", "mlp_output", "final_norm", "router_logits", "router_probs"),
    *("expert_ids", "expert_weights"),
)
CHANGED = ("attn_z", "resid_mid", "mlp_output")


def some_numbers(model: Model) -> Iterator[Asked]:
    """Return numbers of a run without edits, and of one with edits of many kinds, as an
    architecture of any kind has them."""
    shape = model.bundle.shape
    last = shape.layers - 1
    there = [kind for kind in READ if kinds()[kind].present_in(shape, last)]
    for _, shown in numbers_of(model, [], there):
        yield Asked(model, shown)
    for _, shown, _ in lenses_of(model, []):
        yield Asked(model, shown)
    for shown, _ in layers_of(model, []):
        if shown["measure"] in ("divergence", "rank", "growth"):
            yield Asked(model, shown)
    if "attribution" in read_manifest(model.folder).variant("fp32"):
        for shown in (*neurons_of(model, []), *shares_of(model, [])):
            yield Asked(model, shown)
    elif kinds()["mlp_act"].present_in(shape, 1):
        # Where the logits are no sum, the page shows a neuron without its effects.
        for shown in neurons_of(model, []):
            yield Asked(model, shown)
    some = [kind for kind in CHANGED if kinds()[kind].present_in(shape, last)]
    edits = edits_of(model)["values of each token"]
    for _, shown in numbers_of(model, edits, some):
        yield Asked(model, shown, edits)
    if shape.bidirectional:
        yield Asked(model, _difference_of_words(model))


def _difference_of_words(model: Model) -> Record:
    """Return how the predictions of a token of this text and of one of another differ."""
    other, a, b = [5, 17, 9, 2, 40], 6, 2
    logits = (model.bundle.run(ids).logits[0, at] for ids, at in ((IDS, a), (other, b)))
    p, q = (each - np.logaddexp.reduce(each) for each in (row.astype(np.float64) for row in logits))
    some = p.argsort()[::-1][:4].tolist()
    divergences = (np.exp(p) * (p - q)).sum(), (np.exp(q) * (q - p)).sum()
    values = [*divergences, *(np.exp(q) - np.exp(p))[some]]
    what = {"of": "prediction", "ids": some, "at": {"a": a, "b": b}}
    shown = {"thing": "difference", "other": {"ids": other}, "what": what}
    return {**shown, "values": [float(value) for value in values]}


def check_programs(folder: Path, checkpoint: Path, write: Writer, scratch: Path) -> None:
    """Compare what scripts compute with what the bundle in the folder gives."""
    with oriel.Bundle(folder) as bundle:
        model = Model(bundle, folder, checkpoint)
        assert max(IDS) < bundle.shape.vocab
        asked, _ = write(list(some_numbers(model)))
    for one in asked:
        found = run_script(one, scratch)
        assert largest_difference(found, one) < CLOSE, (one.shown, one.edits)
