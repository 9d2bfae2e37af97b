"""metadata.json of exported modules, and the part of it that every file carries inside."""

from __future__ import annotations

import inspect
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from oriel import __version__
from oriel.contract.documents import (
    ModuleCalibration,
    ModuleCase,
    ModuleExport,
    ModuleMetadata,
    ModuleOutputError,
    ModuleSignature,
    ModuleSimplification,
    ModuleTensor,
    ModuleVariant,
    StructureNode,
)
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError
from oriel.formats.format import Format
from oriel.formats.packages import package_version
from oriel.formats.simplify_onnx import PACKAGE, simplifier_paths
from oriel.formats.structure_beside import METADATA
from oriel.modules.check_metadata import check_metadata, check_signature
from oriel.modules.fallbacks import ExportedFile, Simplification
from oriel.modules.paths import Path as ValuePath
from oriel.modules.paths import path_text
from oriel.modules.structure import Kind, Node, constant_node
from oriel.modules.verify_module import CaseResult
from oriel.modules.written_files import describe, digest

if TYPE_CHECKING:
    from oriel.modules.quantized_variant import QuantizedVariant

ParameterKind = Literal[
    "positional_only", "positional_or_keyword", "var_positional", "keyword_only", "var_keyword"
]
METADATA_VERSION = "1.1"
PARAMETER_KINDS: Mapping[inspect._ParameterKind, ParameterKind] = {
    inspect.Parameter.POSITIONAL_ONLY: "positional_only",
    inspect.Parameter.POSITIONAL_OR_KEYWORD: "positional_or_keyword",
    inspect.Parameter.VAR_POSITIONAL: "var_positional",
    inspect.Parameter.KEYWORD_ONLY: "keyword_only",
    inspect.Parameter.VAR_KEYWORD: "var_keyword",
}


@dataclass(frozen=True)
class TensorRow:
    """One tensor of the flat signature."""

    path: ValuePath
    name: str
    tensor: Tensor
    axes: Mapping[int, str]

    def to_json(self) -> ModuleTensor:
        return {
            "path": path_text(self.path),
            "name": self.name,
            "shape": [int(size) for size in self.tensor.shape],
            "dtype": str(self.tensor.dtype).removeprefix("torch."),
            "dynamic_axes": {str(axis): name for axis, name in self.axes.items()},
        }


@dataclass(frozen=True)
class Signature:
    """The inputs and outputs of a module's files, flat and nested."""

    inputs: Sequence[TensorRow]
    outputs: Sequence[TensorRow]
    input_structure: Node
    output_structure: Node
    parameters: Sequence[inspect.Parameter]

    def to_json(self) -> ModuleSignature:
        constants = list(self.input_structure.constants())
        return {
            "parameters": [
                {"name": each.name, "kind": PARAMETER_KINDS[each.kind]} for each in self.parameters
            ],
            "inputs": [_input_to_json(row) for row in self.inputs],
            "outputs": [row.to_json() for row in self.outputs],
            "output_map": {path_text(row.path): row.name for row in self.outputs},
            "input_structure": node_to_json(self.input_structure, _by_path(self.inputs)),
            "output_structure": node_to_json(self.output_structure, _by_path(self.outputs)),
            "constants": [
                {"path": path_text(node.path), "type": node.type, "text": node.text}
                for node in constants
            ],
        }


def _input_to_json(row: TensorRow) -> ModuleTensor:
    """Return an input with the range of the example's values: whoever has the file alone can make
    others that the module takes, such as ids of its vocabulary."""
    found = row.to_json()
    values = row.tensor.detach()
    numbers = values.dtype != torch.bool and not values.is_complex()
    if numbers and values.numel() and bool(torch.isfinite(values).all()):
        found["range"] = [values.min().item(), values.max().item()]
    return found


def _by_path(rows: Sequence[TensorRow]) -> dict[ValuePath, str]:
    return {row.path: row.name for row in rows}


def node_to_json(node: Node, names: Mapping[ValuePath, str]) -> StructureNode:
    """Return a structure as JSON; a tensor has its flat name instead of a type."""
    if node.kind == "tensor":
        return {"kind": "tensor", "name": names[node.path]}
    if node.kind == "constant":
        return {"kind": "constant", "type": node.type, "text": node.text}
    children = [node_to_json(child, names) for child in node.children]
    return {"kind": node.kind, "type": node.type, "keys": list(node.keys), "children": children}


