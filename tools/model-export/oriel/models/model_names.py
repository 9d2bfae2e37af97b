"""What a model is called: from the folder or the Hub id that it came from to a name that stands in
file names and URLs everywhere."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

MOST_CHARACTERS, MOST_BYTES = 96, 120
"""Of a name. Folders get twenty bytes more while they are written, and some encrypted disks hold
143 bytes."""
_WINDOWS_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0")
"""Letters by their category that nobody sees."""
_SAYS_NOTHING = re.compile(
    r"(?:checkpoint|ckpt|epoch|step|iter|iteration|global[-_]?step|snapshot)s?[-_.=]?\d*k?"
    r"|(?:best|last|final|latest|merged|trained|finetuned|fine-tuned)"
    r"(?:[-_](?:model|checkpoint|ckpt))?"
    r"|models?|weights|outputs?|out|results?|runs?|export|hf|huggingface|pytorch[-_]model",
    re.IGNORECASE,
)
"""Names that trainings give to folders of any model."""
_MOST_PARTS = 3


def safe_name(text: str) -> str:
    """A folder name and URL part for a model: letters and digits of any script, '.', '_' and '-'.

    Composed (NFC), so that one name has one spelling; never one that Windows keeps for itself.
    """
    composed = unicodedata.normalize("NFC", text)
    kept = "".join(c if _stands_in_names(c) else "-" for c in composed)
    name = re.sub("-{2,}", "-", kept) if kept != composed else kept
    while name and (name[0] in "-." or unicodedata.category(name[0])[0] == "M"):
        # A mark without its letter would sit on whatever comes before the name.
        name = name[1:]
    name = name[:MOST_CHARACTERS].encode()[:MOST_BYTES].decode(errors="ignore").rstrip("-.")
    if _WINDOWS_RESERVED.fullmatch(name):
        name = f"model-{name}"
    return name or "model"


def _stands_in_names(c: str) -> bool:
    return c in "._-" or (unicodedata.category(c)[0] in "LMN" and c not in _INVISIBLE)


def cached_model(folder: Path) -> str | None:
    """The Hub id of a snapshot in the Hub's cache, which is itself named by its commit."""
    place = folder.absolute()
    if place.parent.name != "snapshots" or not place.parent.parent.name.startswith("models--"):
        return None
    return place.parent.parent.name.removeprefix("models--").replace("--", "/", 1)


def shown_name(folder: Path) -> str:
    """What a person calls the folder."""
    return cached_model(folder) or folder.resolve().name


def folder_id(folder: Path) -> str:
    """Where a local checkpoint came from, as its manifest says it: the folder's name, after that of
    the run which it belongs to where it alone says nothing, as in run-7/checkpoint-500. Never a
    whole path, which is nobody's business."""
    cached = cached_model(folder)
    if cached is not None:
        return cached
    place = folder.resolve()
    parts = [place.name]
    for parent in list(place.parents)[: _MOST_PARTS - 1]:
        if not _SAYS_NOTHING.fullmatch(parts[0]) or not parent.name or parent == Path.home():
            break
        parts.insert(0, parent.name)
    return os.fsencode("/".join(parts)).decode("utf-8", "replace")


def model_name(source_id: str, is_hub_id: bool) -> str:
    """Name a model after its folder_id, or after its id in the Hub without the organization."""
    return safe_name(source_id.rpartition("/")[2] if is_hub_id else source_id.replace("/", "-"))
