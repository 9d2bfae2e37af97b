"""Values other than tensors, as text that can stand in a file and be compared."""

from __future__ import annotations

import ast
import enum
import hashlib
import re
from dataclasses import dataclass

import numpy as np

_MAX_TEXT = 300
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_LITERALS = {f"builtins:{name}" for name in ("NoneType", "bool", "int", "float", "str", "bytes")}


@dataclass(frozen=True)
class OpaqueConstant:
    """Stands for an object of which a file holds the class and a text alone."""

    type: str
    text: str


def type_name(cls: type) -> str:
    """Return module:qualified name of a class."""
    return f"{cls.__module__}:{cls.__qualname__}"


def constant_text(value: object) -> str:
    """Return a text that is the same for equal constants: the repr, the digest of an array or of a
    long text; empty for an object that says nothing of its value."""
    if isinstance(value, np.ndarray | np.generic):
        array = np.asarray(value)
        if array.dtype.hasobject:
            return ""
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return f"{array.dtype} {list(array.shape)} sha256:{digest}"
    if isinstance(value, set | frozenset):
        text = "{" + ", ".join(sorted(map(repr, value))) + "}"
    elif isinstance(value, enum.Enum):
        text = f"{type(value).__name__}.{value.name}"
    else:
        text = repr(value)
    if _ADDRESS.search(text):
        return ""
    if len(text) > _MAX_TEXT:
        digest = hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
        return f"{text[:80]}… sha256:{digest}"
    return text


def literal_of(type_of: str, text: str) -> object:
    """Return the constant that a file describes: the value where it is a literal, and otherwise
    what is known of it."""
    if type_of in _LITERALS:
        try:
            return float(text) if type_of == "builtins:float" else ast.literal_eval(text)
        except (ValueError, SyntaxError):
            pass
    return OpaqueConstant(type_of, text)
