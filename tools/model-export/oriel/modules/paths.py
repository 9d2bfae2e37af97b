"""Paths of values inside nested inputs and outputs, patterns that match them, and the one rule by
which a path becomes a flat name."""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from oriel.errors import ModuleError, first_few

Path = tuple[str | int, ...]
"""Keys and positions from the outermost value inwards: ("inputs", "voxels", 0)."""

_DOTTED = re.compile(r"[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[^."]+')
_ANY_PART, _ANY_PARTS = "*", "**"
_RESERVED = {"self", "input", "output"}
"""Names that a generated signature or an ONNX Runtime wrapper has for itself."""


def path_text(path: Path) -> str:
    """Return a path as it is written in specs, messages and metadata: parts joined by dots, a part
    with other characters than letters, digits, `_` and `-` as a JSON string; `.` for the value
    itself. Different paths have different texts, but for a dict that has both 1 and "1" as keys."""
    parts = [str(part) for part in path]
    return ".".join(p if _PLAIN.fullmatch(p) else json.dumps(p) for p in parts) or "."


def matching(pattern: str, paths: Sequence[Path], refused: str) -> list[int]:
    """Return the positions of the paths that a pattern matches. Raises ModuleError, which says
    `refused`, where it matches none."""
    found = [at for at, path in enumerate(paths) if matches(pattern, path)]
    if not found:
        known = first_few([path_text(path) for path in paths], 8)
        raise ModuleError(refused, got=pattern, expected=f"one that matches some of {known}")
    return found


def matches(pattern: str, path: Path) -> bool:
    """Return whether a pattern matches a path: written alike, with `*` for any one part and `**`
    for any number of parts."""
    return _match(_parts(pattern), [path_text((part,)) for part in path])


def _parts(pattern: str) -> list[str]:
    if pattern == ".":
        return []
    tokens = _TOKEN.findall(pattern)
    if ".".join(tokens) != pattern:
        raise ModuleError(
            "a path pattern can't be read",
            got=repr(pattern),
            expected='parts joined by dots, such as inputs.voxels.* or inputs."a.b"',
        )
    return tokens


def _match(pattern: Sequence[str], parts: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == _ANY_PARTS:
        return any(_match(pattern[1:], parts[at:]) for at in range(len(parts) + 1))
    if not parts:
        return False
    return pattern[0] in (_ANY_PART, parts[0]) and _match(pattern[1:], parts[1:])


def wildcard_text(pattern: str, path: Path) -> str:
    """Return what the pattern's `*` stand for in a path that it matches, joined by `_`."""
    tokens = _parts(pattern)
    if _ANY_PARTS in tokens:
        return _words(path)
    return _words([part for token, part in zip(tokens, path, strict=True) if token == _ANY_PART])


def _words(parts: Iterable[str | int]) -> str:
    return "_".join(re.sub(r"[^A-Za-z0-9]+", "_", str(part)).strip("_") for part in parts)


def flat_names(paths: Sequence[Path], root: str, taken: Iterable[str] = ()) -> Mapping[Path, str]:
    """Return {path: flat name}, each an identifier of ASCII letters, digits and `_`.

    Parts are joined by `_`, and runs of other characters become `_`. Where two paths would get one
    name, each of these gets the first hexadecimal digits of its text's SHA-256 as well: so a name
    depends on no order. root: the word that begins a name that would have no letter first.
    taken: names that are used otherwise; one that meets them gets `_` and the root after it.
    Raises ModuleError for two paths of one text, which nobody could tell apart.
    """
    texts = Counter(map(path_text, paths))
    twice = [text for text, count in texts.items() if count > 1]
    if twice:
        raise ModuleError(
            "two paths have one name",
            got=f"{first_few(twice)} twice",
            expected="keys that differ as text",
            next_step="rename one of the keys, such as 1 and '1' in one dict.",
        )
    # Compared without case: file systems and some runtimes don't tell a from A.
    plain = {path: _flat(path, root) for path in paths}
    counts = Counter(name.lower() for name in plain.values())
    used = set(taken)
    names: dict[Path, str] = {}
    for path in paths:
        name = plain[path]
        if counts[name.lower()] > 1:
            name = f"{name}_{hashlib.sha256(path_text(path).encode()).hexdigest()[:8]}"
        while name in used:
            name = f"{name}_{root}"
        used.add(name)
        names[path] = name
    return names


def dotted_names(paths: Sequence[Path], root: str, taken: Iterable[str] = ()) -> Mapping[Path, str]:
    """Return {path: its text}, for files whose readers know such names. taken: names that are used
    otherwise; one that meets them gets `_` and the root after it. Raises ModuleError for a path
    whose text other programs may not take for a name."""
    used = set(taken)
    names = {path: path_text(path) for path in paths}
    for path, name in names.items():
        if not _DOTTED.fullmatch(name):
            raise ModuleError(
                "a path makes no name with dots",
                got=name,
                expected="letters, digits and _ between the dots",
                next_step="rename the key, or leave dotted_names out.",
            )
        names[path] = f"{name}_{root}" if name in used else name
    return names


def _flat(path: Path, root: str) -> str:
    name = _words(path) or root
    if not name[0].isalpha():
        name = f"{root}_{name}".rstrip("_")
    return f"{name}_" if keyword.iskeyword(name) or name in _RESERVED - {root} else name
