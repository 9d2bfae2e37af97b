"""A checkpoint's chat templates: the Jinja texts that make one prompt of a conversation. They are
shown and passed on, and never run here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oriel.contract.json_value import JsonValue
from oriel.errors import CheckpointError
from oriel.tokenizers.checkpoint_files import CONFIG, TEMPLATE
from oriel.tokenizers.checkpoint_json import read_object
from oriel.tokenizers.open_tokenizer import without_mark

_OLD = "chat_template.json"
_MAX_BYTES = 1024 * 1024
DEFAULT = "default"


def chat_templates(folder: Path) -> dict[str, str]:
    """Return {name: Jinja text} as transformers finds them, `default` first; a file of its own
    counts before tokenizer_config.json. CheckpointError for a file that can't be read."""
    found = {**_in_object(folder / CONFIG), **_in_object(folder / _OLD)}
    if (folder / TEMPLATE).is_file():
        found[DEFAULT] = _text(folder / TEMPLATE)
    return {name: found[name] for name in sorted(found, key=lambda name: (name != DEFAULT, name))}


def template_setting(templates: Mapping[str, str]) -> JsonValue:
    """Return the templates as tokenizer_config.json holds them, where every library finds them."""
    if list(templates) == [DEFAULT]:
        return templates[DEFAULT]
    return [{"name": name, "template": text} for name, text in templates.items()]


def _in_object(file: Path) -> dict[str, str]:
    said = read_object(file).get("chat_template") if file.is_file() else None
    if isinstance(said, str):
        return {DEFAULT: said}
    # Some have several, for tools or for retrieval.
    entries = said if isinstance(said, list) else []
    return {
        name: text
        for entry in entries
        if isinstance(entry, dict)
        and isinstance(name := entry.get("name"), str)
        and isinstance(text := entry.get("template"), str)
    }


def _text(file: Path) -> str:
    size = file.stat().st_size
    if size > _MAX_BYTES:
        raise CheckpointError(
            f"{file.name} in {file.parent.name} is too large for a chat template",
            got=f"{size:,} bytes",
            expected=f"at most {_MAX_BYTES:,}",
            next_step="take it out of the folder, or download the checkpoint again.",
        )
    try:
        return without_mark(file.read_bytes()).decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{file.name} in {file.parent.name} can't be read",
            got=f"text that is not UTF-8, at byte {error.start}",
            expected="a Jinja template",
            next_step="correct it, or download the checkpoint again.",
        ) from error
