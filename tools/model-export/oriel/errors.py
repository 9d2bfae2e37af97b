"""Errors that the user can fix: one line each, exit code 2. Any other exception is a defect of this
program."""

from __future__ import annotations

import re
from collections.abc import Sequence


class OrielError(Exception):
    """One line: the problem, the value found, the value expected, and the next step."""

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        got: str | None = None,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> None:
        self.what = what
        self.got = got
        self.expected = expected
        self.next_step = next_step
        parts = [what]
        if got is not None:
            parts.append(f"got {got}")
        if expected is not None:
            parts.append(f"expected {expected}")
        line = "; ".join(parts)
        if next_step is not None:
            line = f"{line}. {next_step[:1].upper()}{next_step[1:]}"
        super().__init__(_one_line(line))


_MAX_CHARACTERS = 2000
"""Largest number of characters in a line: text from a file could fill screens."""


def _one_line(text: str) -> str:
    """Remove line breaks; replace characters by which names in a file could steer a terminal."""
    text = " ".join(text.split())
    text = text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def first_few(names: Sequence[str], count: int = 3) -> str:
    """Return the first names, and the number of the others."""
    rest = len(names) - count
    return ", ".join(names[:count]) + (f" and {rest} more" if rest > 0 else "")


_PREAMBLES = (
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : ",
    r"^Load model from .*? failed: ?",
    r"^Exception during initialization: ",
    r"^/\S+\.(?:cc|h):\d+ [\w:<>~&*, ]*\([^()]*\)(?: const)? ",
)
"""Patterns of the text that ONNX Runtime puts before the reason."""


def reason_of(error: BaseException, max_characters: int = 300) -> str:
    """Return a library's error message in one line: without the source positions and paths of
    temporary files that ONNX Runtime puts first, and never cut within a word."""
    text = " ".join(str(error).split())
    for pattern in _PREAMBLES:
        text = re.sub(pattern, "", text)
    text = text.rstrip(". ")
    if not text:
        return type(error).__name__
    if len(text) <= max_characters:
        return text
    return f"{text[:max_characters].rpartition(' ')[0] or text[:max_characters]} …"


class OptionError(OrielError):
    """A flag's value can't be used."""


class CheckpointError(OrielError):
    """The checkpoint is missing, partial, unsafe, or doesn't fit its config."""


class ArchitectureError(OrielError):
    """The checkpoint's architecture has no file in models/architectures yet."""


class GraphError(OrielError):
    """An ONNX file isn't one of ours or can't be used as asked."""


class ContractError(OrielError):
    """A document or a graph doesn't keep the contract."""


class RecipeError(OrielError):
    """A recipe can't be read, or doesn't fit the model."""


class FidelityError(OrielError):
    """A variant is farther from the float32 model than its bounds allow."""


class BundleError(OrielError):
    """The output can't be written: a foreign folder, no space, no permission."""


class HubError(OrielError):
    """The Hub was asked for by name and couldn't be reached or doesn't have the model."""


class PublishError(OrielError):
    """A model can't be published to a place, or its published files differ from it."""


class ModuleError(OrielError):
    """A module, its inputs or its spec can't be exported as asked, or a call doesn't match what was
    exported."""
