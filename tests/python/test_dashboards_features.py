"""Tests dashboards of dictionaries' features: they are computed by hand from PyTorch's activations,
and belong to one file of a dictionary."""

from __future__ import annotations

import errno
import json
import os
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from dashboard_dictionaries import add_random, random_arrays
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
from publish_servers import nginx
from transformers import GPT2LMHeadModel

from oriel import Bundle
from oriel.arrays import Array
from oriel.bundle.kept_dashboards import keep_dashboards
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.dashboards import formats, reduce
from oriel.dashboards.memory import bytes_needed, dictionary_bytes
from oriel.dashboards.units import unit_groups
from oriel.dictionaries import dictionary_file
from oriel.progress import Silent
from oriel.publishing.check_url import check_url
from oriel.publishing.publish import publish
from oriel.publishing.to_folder import FolderPlace

LENGTH, SHARD = 32, 1000
"""Tokens of the model's context, and bytes of a shard."""
FEATURES = ("--kinds", "features")
DICTIONARIES: dict[str, dict[str, Any]] = {
    "mlp": {"reads": ("mlp_output", 2), "writes": ("mlp_output", 2), "features": 40},
    "cross": {
        "reads": ("resid_mid", 1),
        "writes": ("mlp_act", 1),
        "features": 24,
        "activation": "jumprelu",
    },
    "heads": {
        "reads": ("attn_z", 3),
        "writes": ("attn_z", 3),
        "features": 20,
        "activation": "topk",
        "k": 4,
    },
}


