"""The part of the page's address that a run depends on: text, edits, lens, variant, sampling. The
table of all fields is the page's, apps/web/src/url/fields.ts; those that only change what is shown
are left to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import contracts_folder, kinds
from oriel.contract.json_value import JsonValue
from oriel.contract.lens_packs import LOGIT
from oriel.contract.strict_json import read_json
from oriel.contract.whole_text import around
from oriel.errors import ContractError, OptionError
from oriel.runtime.bundle import Bundle
from oriel.runtime.edit_json import edit_from_json
from oriel.runtime.edits import Add, Edit, Replace, Scale

_HEAD = re.compile(r"(\d{1,4})\.(\d{1,4})")
_IDS = re.compile(r"\d{1,9}(\.\d{1,9})*")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")


@dataclass(frozen=True)
class Sampling:
    """How the next token is drawn."""

    temperature: float = 0.8
    """0 always takes the likeliest."""
    top_k: int = 0
    """0 keeps all."""
    top_p: float = 0.95
    """1 keeps all."""


@dataclass(frozen=True)
class ListedEdit:
    """An edit of the page's list that is on."""

    edit: Edit
    """Its numbers are 0 where they come from texts."""
    source: tuple[str, tuple[str, ...]] | None = None
    """How texts give the numbers (difference, mean, text), and which texts."""


@dataclass(frozen=True)
class PageState:
    """What the page runs in a state."""

    text: str
    ids: tuple[int, ...] | None = None
    """Ids of the text's tokens, where they aren't what the tokenizer makes of it."""
    without_first: bool = False
    """True without the tokens that go before every text."""
    edits: tuple[ListedEdit, ...] = ()
    lens: str = LOGIT
    variant: str | None = None
    sampling: Sampling = Sampling()


def read_state(link: str) -> PageState:
    """Return the state of an address from # on. Raises OptionError, with the field at fault, for
    one that the page would ignore in part."""
    fields: dict[str, str] = {}
    for key, value in parse_qsl(link.removeprefix("#"), keep_blank_values=True):
        fields.setdefault(key, value)
    ids = _read(fields, "ids", _IDS, "ids of tokens with dots between them")
    return PageState(
        text=fields.get("p", _first_prompt()),
        ids=None if ids is None else tuple(int(each) for each in ids.split(".")),
        without_first=fields.get("first") == "no",
        edits=(*_heads_off(fields.get("off")), *_edits(fields.get("e"))),
        lens=_read(fields, "lens", _NAME, "a lens's name") or LOGIT,
        variant=_read(fields, "v", _NAME, "a variant's name"),
        sampling=_sampling(fields.get("s")),
    )


def _read(fields: dict[str, str], key: str, form: re.Pattern[str], expected: str) -> str | None:
    value = fields.get(key)
    if value is not None and form.fullmatch(value) is None:
        raise _unread(key, value, expected)
    return value


def _unread(key: str, value: str, expected: str) -> OptionError:
    return OptionError(
        f"the state's {key}= can't be read",
        got=repr(value[:80]),
        expected=expected,
        next_step="copy the address from the page.",
    )


def _first_prompt() -> str:
    text = (contracts_folder() / "first_prompt.json").read_text(encoding="utf-8")
    return str(json.loads(text)["text"])


def _heads_off(value: str | None) -> list[ListedEdit]:
    found: list[ListedEdit] = []
    for part in [] if value is None else value.split("_"):
        head = _HEAD.fullmatch(part)
        if head is None:
            raise _unread("off", part, "heads as 6.2_7.1")
        layer, number = map(int, head.groups())
        found.append(ListedEdit(Scale("attn_z", layer=layer, head=number, factor=0)))
    return found


def _edits(value: str | None) -> list[ListedEdit]:
    if value is None:
        return []
    try:
        entries = read_json(value, "the state's e=")
        if not isinstance(entries, list):
            raise ContractError("the state's e= is no list", got=value[:80])
        listed = [_listed(entry, f"edit {at}") for at, entry in enumerate(entries)]
    except ContractError as error:
        raise OptionError(error.what, got=error.got, expected=error.expected) from error
    return [each for each in listed if each is not None]


