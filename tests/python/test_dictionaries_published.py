"""Tests a dictionary of a published bundle: its file is carried, checked from outside, and pruned
once it is replaced."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import random_dictionaries
from publish_servers import nginx

from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import add_dictionary
from oriel.dictionaries.dictionary_file import read_dictionary
from oriel.progress import Silent
from oriel.publishing.check_url import check_url
from oriel.publishing.prune import prune
from oriel.publishing.publish import publish
from oriel.publishing.to_folder import FolderPlace


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    """Return a bundle with the dictionary `heads`, to modify."""
    folder = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))
    add(folder, "heads", tmp_path)
    return folder


def add(folder: Path, case: str, scratch: Path) -> None:
    """Add a dictionary under the name `heads`."""
    manifest = read_manifest(folder)
    weights = manifest.data["model"]["weights_digest"]
    file = scratch / f"{case}.safetensors"
    said = random_dictionaries.description(case, weights)
    random_dictionaries.write(file, random_dictionaries.tensors(case), said)
    add_dictionary(folder, read_dictionary(file, manifest.shape, weights), "heads")


def chunks_of_dictionary(model: Path) -> list[Path]:
    manifest = read_manifest(model)
    (record,) = manifest.data["dictionaries"]
    return [model / chunk["path"] for chunk in manifest.file(record["path"])["chunks"]]


def test_publishing_carries_the_file(bundle: Path, tmp_path: Path) -> None:
    model = tmp_path / "site" / "models"
    assert main(["publish", str(bundle), "--to", str(model), "--version", "1"]) == 0
    (file,) = bundle.glob("dictionary_*")
    assert b"".join(part.read_bytes() for part in chunks_of_dictionary(model)) == file.read_bytes()
    assert read_manifest(model).data["dictionaries"] == read_manifest(bundle).data["dictionaries"]


def change(part: Path) -> None:
    data = bytearray(part.read_bytes())
    data[-1] ^= 1
    part.write_bytes(bytes(data))


@pytest.mark.parametrize("damage", [change, Path.unlink])
def test_a_missing_or_changed_file_is_found_from_outside(
    bundle: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    site = tmp_path / "site"
    publish(bundle, FolderPlace(str(site / "models")), "1", Silent())
    (part,) = chunks_of_dictionary(site / "models")
    with nginx(site, tmp_path / "nginx") as address:
        url = f"{address}models/manifest.json"
        report = check_url(url, "https://page.example", Silent())
        assert [each for each in report.findings if each.level == "error"] == []
        damage(part)
        report = check_url(url, "https://page.example", Silent())
    errors = [each for each in report.findings if each.level == "error"]
    assert len(errors) == 1 and part.name in errors[0].got, errors


def test_one_that_is_replaced_is_pruned(bundle: Path, tmp_path: Path) -> None:
    place = FolderPlace(str(tmp_path / "site"))
    publish(bundle, place, "1", Silent())
    (first,) = chunks_of_dictionary(place.folder)
    add(bundle, "jump", tmp_path)
    publish(bundle, place, "2", Silent())
    (second,) = chunks_of_dictionary(place.folder)
    assert first != second and prune(place, True).names == ()
    for name in ("manifest-1.json", "manifest-1.json.gz"):
        (place.folder / name).unlink()
    removed = prune(place, True).names
    assert str(first.relative_to(place.folder)) in removed
    assert not first.exists() and second.exists()
