"""docs/dictionaries.md is held to the code: its tables have every layout and every architecture
that is converted or refused, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from oriel.commands.add_dictionary import COMMAND
from oriel.commands.command import Parser
from oriel.dictionary_layouts import LAYOUTS
from oriel.dictionary_layouts.hook_names import dictionary_kinds
from oriel.dictionary_layouts.sae_lens_config import ARCHITECTURES, NORMALIZATIONS, REFUSED

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "dictionaries.md").read_text("utf-8")


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
