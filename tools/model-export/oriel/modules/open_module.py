"""The caller's side of an exported file: nested values in, nested values out, each call held to
what was exported."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from oriel.contract.documents import ModuleSignature, ModuleTensor
from oriel.errors import ModuleError, OptionError, OrielError, reason_of
from oriel.formats import formats_by_name
from oriel.formats.format import Format
from oriel.formats.size_names import is_sum, size_of, terms_of
from oriel.formats.structure_beside import METADATA
from oriel.modules.constants import type_name
from oriel.modules.metadata import PARAMETER_KINDS, node_from_json, read_signature
from oriel.modules.structure import Node, Types, rebuild, tensors_of

if TYPE_CHECKING:
    from oriel.formats.format import Runner


class OpenedModule:
    """An exported module, called as the module itself was. Made by `open_module`."""

    def __init__(self, run: Runner, signature: ModuleSignature, types: Types) -> None:
        self._run = run
        self.signature = signature
        self._inputs = node_from_json(signature["input_structure"])
        self._outputs = node_from_json(signature["output_structure"])
        self._parameters = _parameters(signature, self._inputs)
        self._types = types

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the file. Arguments go by position or by the parameters' names.

        Returns the structure that the module returned, in its own classes as far as `open_module`
        was given them. The inputs aren't changed. Raises ModuleError, naming the path, where an
        argument has another structure than in the example, another dtype, another size on a fixed
        axis, or is another constant.
        """
        tensors = tensors_of(self._inputs, self._bound(args, kwargs), "the input")
        sizes: dict[str, int] = {}
        rows = list(zip(self.signature["inputs"], tensors, strict=True))
        # Sizes that are sums of others last: then these are known.
        for row, tensor in sorted(rows, key=lambda pair: _has_sum(pair[0])):
            axes = {int(axis): name for axis, name in row["dynamic_axes"].items()}
            _check_tensor(row["path"], tensor, (row["dtype"], row["shape"], axes), sizes)
        got = self._run([tensor.detach().clone() for tensor in tensors])
        return rebuild(self._outputs, list(got), self._types)

    def _bound(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return arguments by parameter name; those without tensors that aren't given are the
        constants that were exported."""
        try:
            bound = self._parameters.bind(*args, **kwargs)
        except TypeError as error:
            raise ModuleError(
                "the call doesn't fit the module's parameters",
                got=reason_of(error),
                expected=", ".join(self._parameters.parameters),
            ) from error
        bound.apply_defaults()
        return dict(bound.arguments)


def _parameters(signature: ModuleSignature, inputs: Node) -> inspect.Signature:
    """Return the signature of a call; a parameter without tensors has its node as default, which
    stands for what was exported."""
    kinds = {name: kind for kind, name in PARAMETER_KINDS.items()}
    nodes = dict(zip(inputs.keys, inputs.children, strict=True))
    made = []
    optional = False
    for row in signature["parameters"]:
        kind, node = kinds[row["kind"]], nodes.get(row["name"])
        named = kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        optional = optional or (named and node is not None and not any(node.tensors()))
        # Python allows no parameter without a default behind one that has it.
        default = node if named and optional else inspect.Parameter.empty
        made.append(inspect.Parameter(row["name"], kind, default=default))
    return inspect.Signature(made)


def _has_sum(row: ModuleTensor) -> bool:
    return any(is_sum(name) for name in row["dynamic_axes"].values())


def _check_tensor(
    path: str,
    tensor: Tensor,
    expected: tuple[str, list[int], Mapping[int, str]],
    sizes: dict[str, int],
) -> None:
    dtype, shape, axes = expected
    got = str(tensor.dtype).removeprefix("torch.")
    wanted = [axes.get(axis, size) for axis, size in enumerate(shape)]
    fits = len(tensor.shape) == len(shape) and all(
        _size_in(sizes, size, given) == given if isinstance(size, str) else size == given
        for size, given in zip(wanted, tensor.shape, strict=True)
    )
    if got != dtype or not fits:
        terms = {term for name in wanted if isinstance(name, str) for term in terms_of(name)}
        known = {name: size for name, size in sizes.items() if name in terms}
        raise ModuleError(
            f"the input {path} doesn't fit",
            got=f"{got} {list(tensor.shape)}",
            expected=f"{dtype} [{', '.join(map(str, wanted))}]"
            + (f" with {known}" if known else ""),
        )


def _size_in(sizes: dict[str, int], name: str, given: int) -> int:
    """Return the size that a name has; the given one for a name that is seen first."""
    if is_sum(name) and all(term in sizes for term in terms_of(name)):
        return size_of(name, sizes)
    return sizes.setdefault(name, given)


def open_module(file: str | Path, types: Iterable[type] = ()) -> OpenedModule:
    """Open an exported file in this process, which needs nothing of the module's code.

    types: classes of the caller's that outputs are rebuilt with, such as a dataclass; others come
    as dicts and tuples. No class is ever imported because a file names it. Raises OrielError for a
    file that isn't there, isn't ours or can't be opened.
    """
    path = Path(file)
    form = format_of(path)
    if form.weights_alone:
        raise ModuleError(
            f"{path.name} can't be called",
            got="tensors alone, and no program",
            expected="a format with a program, such as pt2",
            next_step="load it into the module: safetensors.torch.load_model.",
        )
    reason = form.unrunnable()
    if reason is not None:
        raise ModuleError(
            f"{path.name} can't be run here",
            got=reason,
            next_step=f"open it where {form.name} runs, or export another format.",
        )
    form.make_importable()
    text = form.structure(path)
    if text is None:
        raise ModuleError(
            f"{path.name} doesn't say what its inputs stand for",
            got="a file without a structure",
            expected="one that oriel.export_module wrote",
        )
    signature = read_signature(text, path.name)
    return OpenedModule(_runner(form, path), signature, _by_name(signature, types))


def _runner(form: Format, path: Path) -> Runner:
    """Open a file by its runtime. Raises ModuleError for whatever that raises."""
    try:
        return form.open(path)
    except OrielError:
        raise
    except Exception as error:
        # Each runtime has errors of its own.
        raise ModuleError(
            f"{path.name} can't be opened",
            got=reason_of(error),
            next_step=f"see that the files which {METADATA} lists are beside it, or export it "
            "again.",
        ) from error


def _by_name(signature: ModuleSignature, types: Iterable[type]) -> dict[str, type]:
    """Return {name in the file: class}. A class defined in a script is of the module __main__ there
    and of another here, so the name within the module counts where no whole name is the same."""
    given = {type_name(cls): cls for cls in types}
    by_own_name = {name.partition(":")[2]: cls for name, cls in given.items()}
    found: dict[str, type] = {}
    nodes = [signature["output_structure"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("children", [])
        name = node.get("type", "")
        cls = given.get(name) or by_own_name.get(name.partition(":")[2])
        if cls is not None and node["kind"] != "constant":
            found[name] = cls
    return found


def format_of(file: Path) -> Format:
    """Return the format that a file's suffix means. Raises OptionError for another one."""
    if not file.exists():
        raise OptionError("there is no such file", got=str(file), expected="an exported file")
    form = format_at(file)
    if form is not None:
        return form
    known = ", ".join(form.suffix for form in formats_by_name().values())
    raise OptionError("the file is of no known format", got=file.name, expected=known)


def format_at(file: Path) -> Format | None:
    """Return the format that a file's suffix means; None for another one, and for no file."""
    # The longest suffix first: .aoti.pt2 ends in .pt2.
    forms = sorted(formats_by_name().values(), key=lambda form: -len(form.suffix))
    for form in forms:
        is_there = file.is_dir() if form.is_folder else file.is_file()
        if file.name.endswith(form.suffix) and is_there:
            return form
    return None
