"""The type of a JSON value of unknown form, and narrow readers of it. Documents of a known form
have a type of their own in documents.py."""

from __future__ import annotations

from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
JsonObject: TypeAlias = dict[str, JsonValue]


def object_at(value: JsonObject, key: str) -> JsonObject:
    """Return the object under a key; an empty one where there is none."""
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def text_at(value: JsonObject, key: str) -> str | None:
    """Return the text under a key; None where there is none."""
    found = value.get(key)
    return found if isinstance(found, str) else None
