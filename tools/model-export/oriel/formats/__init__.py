"""Formats that a module of flat tensors is written in, one file each; this is their registry."""

from __future__ import annotations

from oriel.errors import OptionError
from oriel.formats.format import Format

ALL = "all"


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
        safetensors_file,
    )
    return {module.FORMAT.name: module.FORMAT for module in modules}


def check_formats(names: tuple[str, ...]) -> tuple[Format, ...]:
    """Return the formats of these names; `all` stands for each whose packages are installed. Raises
    OptionError for one that is unknown, named twice, or whose package isn't installed."""
    known = formats_by_name()
    if names == (ALL,):
        return tuple(form for form in known.values() if _is_here(form))
    for at, name in enumerate(names):
        if name not in known or name in names[:at]:
            raise OptionError(
                "no such format" if name not in known else "a format is named twice",
                got=repr(name),
                expected=f"some of {', '.join(known)}, or {ALL}",
            )
        known[name].package_paths()
    if not names:
        raise OptionError("no format is named", expected=f"some of {', '.join(known)}, or {ALL}")
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
