"""The browser tests never open bundles of an exporter, a contract or a script that has changed
since."""

from __future__ import annotations

from pathlib import Path

import browser_bundles
import pytest
from browser_bundles import inputs_of_bundles, up_to_date
from demo_bundle import digest_of

ROOT = Path(__file__).resolve().parents[2]
EXPORTER = ROOT / "tools" / "model-export" / "oriel"


def test_every_program_and_table_that_makes_them_is_watched() -> None:
    watched = set(inputs_of_bundles())
    packaged = [file for kind in ("py", "json") for file in EXPORTER.rglob(f"*.{kind}")]
    assert {file.parent.name for file in packaged} >= {"models", "bundle", "capture", "graph"}
    assert set(packaged) <= watched
    for path in (
        "contracts/manifest.schema.json",
        "contracts/first_prompt.json",
        "tests/fixtures/make_browser_fixtures.py",
        "tests/fixtures/make_bare_fixtures.py",
        "scripts/browser_bundles.py",
        "scripts/demo_bundle.py",
        "tools/model-export/requirements.txt",
        "tools/model-export/oriel/models/demo/weights/model.safetensors",
    ):
        assert ROOT / path in watched, path


def test_a_change_of_any_of_them_makes_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stamp = tmp_path / "bundles.stamp"
    monkeypatch.setattr(browser_bundles, "MADE", tmp_path)
    monkeypatch.setattr(browser_bundles, "STAMP", stamp)
    for folder in browser_bundles.FOLDERS:
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file").touch()
    source = ROOT / "scripts" / "browser_bundles.py"
    before = digest_of([source])
    assert not up_to_date(before)
    stamp.write_text(f"{before}\n", encoding="utf-8")
    assert up_to_date(before)
    assert not up_to_date(digest_of([source, ROOT / "Makefile"]))
    (tmp_path / browser_bundles.FOLDERS[0] / "file").unlink()
    assert not up_to_date(before), "a folder that somebody emptied"