def node_from_json(data: StructureNode, path: ValuePath = ()) -> Node:
    """Return the structure that a file describes; `data` keeps its schema."""
    kind: Kind = data["kind"]
    if kind == "tensor":
        return Node(kind, path, "torch:Tensor")
    if kind == "constant":
        return constant_node(path, data["type"], data["text"])
    keys = tuple(data["keys"])
    children = [
        node_from_json(child, (*path, key))
        for key, child in zip(keys, data["children"], strict=True)
    ]
    return Node(kind, path, data["type"], keys, tuple(children))


def signature_text(signature: Signature) -> str:
    """Return the JSON that goes into every file."""
    return json.dumps(signature.to_json(), ensure_ascii=False, separators=(",", ":"))


def read_signature(text: str | bytes, what: str) -> ModuleSignature:
    """Return the signature inside a file. Raises ContractError for one that breaks its schema."""
    return check_signature(read_json(text, what), what)


def export_to_json(result: ExportedFile, folder: Path) -> ModuleExport:
    """Return what came of one format. folder: that of metadata.json."""
    file = result.file
    files = describe(result.entries, folder)
    digests = {row["file"]: row["sha256"] for row in files}
    name = file.relative_to(folder).as_posix() if file else None
    row: ModuleExport = {
        "format": result.format,
        "success": file is not None,
        "file": name,
        "bytes": result.bytes if file else None,
        "sha256": (digests.get(name or "") or digest(file)) if file else None,
        "files": files,
        "way": result.way,
        "left_ways": [{"way": left.way, "reason": left.reason} for left in result.left],
        "error": result.error,
        "fixed_branches": list(result.fixed),
        "fixed_sizes": result.fixed_sizes,
        "opset": result.opset,
        "not_verified": result.not_verified,
        "checks": list(result.checks),
        "verification": [_case_to_json(case) for case in result.cases],
    }
    if result.simplification is not None:
        row["simplification"] = _simplification_to_json(result.simplification)
    if result.variants:
        row["variants"] = [_variant_to_json(each, folder) for each in result.variants]
    return row


def _variant_to_json(variant: QuantizedVariant, folder: Path) -> ModuleVariant:
    file = variant.file
    row: ModuleVariant = {
        "precision": variant.precision,
        "success": file is not None,
        "file": file.relative_to(folder).as_posix() if file else None,
        "bytes": variant.bytes if file else None,
        "sha256": digest(file) if file else None,
        "error": variant.error,
        "recipe": variant.recipe,
        "nodes": dict(variant.nodes or {}),
        "verification": [_case_to_json(case) for case in variant.cases],
    }
    if file is not None and variant.beside:
        row["files"] = describe((file, *variant.beside), folder)
    if variant.calibration is not None:
        row["calibration"] = cast(ModuleCalibration, variant.calibration)
    return row


def _simplification_to_json(found: Simplification) -> ModuleSimplification:
    before, after = found.before, found.after
    return {
        "success": found.reason is None,
        "reason": found.reason,
        "nodes_before": None if before is None else before.nodes,
        "nodes_after": None if after is None else after.nodes,
        "bytes_before": None if before is None else before.bytes,
        "bytes_after": None if after is None else after.bytes,
    }


def _case_to_json(case: CaseResult) -> ModuleCase:
    row: ModuleCase = {
        "case": case.name,
        "input_shapes": case.sizes,
        "passed": case.passed,
        "outputs": [cast(ModuleOutputError, asdict(output)) for output in case.outputs],
    }
    if case.top1 is not None:
        row["top1"] = case.top1
    return row


def listed_files(folder: Path) -> frozenset[str]:
    """Return the names under `library_files` in a folder's metadata.json, which may be anyone's;
    none where it can't be read."""
    try:
        data = read_json((folder / METADATA).read_bytes(), METADATA)
    except (OSError, ContractError):
        return frozenset()
    rows = data.get("library_files") if isinstance(data, dict) else None
    rows = rows if isinstance(rows, list) else []
    found = [row.get("file") for row in rows if isinstance(row, dict)]
    return frozenset(name for name in found if isinstance(name, str))


def versions(formats: Iterable[Format], simplify: bool = False) -> dict[str, str]:
    """Return the versions of what a module's files were made with. simplify: onnxslim too."""
    found = {"oriel": __version__, "python": platform.python_version()}
    used = list(formats)
    wanted = [("torch", form.package_paths()) for form in used]
    wanted += [(name, form.package_paths()) for form in used for name in form.distributions]
    wanted += [(PACKAGE, simplifier_paths())] if simplify else []
    for name, paths in wanted:
        version = package_version(name, paths)
        if version is not None:
            found[name] = version
    return found


def metadata_text(metadata: ModuleMetadata) -> str:
    """Return the text of metadata.json, after holding it to its schema."""
    check_metadata(metadata, METADATA)
    return json.dumps(metadata, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
