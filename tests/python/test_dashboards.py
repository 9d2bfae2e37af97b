"""Tests `oriel dashboards`: what it counts is what PyTorch's own activations give, whatever the
shards, and a run that was stopped ends in the same bytes."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dashboard_runs import (
    after_saves,
    contexts_of,
    files_of,
    passages,
    rows_of,
    run,
    run_in_shards,
    stop,
    write_text,
)
from pyarrow import parquet
from transformers import GPT2LMHeadModel

from oriel.arrays import Array
from oriel.contract.activation_contract import schema_problem
from oriel.dashboards import formats, reduce
from oriel.dashboards.memory import calibration_bytes
from oriel.dashboards.neighbours import STANDARD_ERROR, find_neighbours
from oriel.dashboards.partial import FIRINGS, Firings, Partial, Sizes
from oriel.dashboards.ranges import CALIBRATED_CONTEXTS, Calibration
from oriel.dashboards.units import UnitGroup, unit_blocks

ALL = ("--kinds", "mlp_act,attn_z,resid_post")
LENGTH = 32
"""Tokens of the model's context."""
SHARD = 1000
"""Bytes of a shard."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("corpus") / "some.txt", passages(60))


@pytest.fixture(scope="module")
def made(dashboard_bundle: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dashboards of every kind over a corpus of several shards."""
    out = tmp_path_factory.mktemp("made") / "dashboards"
    return run_in_shards(dashboard_bundle, out, SHARD, "--corpus", corpus, *ALL)


class Reference:
    """The activations of all contexts of a corpus, as PyTorch computes them."""

    def __init__(self, checkpoint: Path, shards: list[list[str]]) -> None:
        self.model: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(
            checkpoint, attn_implementation="eager"
        )
        self.contexts = contexts_of(checkpoint, shards, LENGTH)
        """(shard, number, ids)"""

    def values(self, kind: str, layer: int) -> list[Array]:
        """(seq, units) of each context."""
        block: Any = self.model.transformer.h[layer]
        found: list[torch.Tensor] = []
        hooks = [
            block.mlp.act.register_forward_hook(lambda _, __, out: found.append(out[0])),
            block.attn.c_proj.register_forward_pre_hook(
                lambda _, given: found.append(given[0][0].reshape(-1, 3, 8).norm(dim=-1))
            ),
            block.register_forward_hook(
                lambda _, __, out: found.append((out[0] if isinstance(out, tuple) else out)[0])
            ),
        ]
        at = {"attn_z": 0, "mlp_act": 1, "resid_post": 2}[kind]
        with torch.no_grad():
            for _, _, ids in self.contexts:
                self.model(torch.tensor([ids]))
        for hook in hooks:
            hook.remove()
        return [each.numpy() for each in found[at::3]]


@pytest.fixture(scope="module")
def reference(dashboard_checkpoint: Path, corpus: Path) -> Reference:
    return Reference(
        dashboard_checkpoint, [shard_texts(corpus, at) for at in range(shards(corpus))]
    )