def _listed(entry: JsonValue, what: str) -> ListedEdit | None:
    """Return an edit of the list; None for one that is switched off."""
    if not isinstance(entry, dict):
        raise ContractError(f"{what} is no edit", got=type(entry).__name__)
    record = {key: value for key, value in entry.items() if key not in ("from", "off")}
    source = None
    if "from" in entry:
        source = _source(entry["from"], what)
        record["vector" if record.get("edit") == "add" else "value"] = 0
    edit = edit_from_json(record, what)
    return None if entry.get("off") is True else ListedEdit(edit, source)


def _source(given: JsonValue, what: str) -> tuple[str, tuple[str, ...]]:
    named = list(given.items()) if isinstance(given, dict) else []
    if len(named) == 1:
        [(name, value)] = named
        texts = value if isinstance(value, list) else [value]
        wanted = {"difference": 2, "mean": 1, "text": 1}.get(name)
        if len(texts) == wanted and all(isinstance(text, str) and text for text in texts):
            return name, tuple(str(text) for text in texts)
    raise ContractError(
        f"{what}: its from names no texts",
        got=json.dumps(given)[:80],
        expected='{"difference": [text, text]}, {"mean": text} or {"text": text}',
    )


def _sampling(value: str | None) -> Sampling:
    if value is None:
        return Sampling()
    parts = value.split("_")
    try:
        temperature, top_k, top_p = float(parts[0]), int(parts[1]), float(parts[2])
    except (IndexError, ValueError) as error:
        raise _unread("s", value, "temperature_top-k_top-p, as 0.8_0_0.95") from error
    if len(parts) != 3 or not (0 <= temperature <= 2 and top_k >= 0 and 0 < top_p <= 1):
        raise _unread("s", value, "temperature 0 to 2, top-k from 0, top-p above 0 and up to 1")
    return Sampling(temperature, top_k, top_p)


def ids_of(state: PageState, bundle: Bundle, text: str | None = None) -> list[int]:
    """Return the ids that the page feeds for the state's text, or for another one.

    Raises OptionError where a model without a tokenizer isn't given ids, with a space between.
    """
    fed = state.text if text is None else text
    files = bundle.manifest.data.get("tokenizer")
    if text is None and state.ids is not None:
        own = list(state.ids)
    elif files is not None:
        own = list(bundle.tokenizer.encode(fed, add_special_tokens=False).ids)
    else:
        words = fed.split()
        if not words or not all(word.isdecimal() for word in words):
            raise OptionError(
                "the model has no tokenizer, and the state's text is no list of ids", got=fed[:80]
            )
        own = [int(word) for word in words]
    return own if state.without_first else around(bundle.manifest.data, own)


def edits_of(state: PageState, bundle: Bundle) -> list[Edit]:
    """Return the state's edits, with the numbers that come from texts computed."""
    return [_with_numbers(listed, state, bundle) for listed in state.edits]


def _with_numbers(listed: ListedEdit, state: PageState, bundle: Bundle) -> Edit:
    edit, source = listed.edit, listed.source
    if source is None:
        return edit
    how, texts = source
    name = kinds()[edit.joint].at(edit.layer)
    values: list[Array] = [
        bundle.run([ids_of(state, bundle, text)], activations=[name], logits=0)[name]
        for text in texts
    ]
    if how == "difference":
        numbers = values[0][0, -1] - values[1][0, -1]
    elif how == "mean":
        numbers = values[0].mean(axis=-2, keepdims=True, dtype=np.float64).astype(np.float32)
    else:
        numbers = values[0]
    if isinstance(edit, Add):
        return replace(edit, vector=numbers)
    if isinstance(edit, Replace):
        return replace(edit, value=numbers)
    raise OptionError("texts give no numbers to this edit", got=edit.edit, expected="add, replace")
