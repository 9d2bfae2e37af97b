"""Manifests as an attacker would write them: valid examples changed in some places, by a seed. What
readers must do with them is tested in test_hostile_manifests.py."""

from __future__ import annotations

import base64
import copy
import json
import random
from collections.abc import Callable
from typing import Any

from contract_examples import EXAMPLES, read_json

BASES = (
    "least",
    "chunked",
    "encoded",
    "whole",
    "bundled_parallel",
    "newer_minor",
    "lens",
    "dictionary",
    "attribution",
)

HUGE = 2**53 - 1
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1000.0, 1e-320, HUGE, -HUGE, 2**31, 2**40 + 1),
    *("", "..", "../x", "a/../b", "/etc/passwd", "//host/x", "C:", "C:\\x", "a\\b", "a%2e%2e%2fb"),
    *("%2e%2e/x", "a/", "a//b", "./a", "a.", "a. ", "a/b.", "CON", "nul.bin", "a/Lpt1.txt", "COM0"),
    *("MODEL.ONNX", "Manifest.JSON", "model.onnx/x", "chunks", "model.onnx.data", "model.onnx"),
    *("a?b", "a#b", "a:b", "a\0b", "a\nb", "\u202eexe", "é", "e\u0301", "\U0001f600" * 100),
    *("x" * 300, "a/" * 9 + "b", "https://host/x", "javascript:alert(1)", "<img src=x>"),
    *("constructor", "toString", "hasOwnProperty", "fp32", "q4", "1.0", "2.0", "1.9", "1.0\n"),
    *("layer_0_attn_probs", "layer_9_q", "layer_01_q", "layer_0_new_thing", "logits", "input_ids"),
    *("sha256:" + "a" * 64, "sha256:" + "A" * 64, "AAAA", "AA==", "=", "A" * 16385, "batch"),
    *([], {}, [[]], [{}], [0] * 9, {"path": "x"}, [[[[[[[[[]]]]]]]]], {"constructor": {}}),
)


def _places(node: Any) -> list[tuple[Any, Any]]:
    """(container, key) of everything inside, so that deep places are as likely as shallow ones."""
    found: list[tuple[Any, Any]] = []
    waiting = [node]
    while waiting:
        at = waiting.pop()
        if isinstance(at, dict | list):
            keys: Any = at if isinstance(at, dict) else range(len(at))
            for key in keys:
                found.append((at, key))
                waiting.append(at[key])
    return found


def _delete(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    del at[key]


def _replace(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    at[key] = copy.deepcopy(chance.choice(NASTY))


def _copy_other(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    """A value from elsewhere, best of the same name: a digest of another file, another's path."""
    others = [(a, k) for a, k in _places(document) if k == key and a is not at]
    if others:
        other, name = chance.choice(others)
        at[key] = copy.deepcopy(other[name])


def _repeat(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    if isinstance(at, list):
        at += [copy.deepcopy(at[key]) for _ in range(chance.choice((1, 1, 2, 70)))]
    else:
        at[f"{key}_"] = copy.deepcopy(at[key])


def _nudge(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    value = at[key]
    if isinstance(value, bool) or value is None:
        at[key] = not value
    elif isinstance(value, int | float):
        at[key] = chance.choice((value + 1, value - 1, value * 2, -value, float(value), value + 4))
    elif isinstance(value, str) and value:
        place = chance.randrange(len(value))
        new = chance.choice(("", "/", ".", "\0", "A", "0", "\\", value[place].swapcase()))
        at[key] = value[:place] + new + value[place + 1 :]
    elif isinstance(value, list):
        chance.shuffle(value)


def _alter_tap(chance: random.Random, at: Any, key: Any, document: Any) -> None:
    """A field of a model more, or some bytes of a tap altered."""
    variants = document.get("variants", ())
    taps: list[tuple[Any, str | int]]
    taps = [(tap, "bytes") for variant in variants for tap in variant.get("taps", ())]
    for stored in [v["attribution"] for v in variants if "attribution" in v]:
        taps += [(stored, "model"), (stored["layers"], 0), (stored["neurons"], 0)] * 4
    if taps:
        tap, place = chance.choice(taps)
        payload = bytearray(base64.b64decode(tap[place]))
        if chance.random() < 0.5:
            inner = bytes([8 * chance.randrange(1, 15) + 2, 3]) + b"abc"
            payload += bytes([8 * chance.randrange(1, 26) % 256 + 2, len(inner)]) + inner
        else:
            payload[chance.randrange(len(payload))] = chance.randrange(256)
        tap[place] = base64.b64encode(payload).decode()


_CHANGES: tuple[Callable[[random.Random, Any, Any, Any], None], ...] = (
    *(_delete, _replace, _replace, _copy_other, _copy_other, _repeat, _nudge, _nudge, _alter_tap),
)

_BYTES = (b"", b'"', b"{", b"}", b"[", b",", b":", b"9", b"-", b"e9", b"\\", b"\\u", b"\0", b"\xff")


def hostile_manifest(seed: int) -> bytes:
    """A manifest's text: changed in one to three places, one in eight byte by byte besides."""
    chance = random.Random(seed)
    name = f"manifest__{chance.choice(BASES)}.json"
    document = read_json(EXAMPLES / "valid" / name)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        at, key = chance.choice(_places(document))
        try:
            chance.choice(_CHANGES)(chance, at, key, document)
        except (AttributeError, TypeError, KeyError, ValueError):
            # Nothing is left there to change in this way.
            break
        if not document:
            break
    text = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
    if chance.random() < 0.125:
        for _ in range(chance.choice((1, 1, 3))):
            place = chance.randrange(len(text))
            length = chance.choice((0, 1, 1, 20))
            text = text[:place] + chance.choice(_BYTES) + text[place + length :]
    return text
