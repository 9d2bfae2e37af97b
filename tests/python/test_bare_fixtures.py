"""The graphs that the page's own reader of ONNX is tested with are what onnx says they are."""

import base64
import gzip
import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

FIXTURES = Path(__file__).parents[1] / "fixtures"


def graphs() -> dict[str, Any]:
    text = (FIXTURES / "bare_graphs.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)["graphs"]
    return found


@pytest.mark.parametrize("name", graphs())
def test_a_fixture_is_described_by_onnx(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(FIXTURES), *sys.path])
    made = importlib.import_module("make_bare_fixtures")
    said = graphs()[name]
    data = gzip.decompress(base64.b64decode(said.pop("gzip")))
    assert made.describe(data) == said
