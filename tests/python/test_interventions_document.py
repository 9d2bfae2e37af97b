"""docs/interventions.md is held to the code: its Python runs on the bundled model, and its table of
edits is the package's."""

from __future__ import annotations

import re

import numpy as np
import pytest
from document_code import run_document, text_of

import oriel
from oriel.contract.activation_names import kinds

TEXT = text_of("interventions.md")


@pytest.fixture(scope="module")
def names() -> dict[str, object]:
    """The variables of the document's Python code."""
    return run_document("interventions.md")


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
