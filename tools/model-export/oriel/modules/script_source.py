"""Source of a TorchScript forward that builds nested inputs from flat tensors and takes the chosen
tensors out of the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oriel.errors import ModuleError
from oriel.modules.flat_module import FlatOutputs
from oriel.modules.paths import Path, path_text
from oriel.modules.structure import Node

_LITERALS = (type(None), bool, int, float, str)


def script_source(inputs: Node, names: Sequence[str], method: str, chosen: FlatOutputs) -> str:
    """Return the source. Raises ModuleError for values that TorchScript can't write: classes of the
    caller's, objects, numbers that aren't finite."""
    copy = ".clone()" if chosen.clone_inputs else ""
    left = iter([f"{name}{copy}" for name in names])
    given = [
        f"{key}={_expression(child, left)}"
        for key, child in zip(inputs.keys, inputs.children, strict=True)
    ]
    paths = list(chosen.node.tensors())
    returned = [f"result{_access(chosen.node, paths[at])}" for at in chosen.picks]
    target = "self.model" if method == "forward" else f"self.model.{method}"
    return "\n".join(
        [
            f"def forward(self, {', '.join(f'{name}: Tensor' for name in names)}):",
            f"    result = {target}({', '.join(given)})",
            f"    return ({', '.join(returned)},)",
            "",
        ]
    )


def _expression(node: Node, names: Iterator[str]) -> str:
    if node.kind == "tensor":
        return next(names)
    if node.kind == "constant":
        if not isinstance(node.value, _LITERALS) or "inf" in node.text or "nan" in node.text:
            raise _unwritable(node)
        return repr(node.value)
    parts = [_expression(child, names) for child in node.children]
    if node.type == "builtins:dict":
        rows = zip(node.keys, parts, strict=True)
        return "{" + ", ".join(f"{key!r}: {part}" for key, part in rows) + "}"
    if node.type == "builtins:list":
        return f"[{', '.join(parts)}]"
    if node.type == "builtins:tuple":
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    raise _unwritable(node)


def _unwritable(node: Node) -> ModuleError:
    return ModuleError(
        f"TorchScript can't write the value at {path_text(node.path)}", got=node.type or node.text
    )


def _access(node: Node, path: Path) -> str:
    at, text = node, ""
    for key in path:
        text += f"[{key!r}]" if at.kind in ("dict", "list", "tuple") else f".{key}"
        at = at.children[at.keys.index(key)]
    return text
