"""Tests dashboards in a bundle: added whole or not at all, published, found from the manifest, read
by range as a page will, checked from outside, and pruned once they are replaced."""

from __future__ import annotations

import json
import shutil
import urllib.request
from pathlib import Path

import pytest
from dashboard_runs import passages, run, write_text
from publish_servers import nginx

from oriel.bundle.manifest_text import manifest_text
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.progress import Silent
from oriel.publishing.check_url import check_url
from oriel.publishing.prune import prune
from oriel.publishing.publish import publish
from oriel.publishing.to_folder import FolderPlace


@pytest.fixture(scope="module")
def made(dashboard_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    corpus = write_text(folder / "some.txt", passages(20))
    words = ("--corpus", corpus, "--kinds", "mlp_act")
    assert run(dashboard_bundle, folder / "made", *words) == 0
    return folder / "made"


@pytest.fixture
def bundle(dashboard_bundle: Path, tmp_path: Path) -> Path:
    shutil.copytree(dashboard_bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def add(bundle: Path, made: Path) -> int:
    return main(["add-dashboards", str(bundle), str(made)])


def test_a_page_finds_a_unit_from_the_manifest_by_range(
    bundle: Path, made: Path, tmp_path: Path
) -> None:
    assert add(bundle, made) == 0
    assert add(bundle, made) == 0, "dashboards take the place of earlier ones"
    site = tmp_path / "site" / "models"
    publish(bundle, FolderPlace(str(site)), "1", Silent())
    with nginx(tmp_path / "site", tmp_path / "nginx") as address:
        report = check_url(f"{address}models/manifest.json", "https://page.example", Silent())
        assert [each for each in report.findings if each.level == "error"] == []
        manifest = json.loads((site / "manifest.json").read_text())
        files = {file["path"]: file for file in manifest["files"]}
        (group,) = [each for each in manifest["dashboards"]["groups"] if each["layer"] == 2]
        (chunk,) = files[group["path"]]["chunks"]
        with urllib.request.urlopen(f"{address}models/{chunk['path']}") as answer:
            index = json.loads(answer.read())
        (file,) = index["files"]
        (chunk,) = files[f"dashboards/{file['path']}"]["chunks"]
        whole = (made / file["path"]).read_bytes()
        for part in (file["footer"], file["row_groups"][1]):
            begin, end = part["begin"], part["begin"] + part["bytes"]
            request = urllib.request.Request(
                f"{address}models/{chunk['path']}", headers={"Range": f"bytes={begin}-{end - 1}"}
            )
            with urllib.request.urlopen(request) as answer:
                assert answer.status == 206
                assert answer.read() == whole[begin:end]


def test_dashboards_that_are_replaced_are_pruned(bundle: Path, made: Path, tmp_path: Path) -> None:
    place = FolderPlace(str(tmp_path / "site"))
    assert add(bundle, made) == 0
    publish(bundle, place, "1", Silent())
    (place.folder / "manifest-1.json").unlink()
    (place.folder / "manifest-1.json.gz").unlink()
    data = read_manifest(bundle).data
    del data["dashboards"]
    data["files"] = [file for file in data["files"] if "dashboards/" not in file["path"]]
    (bundle / "manifest.json").write_text(manifest_text(data))
    shutil.rmtree(bundle / "dashboards")
    publish(bundle, place, "2", Silent())
    removed = prune(place, True)
    assert len([name for name in removed.names if name.endswith(".bin")]) == 4
    assert prune(place, True).names == ()


def test_an_index_that_doesnt_fit_is_found_from_outside(
    bundle: Path, made: Path, tmp_path: Path
) -> None:
    assert add(bundle, made) == 0
    data = read_manifest(bundle).data
    # Layers exchanged: each file is whole, and of other units than the manifest says.
    groups = data["dashboards"]["groups"]
    groups[0]["path"], groups[1]["path"] = groups[1]["path"], groups[0]["path"]
    (bundle / "manifest.json").write_text(manifest_text(data))
    publish(bundle, FolderPlace(str(tmp_path / "site" / "models")), "1", Silent())
    with nginx(tmp_path / "site", tmp_path / "nginx") as address:
        report = check_url(f"{address}models/manifest.json", "https://page.example", Silent())
    found = [each for each in report.findings if each.level == "error"]
    assert [each.what for each in found] == ["an index of dashboards can't be used"]
    assert "other units than the manifest says" in found[0].got


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "dashboards.json").unlink(), "no dashboards in"),
        (lambda folder: (folder / "mlp_act_1_0.parquet").unlink(), "isn't the file that"),
        (
            lambda folder: (folder / "mlp_act_1_0.parquet").write_bytes(b"PAR1"),
            "isn't the file that",
        ),
        (
            lambda folder: shutil.copy(folder / "mlp_act_1.json", folder / "mlp_act_2.json"),
            "other units",
        ),
        (lambda folder: replace(folder / "dashboards.json", '"fp32"', '"int8"'), "of a variant"),
        (lambda folder: replace(folder / "dashboards.json", "sha256:", "sha256:0"), "no record of"),
        (lambda folder: other_weights(folder), "are of another model"),
    ],
)
def test_a_set_that_isnt_sound_is_refused_and_the_bundle_left(
    bundle: Path,
    made: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: object,
    said: str,
) -> None:
    spoiled = tmp_path / "spoiled"
    shutil.copytree(made, spoiled)
    assert callable(spoil)
    spoil(spoiled)
    before = (bundle / "manifest.json").read_bytes()
    assert add(bundle, spoiled) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert (bundle / "manifest.json").read_bytes() == before
    assert not (bundle / "dashboards").exists()


def replace(file: Path, old: str, new: str) -> None:
    file.write_text(file.read_text().replace(old, new))


def other_weights(folder: Path) -> None:
    record = json.loads((folder / "dashboards.json").read_text())
    replace(folder / "dashboards.json", record["weights"], f"sha256:{'1' * 64}")