@pytest.fixture(scope="module")
def bundle(dashboard_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("features") / "bundle"
    shutil.copytree(dashboard_bundle, folder)
    for seed, (name, form) in enumerate(DICTIONARIES.items()):
        add_random(folder, name, seed=seed, **form)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text(tmp_path_factory.mktemp("corpus") / "some.txt", passages(40))


@pytest.fixture(scope="module")
def made(bundle: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("made") / "dashboards"
    return run_in_shards(bundle, out, SHARD, "--corpus", corpus, *FEATURES)


@pytest.fixture(scope="module")
def model(dashboard_checkpoint: Path) -> Any:
    found = GPT2LMHeadModel.from_pretrained(dashboard_checkpoint, attn_implementation="eager")
    return found.requires_grad_(False)


@pytest.fixture(scope="module")
def features(
    dashboard_checkpoint: Path, model: Any, corpus: Path, made: Path
) -> dict[str, list[tuple[tuple[int, int], list[int], Array]]]:
    """Of each dictionary: place, token ids and features (seq, features) of every context."""
    found: dict[str, list[tuple[tuple[int, int], list[int], Array]]] = {n: [] for n in DICTIONARIES}
    kept: dict[str, torch.Tensor] = {}
    block = model.transformer.h
    hooks = [
        block[2].mlp.register_forward_hook(lambda _, __, out: kept.update(mlp=out[0])),
        block[1].ln_2.register_forward_pre_hook(lambda _, given: kept.update(cross=given[0][0])),
        block[3].attn.c_proj.register_forward_pre_hook(
            lambda _, given: kept.update(heads=given[0][0])
        ),
    ]
    for shard, number, own in contexts_of(dashboard_checkpoint, texts_of_shards(corpus), LENGTH):
        model(torch.tensor([own]))
        for seed, (name, form) in enumerate(DICTIONARIES.items()):
            rows = kept[name].numpy().astype(np.float64)
            values = by_hand(random_arrays(seed=seed, **form), form, rows)
            found[name].append(((shard, number), own, values))
    for hook in hooks:
        hook.remove()
    return found


def by_hand(arrays: dict[str, Array], form: dict[str, Any], rows: Array) -> Array:
    """Return the features of rows (seq, width), as the definition of each activation says."""
    sums = rows @ arrays["encoder_weight"] + arrays["encoder_bias"]
    if form.get("activation") == "jumprelu":
        return np.asarray(sums * (sums > arrays["threshold"]))
    above = np.maximum(sums, 0)
    if form.get("activation") == "topk":
        above[above < np.sort(above, axis=1)[:, -form["k"], None]] = 0
    return np.asarray(above)


def texts_of_shards(corpus: Path) -> list[list[str]]:
    """Return the texts of each shard: a passage is cut where a shard begins."""
    data, place = corpus.read_bytes(), 0
    shards: list[list[str]] = [[] for _ in range(-(-len(data) // SHARD))]
    for line in data.splitlines(keepends=True):
        if line.strip():
            shards[place // SHARD].append(line.decode().strip())
        place += len(line)
    return shards


@pytest.mark.parametrize("name", DICTIONARIES)
def test_figures_are_those_of_features_by_hand(
    made: Path, features: dict[str, Any], name: str
) -> None:
    layer = DICTIONARIES[name]["reads"][1]
    counted = np.concatenate([values[1:] for _, _, values in features[name]])
    sampled = np.concatenate(
        [values[1:] for (_, at), _, values in features[name] if at % reduce.SAMPLED == 0]
    )
    rows = rows_of(made, f"features_{name}", layer)
    assert [row["unit"] for row in rows] == list(range(DICTIONARIES[name]["features"]))
    assert {bool(own.any()) for own in counted.T} == {True, False}, "some are dead, some are not"
    for row, own, drawn in zip(rows, counted.T, sampled.T, strict=True):
        assert row["threshold"] == 0
        assert row["firing"] == pytest.approx((own > 0).mean(), abs=2 / len(own))
        assert row["largest"] == pytest.approx(own.max(), rel=1e-3, abs=1e-5)
        assert row["mean"] == pytest.approx(drawn.mean(), rel=1e-2, abs=1e-5)
        assert row["positive"] == pytest.approx((drawn > 0).mean(), abs=2 / len(drawn))
        assert row["histogram_low"] == 0
        assert row["histogram_high"] > 0
        assert sum(row["histogram"]) == len(drawn)
        first = (drawn < row["histogram_high"] / 64).sum()
        assert abs(row["histogram"][0] - first) <= 1


@pytest.mark.parametrize("name", DICTIONARIES)
def test_passages_are_where_it_fires_most(made: Path, features: dict[str, Any], name: str) -> None:
    contexts = {place: (ids, values) for place, ids, values in features[name]}
    some = False
    for row in rows_of(made, f"features_{name}", DICTIONARIES[name]["reads"][1]):
        unit = row["unit"]
        peaks = [float(values[1:, unit].max()) for _, values in contexts.values()]
        wanted = sorted((each for each in peaks if each > 1e-5), reverse=True)[:16]
        found = [v[p] for v, p in zip(row["passage_values"], row["passage_peaks"], strict=True)]
        assert min(found, default=1) > 0, "a passage where it doesn't fire is none"
        np.testing.assert_allclose(found[: len(wanted)], wanted, rtol=1e-3, atol=1e-5)
        for at in range(len(found)):
            ids, values = contexts[row["passage_shards"][at], row["passage_contexts"][at]]
            begin = row["passage_positions"][at] - row["passage_peaks"][at]
            tokens = row["passage_tokens"][at]
            assert tokens == ids[begin : begin + len(tokens)]
            own = values[begin : begin + len(tokens), unit]
            np.testing.assert_allclose(row["passage_values"][at], own, rtol=1e-2, atol=1e-5)
            some = True
    assert some


@pytest.mark.parametrize("name", DICTIONARIES)
def test_a_feature_promotes_what_its_decoder_writes(made: Path, model: Any, name: str) -> None:
    form = DICTIONARIES[name]
    along = model.transformer.ln_f.weight[:, None] * model.lm_head.weight.T
    along = along - along.mean(dim=0)
    kind, layer = form["writes"]
    block = model.transformer.h[layer]
    matrix = {"mlp_act": block.mlp.c_proj, "attn_z": block.attn.c_proj}.get(kind)
    seed = list(DICTIONARIES).index(name)
    decoder = torch.from_numpy(random_arrays(seed=seed, **form)["decoder_weight"])
    shares = decoder @ (along if matrix is None else matrix.weight @ along)
    rows = rows_of(made, f"features_{name}", form["reads"][1])
    for row, own in zip(rows, shares, strict=True):
        most, least = torch.topk(own, 10), torch.topk(-own, 10)
        np.testing.assert_allclose(row["promoted_by"], most.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(row["suppressed_by"], -least.values, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(own[row["promoted"]], most.values, rtol=1e-4, atol=1e-5)


def test_each_group_names_its_dictionary(bundle: Path, made: Path) -> None:
    record = json.loads((made / "dashboards.json").read_text())
    files = {
        each["name"]: next(
            file["digest"]
            for file in read_manifest(bundle).data["files"]
            if file["path"] == each["path"]
        )
        for each in read_manifest(bundle).data["dictionaries"]
    }
    assert [
        (each["kind"], each["layer"], each["units"], each["dictionary"])
        for each in record["groups"]
    ] == [
        (f"features_{name}", form["reads"][1], form["features"], files[name])
        for name, form in DICTIONARIES.items()
    ]


def test_a_stopped_run_ends_in_the_same_bytes(
    bundle: Path, corpus: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "SHARD_BYTES", SHARD)
    with pytest.MonkeyPatch.context() as patch:
        after_saves(patch, 1, stop)
        assert run(bundle, tmp_path / "made", "--corpus", corpus, *FEATURES) == 130
    assert run(bundle, tmp_path / "made", "--corpus", corpus, *FEATURES, "--threads", "1") == 0
    assert files_of(tmp_path / "made") == files_of(made)


def test_a_run_doesnt_go_on_with_another_dictionary(
    bundle: Path,
    corpus: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(formats, "SHARD_BYTES", SHARD)
    own = tmp_path / "bundle"
    shutil.copytree(bundle, own)
    with pytest.MonkeyPatch.context() as patch:
        after_saves(patch, 1, stop)
        assert run(own, tmp_path / "made", "--corpus", corpus, *FEATURES) == 130
    add_random(own, "mlp", seed=9, **DICTIONARIES["mlp"])
    capsys.readouterr()
    assert run(own, tmp_path / "made", "--corpus", corpus, *FEATURES) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "unfinished run of other arguments or files; got dictionaries" in line


def test_a_bundle_without_dictionaries_is_told_in_a_line(
    dashboard_bundle: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(dashboard_bundle, tmp_path / "made", "--corpus", corpus, *FEATURES) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == (
        "error: the bundle has no dictionary whose features could be counted; got --kinds "
        "features; expected other kinds. Add a dictionary: oriel add-dictionary."
    )


def test_a_changed_file_of_a_dictionary_is_refused(
    bundle: Path, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "bundle"
    shutil.copytree(bundle, own)
    (record, *_) = read_manifest(own).data["dictionaries"]
    data = bytearray((own / record["path"]).read_bytes())
    data[-1] ^= 1
    (own / record["path"]).write_bytes(data)
    assert run(own, tmp_path / "made", "--corpus", corpus, *FEATURES) == 2
    assert "isn't the one that the manifest describes" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_the_memory_bound_counts_dictionaries(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    both = ("mlp_act", "features")
    without = unit_groups(manifest.shape, ["mlp_act"])
    groups = unit_groups(manifest.shape, both, manifest.data["dictionaries"])
    numbers = sum(
        array.size
        for seed, form in enumerate(DICTIONARIES.values())
        for array in random_arrays(seed=seed, **form).values()
    )
    assert dictionary_bytes(manifest, groups) == 4 * numbers
    assert dictionary_bytes(manifest, without) == 0
    # So long that one context is run at a time, with features or without.
    more, less = (bytes_needed(manifest, each, 1 << 16, 0) for each in (groups, without))
    assert more - less > 3 * 4 * numbers


def test_they_are_published_and_found_sound_from_outside(
    bundle: Path, made: Path, tmp_path: Path
) -> None:
    own = tmp_path / "bundle"
    shutil.copytree(bundle, own)
    assert main(["add-dashboards", str(own), str(made)]) == 0
    publish(own, FolderPlace(str(tmp_path / "site" / "models")), "1", Silent())
    with nginx(tmp_path / "site", tmp_path / "nginx") as address:
        report = check_url(f"{address}models/manifest.json", "https://page.example", Silent())
    assert [each for each in report.findings if each.level == "error"] == []


@pytest.mark.parametrize("again", [False, True])
def test_dashboards_of_a_replaced_dictionary_dont_stay(
    bundle: Path, made: Path, tmp_path: Path, again: bool
) -> None:
    """Neither those that are in the bundle already, nor those that are to be added."""
    own = tmp_path / "bundle"
    shutil.copytree(bundle, own)
    assert main(["add-dashboards", str(own), str(made)]) == 0
    assert "dashboards" in read_manifest(own).data
    add_random(own, "mlp", seed=0 if again else 9, **DICTIONARIES["mlp"])
    data = read_manifest(own).data
    assert ("dashboards" in data) == again
    assert any(file["path"].startswith("dashboards/") for file in data["files"]) == again
    assert (own / "dashboards").exists() == again
    assert main(["add-dashboards", str(own), str(made)]) == (0 if again else 2)


@pytest.mark.parametrize("again", [False, True])
def test_the_user_is_told_that_dashboards_of_a_replaced_dictionary_are_gone(
    bundle: Path, made: Path, tmp_path: Path, again: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    with Bundle(own) as opened:
        there = opened.dictionary("mlp")
    other = {name: 2 * values for name, values in there.arrays.items()}
    data = there.data if again else dictionary_file.dictionary_bytes(there.description, other)
    (tmp_path / "mlp.safetensors").write_bytes(data)
    assert main(["add-dashboards", str(own), str(made)]) == 0
    twin = Path(shutil.copytree(own, tmp_path / "twin"))
    capsys.readouterr()
    words = [str(tmp_path / "mlp.safetensors"), "--name", "mlp"]
    assert main(["add-dictionary", str(own), *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == (1 if again else 2)
    assert again or lines[1].startswith("its dashboards were removed: they had features of the")
    assert main(["add-dictionary", str(twin), *words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dashboards_removed"] is not again


def test_a_bundle_with_dashboards_is_quantized(bundle: Path, made: Path, tmp_path: Path) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    assert main(["add-dashboards", str(own), str(made)]) == 0
    before = read_manifest(own).data
    assert main(["quantize", str(own), "--precision", "int8", "--allow-lossy"]) == 0
    after = read_manifest(own).data
    assert after["dashboards"] == before["dashboards"]
    of_dashboards = [
        [file for file in data["files"] if file["path"].startswith("dashboards/")]
        for data in (before, after)
    ]
    assert of_dashboards[0] == of_dashboards[1] != []
    assert all((own / file["path"]).stat().st_size == file["bytes"] for file in after["files"])


@pytest.mark.parametrize(
    "change",
    [
        "nothing",
        "a damaged file",
        "other weights",
        "no such variant",
        "no such dictionary",
        "another dictionary of the name",
    ],
)
def test_a_new_export_of_the_same_model_keeps_them(
    bundle: Path, made: Path, tmp_path: Path, change: str
) -> None:
    own = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    assert main(["add-dashboards", str(own), str(made)]) == 0
    old = read_manifest(own).data
    new = deepcopy(old)
    del new["dashboards"]
    inside = [file for file in old["files"] if file["path"].startswith("dashboards/")]
    new["files"] = [file for file in old["files"] if file not in inside]
    if change == "a damaged file":
        # The file is the same one on disk as that of `made`, which must stay.
        (own / inside[-1]["path"]).unlink()
        (own / inside[-1]["path"]).write_bytes(b"other")
    if change == "other weights":
        new["model"]["weights_digest"] = f"sha256:{'0' * 64}"
    if change == "no such variant":
        new["variants"][0]["name"] = "int8"
    if change == "no such dictionary":
        del new["dictionaries"]
    if change == "another dictionary of the name":
        path = new["dictionaries"][0]["path"]
        next(file for file in new["files"] if file["path"] == path)["digest"] = "sha256:other"
    (tmp_path / "new").mkdir()
    keep_dashboards(tmp_path / "new", new, own)
    kept = change == "nothing"
    assert (new.get("dashboards") == old["dashboards"]) is kept
    assert (new["files"] == old["files"]) is kept
    assert (tmp_path / "new" / inside[0]["path"]).exists() is kept


def test_a_full_disk_stops_a_new_export(
    bundle: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dashboards that were copied in part are in no manifest, and nothing could replace them."""
    own = Path(shutil.copytree(bundle, tmp_path / "bundle"))
    assert main(["add-dashboards", str(own), str(made)]) == 0
    new = deepcopy(read_manifest(own).data)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("oriel.bundle.kept_dashboards.reuse_files", full)
    with pytest.raises(OSError, match="No space left"):
        keep_dashboards(tmp_path / "new", new, own)
