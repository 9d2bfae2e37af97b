"""The contents of an exported file, its metadata or a checkpoint, as a tree for people. Nothing
of a file is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.contract.documents import (
    ModuleExport,
    ModuleMetadata,
    ModuleSignature,
    ModuleTensor,
    StructureNode,
)
from oriel.contract.strict_json import read_json
from oriel.errors import OptionError, OrielError
from oriel.formats import formats_by_name
from oriel.formats.format import Format
from oriel.formats.structure_beside import METADATA, structure_beside
from oriel.modules.check_metadata import check_metadata
from oriel.modules.metadata import read_signature
from oriel.modules.open_module import format_at
from oriel.modules.pt2_archive import read_pt2
from oriel.modules.written_files import files_in


@dataclass
class Branch:
    """A line of the tree, and those below it."""

    text: str
    branches: list[Branch] = field(default_factory=list)

    def add(self, text: str) -> Branch:
        """Add a line below this one, and return it."""
        made = Branch(text)
        self.branches.append(made)
        return made


def inspect_file(file: Path) -> Branch:
    """Return the tree of metadata.json, an ONNX file, a `.pt2`, a TorchScript file of ours or a
    checkpoint. Raises OrielError for anything else."""
    form = format_at(file)
    if not file.is_file() and form is None:
        raise OptionError(
            "there is no such file",
            got=str(file),
            expected="a metadata.json, .onnx, .pt2, .ts or a checkpoint",
        )
    kinds: Mapping[str, Callable[[Path], Branch]] = {
        ".json": _metadata,
        ".onnx": _onnx,
        ".pt2": _pt2,
        ".ts": _torchscript,
    }
    if form is not None and form.structure is structure_beside and not form.weights_alone:
        return _described_beside(form, file)
    return kinds.get(file.suffix, _checkpoint)(file)


def _described_beside(form: Format, file: Path) -> Branch:
    """Return the tree of a file whose structure is in the metadata.json beside it."""
    top = Branch(f"{file.name}: {form.name}")
    for part in files_in([file]):
        top.add(f"{part.relative_to(file.parent).as_posix()}, {part.stat().st_size:,} bytes")
    signature = _own_signature(form.name, file)
    if signature is None:
        top.add(f"no {METADATA} beside it tells of its inputs and outputs")
    else:
        _add_signature(top, signature)
    return top


def _metadata(file: Path) -> Branch:
    data = check_metadata(read_json(file.read_bytes(), file.name), file.name)
    top = Branch(f"{file.name}: {data['model_type']}, {data['method']}")
    if data["checkpoint"] is not None:
        top.add(f"checkpoint {data['checkpoint']['file']}, {data['checkpoint']['bytes']:,} bytes")
    _add_signature(top, data["signature"])
    _add_left_out(top, data)
    exports = top.add("files")
    for row in data["exports"]:
        _add_export(exports, row)
    top.add("versions: " + ", ".join(f"{name} {v}" for name, v in data["versions"].items()))
    return top


def _add_left_out(top: Branch, data: ModuleMetadata) -> None:
    if data["left_out"]:
        saved = sum(part["bytes"] for part in data["left_out"])
        branch = top.add(f"left out, {saved:,} bytes")
        for part in data["left_out"]:
            branch.add(f"{part['name']}: {part['tensors']} tensors, {part['bytes']:,} bytes")


def _add_export(exports: Branch, row: ModuleExport) -> None:
    if not row["success"]:
        exports.add(f"{row['format']}: failed: {row['error']}")
        return
    opset = "" if row["opset"] is None else f", opset {row['opset']}"
    branch = exports.add(f"{row['file']}: {row['way']}{opset}, {row['bytes'] or 0:,} bytes")
    for left in row["left_ways"]:
        branch.add(f"left {left['way']}: {left['reason']}")
    if row.get("not_verified") is not None:
        branch.add(f"not verified: {row['not_verified']}")
    for check in row.get("checks", []):
        branch.add(f"checked without running it: {check}")
    for fixed in row["fixed_branches"]:
        branch.add(f"fixed as in the example: {fixed}")
    for case in row["verification"]:
        worst = max((output["relative"] or 0.0 for output in case["outputs"]), default=0.0)
        verdict = "passed" if case["passed"] else "failed"
        branch.add(f"{case['case']}: {verdict}, largest relative error {worst:.1e}")


def _add_signature(top: Branch, signature: ModuleSignature) -> None:
    for title, root, rows in (
        ("inputs", signature["input_structure"], signature["inputs"]),
        ("outputs", signature["output_structure"], signature["outputs"]),
    ):
        by_name = {row["name"]: row for row in rows}
        branch = top.add(f"{title}: {len(rows)} tensors")
        if root["kind"] in ("tensor", "constant"):
            branch.add(_leaf(root, by_name))
        else:
            _add_node(branch, root, by_name)


def _add_node(above: Branch, node: StructureNode, rows: Mapping[str, ModuleTensor]) -> None:
    for key, child in zip(node["keys"], node["children"], strict=True):
        if child["kind"] in ("tensor", "constant"):
            above.add(f"{key}: {_leaf(child, rows)}")
        else:
            kind = child["kind"].replace("_", " ")
            own = "" if child["type"].startswith("builtins:") else f" {child['type']}"
            _add_node(above.add(f"{key}: {kind}{own}"), child, rows)


def _leaf(node: StructureNode, rows: Mapping[str, ModuleTensor]) -> str:
    if node["kind"] == "constant":
        return f"{node['text'] or node['type']} (constant)"
    row = rows[node["name"]]
    axes = row["dynamic_axes"]
    shape = ", ".join(axes.get(str(at), str(size)) for at, size in enumerate(row["shape"]))
    return f"{row['dtype']} [{shape}] as {row['name']}"


def _own_signature(format_name: str, file: Path) -> ModuleSignature | None:
    """Return the structure that our files carry; None for a file of another program."""
    text = formats_by_name()[format_name].structure(file)
    return None if text is None else read_signature(text, file.name)


def _onnx(file: Path) -> Branch:
    import onnx

    try:
        model = onnx.load(file, load_external_data=False)
    except Exception as error:
        # Protocol Buffers' own error is of a package that onnx brings.
        raise OptionError(
            f"{file.name} is no whole ONNX file", next_step="write or download it again."
        ) from error
    graph = model.graph
    opsets = ", ".join(
        f"{entry.domain or 'ai.onnx'} {entry.version}" for entry in model.opset_import
    )
    top = Branch(f"{file.name}: ONNX, opset {opsets}, {len(graph.node)} nodes")
    signature = _own_signature("onnx", file)
    if signature is not None:
        _add_signature(top, signature)
    else:
        held = {tensor.name for tensor in graph.initializer}
        for title, values in (("inputs", graph.input), ("outputs", graph.output)):
            branch = top.add(title)
            for value in values:
                if value.name not in held:
                    branch.add(_onnx_value(value))
    rows = [
        (t.name, onnx.TensorProto.DataType.Name(t.data_type).lower(), list(t.dims))
        for t in graph.initializer
    ]
    _add_weights(top, rows)
    return top


def _onnx_value(value: onnx.ValueInfoProto) -> str:  # type: ignore[name-defined] # noqa: F821
    import onnx

    kind = value.type.tensor_type
    dtype = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
    shape = ", ".join(d.dim_param or str(d.dim_value) for d in kind.shape.dim)
    return f"{value.name}: {dtype} [{shape}]"


def _pt2(file: Path) -> Branch:
    program = read_pt2(file)
    top = Branch(f"{file.name}: PT2, torch {program.torch_version}, {program.nodes} nodes")
    signature = _own_signature("pt2", file)
    if signature is not None:
        _add_signature(top, signature)
    else:
        for title, values in (("inputs", program.inputs), ("outputs", program.outputs)):
            branch = top.add(title)
            for name, dtype, shape in values:
                branch.add(f"{name}: {dtype} [{', '.join(map(str, shape))}]")
    _add_weights(top, program.weights)
    return top


def _torchscript(file: Path) -> Branch:
    signature = _own_signature("ts", file)
    top = Branch(f"{file.name}: TorchScript")
    if signature is None:
        top.add("of another program: its structure is code, which isn't run here")
    else:
        _add_signature(top, signature)
    return top


def _checkpoint(file: Path) -> Branch:
    try:
        held = read_checkpoint(file)
    except OrielError as error:
        if file.suffix in (".pt", ".pth", ".ckpt", ".bin", ".safetensors"):
            raise
        raise OptionError(
            f"{file.name} is nothing that can be shown",
            expected="a metadata.json, .onnx, .pt2, .ts or a checkpoint",
        ) from error
    top = Branch(f"{file.name}: checkpoint")
    rows = [
        (name, str(tensor.dtype).removeprefix("torch."), list(tensor.shape))
        for name, tensor in held.tensors.items()
    ]
    _add_weights(top, rows)
    if held.foreign:
        branch = top.add(f"objects, none of which was made: {len(held.foreign)}")
        for each in held.foreign:
            branch.add(f"{each.place}: {each.name}")
    return top


Weight = tuple[str, str, Sequence[int | str]]
"""Name, dtype and shape."""


def _add_weights(top: Branch, rows: Iterable[Weight]) -> None:
    """Add tensors by the parts of their names, with the number of values of every part."""
    held = list(rows)
    weights = top.add(f"weights: {len(held)} tensors, {_count(held):,} values")
    _add_part(weights, [(name.split("."), row) for row in held for name in [row[0]]])


def _add_part(above: Branch, rows: Sequence[tuple[list[str], Weight]]) -> None:
    parts: dict[str, list[tuple[list[str], Weight]]] = {}
    for way, row in rows:
        parts.setdefault(way[0], []).append((way[1:], row))
    for name, inner in parts.items():
        leaves = [row for way, row in inner if not way]
        for _, dtype, shape in leaves:
            above.add(f"{name}: {dtype} [{', '.join(map(str, shape))}]")
        deeper = [(way, row) for way, row in inner if way]
        if deeper:
            branch = above.add(f"{name}: {_count([row for _, row in deeper]):,} values")
            _add_part(branch, deeper)


def _count(rows: Iterable[Weight]) -> int:
    total = 0
    for _, _, shape in rows:
        size = 1
        for extent in shape:
            size *= extent if isinstance(extent, int) else 1
        total += size
    return total
