"""docs/interventions.md is held to the code: its Python runs on the bundled model, and its table of
edits is the package's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import demo_bundle
import numpy as np
import pytest

import oriel
from oriel.contract.activation_names import kinds

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "interventions.md").read_text(encoding="utf-8")
NAMED = 'oriel.Bundle("apps/web/static/models/demo")'


@pytest.fixture(scope="module")
def names() -> dict[str, object]:
    """Run the document's Python code from top to bottom, and return its variables."""
    subprocess.run([sys.executable, demo_bundle.__file__], check=True)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL))
    assert NAMED in code
    code = code.replace(NAMED, f"oriel.Bundle({str(demo_bundle.MANIFEST.parent)!r})")
    found: dict[str, object] = {}
    exec(compile(code, "docs/interventions.md", "exec"), found)  # noqa: S102
    return found


def test_its_python_runs_and_says_what_is_so(names: dict[str, object]) -> None:
    run, changed, shares = names["run"], names["changed"], names["shares"]
    assert np.abs(run.logits - changed.logits).max() > 0.1  # type: ignore[attr-defined]
    gap = np.abs(shares.total() - shares.logit).max()  # type: ignore[attr-defined]
    assert gap < 1e-3
    assert names["sweep"].logits.shape[0] == names["heads"]  # type: ignore[attr-defined]
    assert names["scores"]["induction"].max() > 0.5  # type: ignore[index]


def test_its_lens_table_is_the_bundled_packs(names: dict[str, object]) -> None:
    bundle = names["bundle"]
    assert isinstance(bundle, oriel.Bundle)
    assert bundle.lenses == ("logit", "tuned")
    kl = bundle.manifest.data["lens_packs"][0]["description"]["fitted"]["kl"]
    found = re.search(r"<!-- lens -->(.*?)<!-- end of lens -->", TEXT, re.DOTALL)
    assert found is not None
    rows = re.findall(r"^\| (\d+) \| (\S+) \| (\S+) \|$", found[1], re.MULTILINE)
    wanted = [(str(r["layer"]), f"{r['logit']:.2f}", f"{r['lens']:.3f}") for r in kl]
    assert rows == wanted


def test_its_table_has_every_edit_and_its_list_every_joint() -> None:
    rows = re.findall(r"^\| `(\w+)\(", TEXT, re.MULTILINE)
    edits = {name for name in oriel.__all__ if hasattr(getattr(oriel, name), "closing")}
    assert set(rows) == edits
    listed = re.search(r"A joint is (.*?)\. Where", TEXT, re.DOTALL)
    assert listed is not None
    joints = [kind.kind for kind in kinds().values() if kind.joint]
    assert re.findall(r"`(\w+)`", listed[1]) == joints
