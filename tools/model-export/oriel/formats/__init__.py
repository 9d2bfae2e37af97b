"""Formats that a module of flat tensors is written in, one file each; this is their registry."""

from __future__ import annotations

from oriel.errors import OptionError
from oriel.formats.format import Format

ALL = "all"
ALIASES = {"torchscript": "ts"}
"""{other name: the format's own}, by which commands and functions know it too."""


def format_names(words: str) -> tuple[str, ...]:
    """Return the formats' own names in a list with commas, such as "torchscript,onnx"."""
    found = (word.strip() for word in words.split(","))
    return tuple(ALIASES.get(word, word) for word in found)


def known_names() -> str:
    """Return every name that an option may have, for people: "ts (torchscript), pt2, … or all"."""
    others: dict[str, list[str]] = {}
    for alias, name in ALIASES.items():
        others.setdefault(name, []).append(alias)
    names = [f"{n} ({', '.join(others[n])})" if n in others else n for n in formats_by_name()]
    return f"{', '.join(names)}, or {ALL}"


def formats_by_name() -> dict[str, Format]:
    """Return every format, by the name that options and metadata have for it."""
    from oriel.formats import (
        aotinductor_file,
        coreml_file,
        executorch_file,
        iree_file,
        litert_file,
        onnx_file,
        openvino_file,
        pt2_file,
        safetensors_file,
        tensorrt_file,
        torchscript_file,
    )

    modules = (
        torchscript_file,
        pt2_file,
        onnx_file,
        aotinductor_file,
        openvino_file,
        executorch_file,
        litert_file,
        iree_file,
        coreml_file,
        tensorrt_file,
        safetensors_file,
    )
    return {module.FORMAT.name: module.FORMAT for module in modules}


def check_formats(names: tuple[str, ...]) -> tuple[Format, ...]:
    """Return the formats of these names; `all` stands for each whose packages are installed. Raises
    OptionError for one that is unknown, named twice, or whose package isn't installed."""
    known = formats_by_name()
    names = tuple(ALIASES.get(name, name) for name in names)
    if names == (ALL,):
        return tuple(form for form in known.values() if form.in_all and _is_here(form))
    for at, name in enumerate(names):
        if name not in known or name in names[:at]:
            raise OptionError(
                "no such format" if name not in known else "a format is named twice",
                got=repr(name),
                expected=f"some of {known_names()}",
            )
        known[name].package_paths()
    if not names:
        raise OptionError("no format is named", expected=f"some of {known_names()}")
    return tuple(known[name] for name in names)


def _is_here(form: Format) -> bool:
    try:
        form.package_paths()
    except OptionError:
        return False
    return True


def check_opset(opset: int | None) -> None:
    """Raise OptionError for an opset that no exporter here writes; None is the exporter's own."""
    if opset is not None and not 9 <= opset <= 30:
        raise OptionError("the opset is out of range", got=str(opset), expected="9 to 30")
