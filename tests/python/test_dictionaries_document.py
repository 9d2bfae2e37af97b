"""docs/dictionaries.md is held to the code: its Python runs on the bundled model, and its tables
have every layout and every architecture that is converted or refused, and no others."""

from __future__ import annotations

import re

import numpy as np
from document_code import run_document, text_of

import oriel
from oriel.commands.add_dictionary import COMMAND
from oriel.commands.command import Parser
from oriel.dictionary_layouts import LAYOUTS
from oriel.dictionary_layouts.hook_names import dictionary_kinds
from oriel.dictionary_layouts.sae_lens_config import ARCHITECTURES, NORMALIZATIONS, REFUSED
from oriel.runtime.run import Run

TEXT = text_of("dictionaries.md")


def test_its_python_runs_and_says_what_is_so() -> None:
    found = run_document("dictionaries.md")
    run, error, bundle = found["run"], found["error"], found["bundle"]
    assert isinstance(error, np.ndarray) and isinstance(bundle, oriel.Bundle)
    assert isinstance(run, Run)
    activation, features = run["layer_11_mlp_output"], run["features_mlp_11"]
    # The first token is outside of the training.
    assert np.square(error[0, 1:]).sum() < 0.2 * np.square(activation[0, 1:]).sum()
    assert 0 < (features[0, 1:] > 0).sum(axis=-1).mean() < 64
    changed = bundle.run(found["ids"], edits=[found["none"]])  # type: ignore[arg-type, list-item]
    assert np.abs(changed.logits - run.logits)[0, -1].max() > 0.01
    np.testing.assert_allclose(changed.logits[0, :-1], run.logits[0, :-1], rtol=0, atol=1e-4)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading this is."""
    table = re.search(rf"^\| {heading} \|.*\n\|[-| ]+\n((?:\|.*\n)+)", TEXT, re.MULTILINE)
    assert table is not None, heading
    return [
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in table[1].splitlines()
    ]


def named(cells: list[str]) -> list[str]:
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_layout_has_its_row() -> None:
    assert [row[0] for row in rows("layout")] == [layout.name for layout in LAYOUTS]


def test_every_architecture_is_told_and_becomes_what_is_told() -> None:
    told = {name: row[1] for row in rows("architecture") for name in named(row[:1])}
    assert told.keys() == ARCHITECTURES.keys()
    for name, becomes in told.items():
        assert f"`{ARCHITECTURES[name].activation}`" in becomes
        assert ("transcoder" in becomes) == ARCHITECTURES[name].is_transcoder


def test_every_refusal_is_told() -> None:
    refused = TEXT.partition("These are refused:")[2].partition("\n\n[")[0]
    told = named([line.split(" | ")[0] for line in refused.splitlines()])
    normalizations = {name.removeprefix("normalize_activations: ") for name in told}
    assert set(REFUSED) <= set(told)
    assert set(NORMALIZATIONS) <= normalizations


def test_every_option_and_kind_is_told() -> None:
    parser = Parser(prog="oriel add-dictionary")
    COMMAND.add_arguments(parser)
    options = set(re.findall(r"^  (--\w+)", parser.format_help(), re.MULTILINE))
    assert {name.split()[0] for row in rows("option") for name in named(row[:1])} == options
    kinds = TEXT.partition("A dictionary can read and write ")[2].partition(".\n")[0]
    assert tuple(re.findall(r"`(\w+)`", kinds)) == dictionary_kinds()
