"""Metadata of exported modules held to contracts/module_metadata.schema.json, and to what no schema
can say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import cast

from oriel.contract.activation_contract import check_major, check_schema
from oriel.contract.documents import ModuleMetadata, ModuleSignature, StructureNode
from oriel.errors import ContractError, first_few

_SCHEMA = "module_metadata"
_VERSION = ("metadata_version", "1")


def check_metadata(data: object, what: str) -> ModuleMetadata:
    """Return a metadata document. Raises ContractError for another major version, a document that
    breaks its schema, and one whose parts contradict each other."""
    next_step = "export the module again, or use the Oriel that wrote it."
    check_major(data, _VERSION, what, next_step)
    check_schema(_SCHEMA, data, what)
    checked = cast(ModuleMetadata, data)
    _check_sound(checked["signature"], what)
    count = len(checked["signature"]["inputs"])
    if checked["tensor_count"] != count:
        raise ContractError(
            f"{what}: tensor_count is not the number of inputs",
            got=str(checked["tensor_count"]),
            expected=str(count),
        )
    formats = [row["format"] for row in checked["exports"]]
    if len(set(formats)) != len(formats) or set(checked["export_success"]) != set(formats):
        raise ContractError(f"{what}: exports and export_success name other formats")
    for row in checked["exports"]:
        if row["success"] is not checked["export_success"][row["format"]]:
            raise ContractError(f"{what}: {row['format']} has both failed and succeeded")
    return checked


def check_signature(data: object, what: str) -> ModuleSignature:
    """Return the signature that a file carries. Raises ContractError as `check_metadata` does."""
    check_schema(f"{_SCHEMA}#/$defs/signature", data, what)
    checked = cast(ModuleSignature, data)
    _check_sound(checked, what)
    return checked


def _check_sound(signature: ModuleSignature, what: str) -> None:
    for side, root in (
        (signature["inputs"], signature["input_structure"]),
        (signature["outputs"], signature["output_structure"]),
    ):
        names = [row["name"] for row in side]
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ContractError(f"{what}: two tensors have one name", got=first_few(twice))
        for row in side:
            known = {str(axis) for axis in range(len(row["shape"]))}
            if not row["dynamic_axes"].keys() <= known:
                raise ContractError(f"{what}: {row['name']} has no such axis")
        if list(_leaves(root, what)) != names:
            raise ContractError(f"{what}: a structure and the list of its tensors differ")


def _leaves(node: StructureNode, what: str) -> Iterator[str]:
    if node["kind"] == "tensor":
        yield node["name"]
    if len(node.get("keys", ())) != len(node.get("children", ())):
        raise ContractError(f"{what}: a container has more keys than parts, or fewer")
    for child in node.get("children", ()):
        yield from _leaves(child, what)
