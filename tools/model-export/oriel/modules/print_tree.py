"""Prints a tree of what a file holds."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from oriel.modules.inspect_file import Branch


def print_tree(top: Branch, console: Console | None = None) -> None:
    """Print a tree with guides; long lines are not broken where the output is no terminal."""
    console = console or Console()
    if not console.is_terminal:
        console = Console(file=console.file, width=10_000)
    tree = Tree(_shown(top.text))
    _grow(tree, top)
    console.print(tree, soft_wrap=True)


def _grow(tree: Tree, branch: Branch) -> None:
    for below in branch.branches:
        _grow(tree.add(_shown(below.text)), below)


def _shown(text: str) -> Text:
    """Return text without the characters by which names in a file could steer a terminal."""
    return Text("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
