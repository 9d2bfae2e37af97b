"""`oriel.show(bundle, "a text")`: the page's views of one analysis in a notebook's output, where
they stay when the notebook is opened again, and where Python answers while its kernel runs."""

from __future__ import annotations

import html
import secrets
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal, TypedDict, TypeGuard
from urllib.parse import urlencode

from oriel.contract.activation_names import LENS_KINDS, kinds
from oriel.contract.json_value import JsonValue
from oriel.contract.lens_packs import LOGIT
from oriel.errors import OptionError, OrielError
from oriel.notebook.page_file import filled_page, record_text, save_page, view_names
from oriel.notebook.python_link import Link, join_python
from oriel.notebook.record import AnalysisRecord, Asked, analysis_record, exported
from oriel.runtime.bundle import Bundle
from oriel.runtime.edit_json import edits_from_json
from oriel.runtime.edits import Edit

Language = Literal["en", "zh"]
Theme = Literal["light", "dark"]
_LANGUAGES = ("en", "zh")
_THEMES = ("light", "dark")
_HEIGHTS = (120, 4000)
"""Lowest and highest frame, in CSS pixels."""


class Reply(TypedDict, total=False):
    """The answer to a question of the page: a record, or a line that says why there is none."""

    record: str
    reason: str


class Shown:
    """One analysis as the page shows it. In a notebook it is displayed as a cell's last value."""

    def __init__(
        self, bundle: Bundle, record: AnalysisRecord, token: str, height: int, edits: Sequence[Edit]
    ) -> None:
        self.bundle = bundle
        self.record = record
        self.height = height
        self.edits = tuple(edits)
        self._token = token
        self._link: Link | None = None

    def save(self, path: str | Path) -> Path:
        """Save the analysis as an HTML file that opens without a server, a network or Python.
        Return its path. Raises OptionError or BundleError where it can't be written."""
        name = self.record["lens"]
        packs = [pack for pack in self.record["lens_packs"] if pack["name"] == name]
        alone: AnalysisRecord = {**self.record, "kernel": None, "lens_packs": packs}
        return save_page(filled_page(alone), Path(path))

    def answer(self, question: JsonValue) -> Reply:
        """Answer what the page asks: run the model on its text, with its edits. Never raises for
        what a page may ask; the reply then says in a line what is wrong."""
        try:
            return {"record": record_text(self._record_for(question))}
        except OrielError as error:
            return {"reason": str(error)}

    def _record_for(self, question: JsonValue) -> AnalysisRecord:
        if not isinstance(question, dict):
            raise OptionError("the page asked nothing that Python knows")
        prompt, ids = question.get("prompt"), question.get("ids")
        names, lens = question.get("activations"), question.get("lens")
        if not isinstance(names, list) or not isinstance(lens, str) or not _are_ids(ids):
            raise OptionError("the page asked nothing that Python knows")
        edits = edits_from_json(question.get("edits"))
        if isinstance(prompt, str):
            text, given = prompt, self.bundle.encode(prompt)
            typed = len(given)
        else:
            text, given = self.record["prompt"], ids
            typed = min(self.record["typed"], len(given))
        chosen = tuple(str(name) for name in names)
        asked = Asked(tuple(given), typed, text, chosen, lens, tuple(edits))
        return analysis_record(self.bundle, asked, self.record["state"], self._token)

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        """Return the display. The views stand in HTML that the notebook keeps; a widget without a
        display of its own joins them to Python."""
        joined = join_python(self._token, self.answer)
        self._link = joined.link
        page = html.escape(filled_page(self.record), quote=True)
        name = html.escape(f"Oriel: {self.record['model']['name']}", quote=True)
        note = "" if joined.missing is None else f"<p>{html.escape(joined.missing)}</p>"
        frame = (
            f'<iframe data-oriel="{self._token}" title="{name}" '
            'sandbox="allow-scripts allow-downloads allow-popups" '
            f'style="width:100%;height:{self.height}px;border:1px solid #8886" '
            f'srcdoc="{page}"></iframe>{note}'
        )
        return {"text/html": frame, "text/plain": repr(self)}

    def __repr__(self) -> str:
        ids = self.record["typed"]
        return f"<oriel.show of {self.record['model']['name']}, {ids} tokens; .save('page.html')>"


def show(
    bundle: Bundle | str | Path,
    prompt: str | Sequence[int],
    *,
    view: str | None = None,
    head: tuple[int, int] | None = None,
    edits: Iterable[Edit] = (),
    activations: Collection[str] | None = None,
    lens: str = LOGIT,
    language: Language | None = None,
    theme: Theme | None = None,
    height: int = 760,
) -> Shown:
    """Run a bundle on a text and return the page's views of it, for a notebook or a file.

    bundle: an opened bundle, or its folder. prompt: a text, or token ids. view: the id of the one
    view to show; all by default. head: (layer, head) to show first. edits: edits to compute with;
    the views show both, with and without them. activations: contract names or kinds to hold; by
    default those that the model was exported with, and the lens of every layer. lens: the lens
    that layers are read through. language, theme: the reader's own by default. height: of the
    frame in a notebook, in CSS pixels.

    Raises OptionError for arguments that don't fit, and as Bundle.run does.
    """
    opened = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
    _check_choice("view", view, view_names())
    _check_choice("language", language, _LANGUAGES)
    _check_choice("theme", theme, _THEMES)
    if not _HEIGHTS[0] <= height <= _HEIGHTS[1]:
        raise OptionError("height doesn't fit", got=str(height), expected=f"{_HEIGHTS} pixels")
    ids = opened.encode(prompt) if isinstance(prompt, str) else [int(token) for token in prompt]
    given = tuple(edits)
    asked = Asked(
        ids=tuple(ids),
        typed=len(ids),
        prompt=prompt if isinstance(prompt, str) else "",
        activations=tuple(_names(opened, activations)),
        lens=lens,
        edits=given,
    )
    state = _state(opened, view, head, language, theme)
    token = secrets.token_hex(16)
    return Shown(opened, analysis_record(opened, asked, state, token), token, height, given)


def _are_ids(value: JsonValue | None) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(each) is int for each in value)


def _names(bundle: Bundle, activations: Collection[str] | None) -> list[str]:
    if activations is not None:
        return [name for name in bundle.names(activations) if name != "logits"]
    layers = range(bundle.shape.layers)
    lens = [kinds()[kind].at(layer) for layer in layers for kind in LENS_KINDS]
    return list(dict.fromkeys([*exported(bundle), *lens]))


def _state(
    bundle: Bundle,
    view: str | None,
    head: tuple[int, int] | None,
    language: Language | None,
    theme: Theme | None,
) -> str:
    """Return the state as a link's part after # has it."""
    fields: dict[str, str] = {"link": "1"}
    if head is not None:
        layer, index = head
        shape = bundle.shape
        if not (0 <= layer < shape.layers and 0 <= index < shape.at(layer).heads):
            raise OptionError(
                "the model has no such head",
                got=f"layer {layer}, head {index}",
                expected=f"{shape.layers} layers of {shape.heads} heads, counted from 0",
            )
        fields["h"] = f"{layer}.{index}"
    for key, value in (("lang", language), ("only", view), ("theme", theme)):
        if value is not None:
            fields[key] = value
    return urlencode(fields)


def _check_choice(name: str, given: str | None, known: Sequence[str]) -> None:
    if given is not None and given not in known:
        raise OptionError(f"no such {name}", got=repr(given), expected=f"one of {', '.join(known)}")
