"""Joins a display in a notebook to Python: an anywidget without a view of its own, whose script
(apps/web/src/notebook/) passes on what the page in the display asks.

The widget holds no numbers. A notebook keeps a widget's state only where its reader switched that
on, and shows it again only with a kernel or with scripts from a network, so the views themselves
stand in the output's HTML, and the widget does what needs a kernel anyway."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from oriel.contract.json_value import JsonValue
from oriel.notebook.page_file import template

MISSING = (
    "These views are saved results. To ask Python from here: pip install 'oriel[notebook]', then "
    "restart the kernel."
)


class Link(Protocol):
    """The part of a widget that is used here."""

    def send(self, content: Mapping[str, object]) -> None: ...

    def on_msg(self, callback: Callable[[Link, JsonValue, list[bytes]], None]) -> None: ...


@dataclass(frozen=True)
class Joined:
    """A display's link. Where there is none, `missing` says what it takes; None outside a
    notebook."""

    link: Link | None
    missing: str | None


def join_python(token: str, answer: Callable[[JsonValue], Mapping[str, object]]) -> Joined:
    """Make the link of a display. answer: replies to a question of the page."""
    if not _has_kernel():
        return Joined(None, None)
    try:
        import anywidget
        import traitlets
    except ImportError:
        return Joined(None, MISSING)
    names = {
        "_esm": template("notebook_link.js"),
        "token": traitlets.Unicode(token).tag(sync=True),
    }
    link: Link = type("OrielLink", (anywidget.AnyWidget,), names)()

    def hear(_: Link, content: JsonValue, __: list[bytes]) -> None:
        if isinstance(content, dict) and "question" in content:
            link.send(answer(content["question"]))

    link.on_msg(hear)
    return Joined(link, None)


def _has_kernel() -> bool:
    """Return whether this process is a notebook's kernel, which has IPython loaded."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None