def shards(corpus: Path) -> int:
    return -(-corpus.stat().st_size // SHARD)


def shard_texts(corpus: Path, at: int) -> list[str]:
    """Return the texts of a shard of a text file: lines belong to where they begin."""
    data, texts, passage, place = corpus.read_bytes(), [], b"", 0
    for line in data.splitlines(keepends=True):
        if at * SHARD <= place < (at + 1) * SHARD:
            passage += line
            if not line.strip():
                texts.append(passage.decode().strip())
                passage = b""
        place += len(line)
    return [text for text in [*texts, passage.decode().strip()] if text]


@pytest.mark.parametrize("kind", ["mlp_act", "attn_z", "resid_post"])
@pytest.mark.parametrize("layer", [0, 3])
def test_figures_are_those_of_pytorch(
    made: Path, reference: Reference, kind: str, layer: int
) -> None:
    contexts = reference.values(kind, layer)
    everything = np.concatenate([values[1:] for values in contexts]).astype(np.float64)
    sampled = np.concatenate(
        [
            values[1:]
            for (_, at, _), values in zip(reference.contexts, contexts, strict=True)
            if at % reduce.SAMPLED == 0
        ]
    ).astype(np.float64)
    strength = np.abs(everything) if kind == "resid_post" else everything
    rows = rows_of(made, kind, layer)
    assert [row["unit"] for row in rows] == list(range(everything.shape[1]))
    for row, values, drawn, strong in zip(rows, everything.T, sampled.T, strength.T, strict=True):
        near = pytest.approx
        assert row["mean"] == near(drawn.mean(), rel=1e-3, abs=1e-5)
        assert row["largest"] == near(values.max(), rel=1e-4)
        assert row["smallest"] == near(drawn.min(), rel=1e-4)
        assert row["deviation"] == near(drawn.std(), rel=1e-3)
        central = drawn - drawn.mean()
        assert row["kurtosis"] == near((central**4).mean() / (central**2).mean() ** 2, rel=1e-3)
        assert row["positive"] == near((drawn > 0).mean(), abs=2 / len(drawn))
        assert row["firing"] == near((strong > row["threshold"]).mean(), abs=2 / len(strong))
        assert sum(row["histogram"]) == len(drawn)
        edges = np.linspace(row["histogram_low"], row["histogram_high"], 65)
        counted = np.histogram(np.clip(drawn, edges[0], edges[-1]), edges)[0]
        # A value at an edge may fall on either side.
        assert np.abs(counted - row["histogram"]).sum() <= 2


@pytest.mark.parametrize("kind", ["mlp_act", "attn_z", "resid_post"])
def test_passages_are_the_strongest_of_pytorch(made: Path, reference: Reference, kind: str) -> None:
    contexts = reference.values(kind, 1)
    for row in rows_of(made, kind, 1):
        unit = row["unit"]
        strength = [np.abs(v[1:, unit]) if kind == "resid_post" else v[1:, unit] for v in contexts]
        wanted = sorted((float(each.max()) for each in strength), reverse=True)[:16]
        found = [
            values[peak]
            for values, peak in zip(row["passage_values"], row["passage_peaks"], strict=True)
        ]
        ranked = np.abs(found) if kind == "resid_post" else np.array(found)
        np.testing.assert_allclose(ranked, wanted, rtol=1e-4, atol=1e-5)
        for at in range(len(found)):
            place = row["passage_shards"][at], row["passage_contexts"][at]
            (number,) = [n for n, c in enumerate(reference.contexts) if c[:2] == place]
            ids, position = reference.contexts[number][2], row["passage_positions"][at]
            begin = position - row["passage_peaks"][at]
            tokens = row["passage_tokens"][at]
            assert tokens == ids[begin : position + 9]
            assert begin == max(0, position - 16)
            values = contexts[number][begin : begin + len(tokens), unit]
            np.testing.assert_allclose(row["passage_values"][at], values, rtol=1e-3, atol=1e-5)


def test_of_few_tokens_firings_and_neighbours_are_exact(
    dashboard_bundle: Path,
    corpus: Path,
    reference: Reference,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where no unit fires more often than its sample holds, the sample is all of it."""
    monkeypatch.setattr(formats, "SHARD_BYTES", SHARD)
    out, tokens = tmp_path / "few", 40 * LENGTH
    assert run(dashboard_bundle, out, "--corpus", corpus, *ALL, "--tokens", str(tokens)) == 0
    record = json.loads((out / "dashboards.json").read_text())
    assert record["corpus"]["tokens"] == tokens
    assert record["corpus"]["counted"] == tokens - record["corpus"]["contexts"]
    flat = np.concatenate([ids[1:] for _, _, ids in reference.contexts])
    flat = flat[: record["corpus"]["counted"]]
    fires, rows, firsts = [], [], [0]
    for group in record["groups"]:
        values = np.concatenate([v[1:] for v in reference.values(group["kind"], group["layer"])])
        own = rows_of(out, group["kind"], group["layer"])
        strength = np.abs(values) if group["kind"] == "resid_post" else values
        # A threshold is a value that the unit took, and must not fire at in PyTorch's rounding.
        thresholds = np.array([row["threshold"] for row in own]) * (1 + 1e-5) + 1e-6
        fires.append(strength[: len(flat)] > thresholds)
        rows += own
        firsts.append(firsts[-1] + group["units"])
    firing = np.concatenate(fires, axis=1).astype(float)
    assert firing.sum(axis=0).max() < FIRINGS
    both = firing.T @ firing
    either = firing.sum(axis=0)[:, None] + firing.sum(axis=0) - both
    overlaps = np.where(both >= 4, both / np.maximum(either, 1), 0)
    np.fill_diagonal(overlaps, 0)
    for unit, row in enumerate(rows):
        counts = Counter(flat[firing[:, unit] > 0].tolist())
        assert len(row["firing_tokens"]) == min(10, len(counts))
        for token, share in zip(row["firing_tokens"], row["firing_shares"], strict=True):
            assert share == pytest.approx(counts[token] / counts.total())
        shares = np.array(list(counts.values())) / counts.total()
        assert row["token_entropy"] == pytest.approx(-(shares * np.log(shares)).sum(), abs=1e-5)
        found = row["neighbour_overlaps"]
        wanted = sorted(overlaps[unit][overlaps[unit] > 0], reverse=True)[:10]
        np.testing.assert_allclose(found, wanted, rtol=1e-5)
        places = zip(row["neighbour_groups"], row["neighbour_units"], found, strict=True)
        for at, number, overlap in places:
            assert overlap == pytest.approx(overlaps[unit][firsts[at] + number], rel=1e-5)


def test_samples_estimate_overlaps_within_their_bound() -> None:
    """Of units that fire far more often than a sample holds."""
    hashes = np.concatenate([reduce.token_hashes(0, at, 0, 255) for at in range(200)])
    draw = np.random.default_rng(3)
    first = draw.random(len(hashes)) < 0.1
    errors = []
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        second = np.where(draw.random(len(hashes)) < share, first, draw.random(len(hashes)) < 0.1)
        sample = Firings.empty(2)
        for unit, fires in enumerate((first, second)):
            own = np.sort(hashes[fires])[:FIRINGS]
            sample.hashes[unit, : len(own)] = own
        exact = (first & second).sum() / (first | second).sum()
        errors.append(find_neighbours(sample).overlap[0, 0] - exact)
    assert np.abs(errors).max() < 3 * STANDARD_ERROR
    assert len(np.unique(hashes)) == len(hashes)


@pytest.mark.parametrize("layer", [0, 3])
def test_promoted_tokens_are_the_product_with_the_unembedding(
    made: Path, reference: Reference, layer: int
) -> None:
    model: Any = reference.model.requires_grad_(False)
    along = model.transformer.ln_f.weight[:, None] * model.lm_head.weight.T
    along = along - along.mean(dim=0)
    directions = {
        "mlp_act": model.transformer.h[layer].mlp.c_proj.weight @ along,
        "resid_post": along,
    }
    for kind, shares in directions.items():
        for row, own in zip(rows_of(made, kind, layer), shares, strict=True):
            most, least = torch.topk(own, 10), torch.topk(-own, 10)
            np.testing.assert_allclose(row["promoted_by"], most.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(row["suppressed_by"], -least.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(own[row["promoted"]], most.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(own[row["suppressed"]], -least.values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", [0, 3])
def test_a_head_promotes_what_it_writes_on_average_where_it_fires(
    made: Path, reference: Reference, layer: int
) -> None:
    model: Any = reference.model.requires_grad_(False)
    along = model.transformer.ln_f.weight[:, None] * model.lm_head.weight.T
    projection = model.transformer.h[layer].attn.c_proj
    mixes: list[torch.Tensor] = []
    hook = projection.register_forward_pre_hook(
        lambda _, given: mixes.append(given[0][0, 1:].reshape(-1, 3, 8))
    )
    with torch.no_grad():
        for _, _, ids in reference.contexts:
            model(torch.tensor([ids]))
    hook.remove()
    heads = torch.cat(mixes).swapaxes(0, 1)
    written = projection.weight.reshape(3, 8, -1) @ (along - along.mean(dim=0))
    rows = rows_of(made, "attn_z", layer)
    for row, own, matrix in zip(rows, heads, written, strict=True):
        # The threshold is a value of the corpus, which rounding may put on its other side.
        total = own[own.norm(dim=1) > row["threshold"] * (1 + 1e-5)].sum(dim=0)
        shares = total / total.norm() @ matrix
        most, least = torch.topk(shares, 10), torch.topk(-shares, 10)
        np.testing.assert_allclose(row["promoted_by"], most.values, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(row["suppressed_by"], -least.values, rtol=1e-3, atol=1e-5)
        np.testing.assert_allclose(shares[row["promoted"]], most.values, rtol=1e-3, atol=1e-5)


def test_the_index_proves_each_range_that_a_reader_takes(made: Path, tmp_path: Path) -> None:
    """A file of zeros but for the footer and one group of rows gives that group's units."""
    record = json.loads((made / "dashboards.json").read_text())
    assert schema_problem("manifest#/$defs/dashboardSet", record) is None
    for group in record["groups"]:
        index = json.loads((made / group["path"]).read_text())
        assert schema_problem("dashboards", index) is None
        assert sum(file["units"] for file in index["files"]) == index["units"] == group["units"]
        first = 0
        for file in index["files"]:
            data = (made / file["path"]).read_bytes()
            assert len(data) == file["bytes"]
            whole = parquet.read_table(made / file["path"]).to_pylist()
            for at, rows in enumerate(file["row_groups"]):
                sparse = bytearray(len(data))
                for part in (file["footer"], rows):
                    span = slice(part["begin"], part["begin"] + part["bytes"])
                    sparse[span] = data[span]
                    digest = hashlib.sha256(data[span]).hexdigest()
                    assert part["digest"] == f"sha256:{digest}"
                (tmp_path / "sparse").write_bytes(sparse)
                found = parquet.ParquetFile(tmp_path / "sparse").read_row_group(at).to_pylist()
                assert found == whole[first : first + rows["units"]]
                first += rows["units"]
        assert first == index["units"]


def test_any_workers_give_the_same_result_joined(made: Path) -> None:
    """Joining refuses shards out of order, which would be counted twice or left out."""
    whole = Partial.empty(Sizes(3))
    with pytest.raises(ValueError, match="shard 2 doesn't follow"):
        whole.join(Partial.empty(Sizes(3), first=2))


def test_a_stopped_run_goes_on_and_ends_in_the_same_bytes(
    dashboard_bundle: Path,
    corpus: Path,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(formats, "SHARD_BYTES", SHARD)
    out = tmp_path / "dashboards"
    for saves in (1, 2):
        with pytest.MonkeyPatch.context() as patch:
            after_saves(patch, saves, stop)
            assert run(dashboard_bundle, out, "--corpus", corpus, *ALL) == 130
        assert not out.exists(), "nothing half-written is left at --out"
    assert "stopped" in capsys.readouterr().err
    reduced: list[int] = []
    inner = reduce.Reducer.finish

    def finish(self: reduce.Reducer) -> Partial:
        reduced.append(self.shard)
        return inner(self)

    monkeypatch.setattr(reduce.Reducer, "finish", finish)
    assert run(dashboard_bundle, out, "--corpus", corpus, *ALL, "--threads", "1") == 0
    assert reduced == list(range(3, shards(corpus))), "shards that were whole are not counted again"
    assert files_of(out) == files_of(made)
    assert not (tmp_path / "dashboards.unfinished").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from oriel.bundle import atomic_folder
from oriel.cli import main
from oriel.dashboards import formats

formats.SHARD_BYTES = int(sys.argv.pop(1))
left, replace = int(sys.argv.pop(1)), Path.replace


def dying(self, target):
    global left
    left -= Path(target).name == "state.npz"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)


Path.replace = dying
raise SystemExit(main(sys.argv[1:]))
"""
"""Runs the command and kills it when it is about to put a finished state in the former's place."""


def test_a_run_that_is_killed_while_it_saves_goes_on_and_ends_in_the_same_bytes(
    dashboard_bundle: Path, corpus: Path, made: Path, tmp_path: Path
) -> None:
    out = tmp_path / "dashboards"
    words = ["dashboards", str(dashboard_bundle), "--out", str(out), "--corpus", str(corpus), *ALL]
    for saves, then in ((2, -signal.SIGKILL), (2, -signal.SIGKILL), (99, 0)):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, str(SHARD), str(saves), *words], capture_output=True
        )
        assert ended.returncode == then, ended.stderr.decode()
        assert out.exists() == (then == 0)
    assert files_of(out) == files_of(made)
    assert {each.name for each in tmp_path.iterdir()} == {"dashboards"}


def test_the_memory_bound_covers_the_copies_that_ranges_are_measured_on() -> None:
    length, counts = 256, (300, 700, 40, 40)
    ends = np.cumsum(counts)
    groups = [
        UnitGroup("resid_post", layer, int(end) - count, count)
        for layer, (count, end) in enumerate(zip(counts, ends, strict=True))
    ]
    blocks = unit_blocks(groups)
    tracemalloc.start()
    try:
        calibration = Calibration(blocks)
        for _ in range(CALIBRATED_CONTEXTS):
            shapes = [(length, block.span.stop - block.span.start) for block in blocks]
            calibration.add([np.random.default_rng(0).random(s, np.float32) for s in shapes])
        calibration.ranges()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 < peak / calibration_bytes(groups, length) < 1
