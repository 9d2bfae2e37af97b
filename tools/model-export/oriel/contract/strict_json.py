"""Reading of untrusted JSON texts: every reader sees the same values, or the text is refused. The
same rules in TypeScript: apps/web/src/contract/strict_json.ts."""

from __future__ import annotations

import json
import math
from typing import NoReturn

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.limits import limits
from oriel.errors import ContractError, reason_of

_SURROGATES = range(0xD800, 0xE000)


class _Refused(ValueError):
    """A text that no reader of ours accepts, though a JSON parser may."""


def read_json(raw: bytes | str, what: str) -> JsonValue:
    """Return the value of a JSON text. A whole number is an int however it is written, since 1e3
    and 1000 are the same to other readers.

    raw: UTF-8. Raises ContractError for a text that is no JSON, or is larger, deeper or more
    ambiguous than contracts/limits.json allows: a key twice in an object, NaN, numbers beyond 2^53.
    """
    try:
        if len(raw) > limits()["json"]["bytes"]:
            raise _Refused(f"{len(raw)} bytes")
        text = raw.decode("utf-8") if isinstance(raw, bytes) else raw
        if text.startswith("\ufeff"):
            raise _Refused("it begins with a byte order mark")
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_number,
            parse_float=_number,
            parse_constant=_constant,
        )
        _check_limits(value)
    except RecursionError as error:
        raise _not_json(what, "it is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise _not_json(what, f"no UTF-8 at byte {error.start}") from error
    except ValueError as error:
        raise _not_json(what, reason_of(error)) from error
    return value


def _not_json(what: str, why: str) -> ContractError:
    return ContractError(
        f"{what} is not JSON that can be read safely", got=why, next_step="export it again."
    )


def _object(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _Refused("a key stands twice in an object")
    for key in limits()["json"]["refused_keys"]:
        if key in made:
            raise _Refused(f"a key is called {key}")
    return made


def _number(text: str) -> int | float:
    if len(text) > limits()["json"]["number_length"]:
        raise _Refused(f"a number of {len(text)} characters")
    value = float(text)
    # Before anything is rounded: a whole number beyond may look like one that isn't.
    if not math.isfinite(value) or abs(value) > limits()["json"]["largest_number"]:
        raise _Refused(f"a number beyond 2^53, {text}")
    return int(value) if value.is_integer() else value


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is no number")


def _check_limits(value: JsonValue) -> None:
    """Check the depth, the number of values and their lengths, without recursion."""
    rules = limits()["json"]
    deepest, values, longest = rules["depth"], rules["values"], rules["string_length"]
    count = depth = 0
    level = [value]
    while level:
        count += len(level)
        if count > values:
            raise _Refused(f"over {values} values")
        inner: list[JsonValue] = []
        for item in level:
            if isinstance(item, str):
                _check_text(item, longest)
            elif isinstance(item, dict):
                for key in item:
                    _check_text(key, longest)
                inner += item.values()
            elif isinstance(item, list):
                inner += item
        if any(isinstance(item, dict | list) for item in level):
            depth += 1
        if depth > deepest:
            raise _Refused(f"over {deepest} levels")
        level = inner


def _check_text(text: str, longest: int) -> None:
    if len(text) > longest:
        raise _Refused(f"a text of {len(text)} characters")
    if not text.isascii() and any(ord(c) in _SURROGATES for c in text):
        raise _Refused("a text that is half a character")
