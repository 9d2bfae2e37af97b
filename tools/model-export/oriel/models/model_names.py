"""Names of models: from the folder or the Hub id that a model came from to a name that is safe in
file names and URLs everywhere."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

MAX_CHARACTERS, MAX_BYTES = 96, 120
"""Largest length of a name. A folder's name is twenty bytes longer while it is written, and some
encrypted disks allow 143 bytes."""
_WINDOWS_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")
"""Invisible characters whose category is that of a letter."""
_SAYS_NOTHING = re.compile(
    r"(?:checkpoint|ckpt|epoch|step|iter|iteration|global[-_]?step|snapshot)s?[-_.=]?\d*k?"
    r"|(?:best|last|final|latest|merged|trained|finetuned|fine-tuned)"
    r"(?:[-_](?:model|checkpoint|ckpt))?"
    r"|models?|weights|outputs?|out|results?|runs?|export|hf|huggingface|pytorch[-_]model",
    re.IGNORECASE,
)
"""Names that training programs give to the folders of any model."""
_MAX_FOLDERS = 3


def safe_name(text: str) -> str:
    """Return a folder name and URL part for a model: letters and digits of any script, '.', '_' and
    '-'.

    Composed (NFC), so that one name has one spelling; never a name that Windows reserves.
    """
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(c if _stands_in_names(c) else "-" for c in composed)
    name = re.sub("-{2,}", "-", kept) if kept != composed else kept
    while name and (name[0] in "-." or unicodedata.category(name[0])[0] == "M"):
        # A combining mark without its letter would combine with whatever comes before the name.
        name = name[1:]
    name = name[:MAX_CHARACTERS].encode()[:MAX_BYTES].decode(errors="ignore").rstrip("-.")
    if _WINDOWS_RESERVED.fullmatch(name):
        name = f"model-{name}"
    return name or "model"


def _stands_in_names(c: str) -> bool:
    return c in "._-" or (unicodedata.category(c)[0] in "LMN" and c not in _INVISIBLE)


def cached_model(folder: Path) -> str | None:
    """Return the Hub id of a snapshot in the Hub's cache, whose folder is named by its commit."""
    place = folder.absolute()
    if place.parent.name != "snapshots" or not place.parent.parent.name.startswith("models--"):
        return None
    return place.parent.parent.name.removeprefix("models--").replace("--", "/", 1)


def shown_name(folder: Path) -> str:
    """Return the folder's name as people know it: a cached snapshot's Hub id, else its own name."""
    return cached_model(folder) or folder.resolve().name


def folder_id(folder: Path) -> str:
    """Return the origin of a local checkpoint for its manifest: the folder's name, after that of
    the run to which it belongs where it alone says nothing, as in run-7/checkpoint-500. Never a
    whole path, which is private."""
    cached = cached_model(folder)
    if cached is not None:
        return cached
    place = folder.resolve()
    parts = [place.name]
    for parent in list(place.parents)[: _MAX_FOLDERS - 1]:
        if not _SAYS_NOTHING.fullmatch(parts[0]) or not parent.name or parent == Path.home():
            break
        parts.insert(0, parent.name)
    return os.fsencode("/".join(parts)).decode("utf-8", "replace")


def model_name(source_id: str, is_hub_id: bool) -> str:
    """Name a model after its folder_id, or after its id in the Hub without the organization."""
    return safe_name(source_id.rpartition("/")[2] if is_hub_id else source_id.replace("/", "-"))
