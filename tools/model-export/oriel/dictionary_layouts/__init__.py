"""Dictionary layouts: the forms in which sparse autoencoders and transcoders come, one file for
each. `find_layout` picks the one of a file or a folder."""

from __future__ import annotations

from pathlib import Path

from oriel.dictionary_layouts import gemma_scope, gemma_scope_2, own_file, sae_lens
from oriel.dictionary_layouts.layout import Layout
from oriel.errors import BundleError, first_few

LAYOUTS: tuple[Layout, ...] = (
    sae_lens.LAYOUT,
    gemma_scope.LAYOUT,
    gemma_scope_2.LAYOUT,
    own_file.LAYOUT,
)


def find_layout(path: Path) -> Layout:
    """Return the layout of a file or a folder. Raises BundleError where it is in none of them."""
    try:
        found = next((layout for layout in LAYOUTS if layout.is_of(path)), None)
        if found is None:
            raise BundleError(
                f"{path} is no dictionary",
                got=_kind_of(path),
                expected="; ".join(layout.holds for layout in LAYOUTS),
                next_step=_next_step(path),
            )
        return found
    except OSError as error:
        raise BundleError(
            f"{path} can't be read",
            got=error.strerror or str(error),
            expected="a file or a folder of a dictionary",
            next_step="check the path.",
        ) from error


def _next_step(path: Path) -> str:
    """Name the dictionaries in the folders of a release, which holds many."""
    if not path.is_dir():
        return "check the path."
    try:
        inner = sorted(each for each in path.iterdir() if each.is_dir())
    except OSError:
        return "check the permissions of the folder."
    names = [each.name for each in inner if any(layout.is_of(each) for layout in LAYOUTS)]
    return f"give one of its folders: {first_few(names)}." if names else "check the path."


def _kind_of(path: Path) -> str:
    if path.is_dir():
        return "a folder without these files"
    if path.is_file():
        return f"a file that ends in {path.suffix[:20]!r}" if path.suffix else "a file of no suffix"
    return "something that is neither a file nor a folder" if path.exists() else "no such file"
