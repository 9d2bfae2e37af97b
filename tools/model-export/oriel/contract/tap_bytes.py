"""Checks of a tap's bytes. A tap may hold the outputs that it names and, for a lens, attribution
and a dictionary, the nodes that compute them. An attribution tap may also declare the inputs of the
contract's table, and the tap of a lens pack or a dictionary may refer to tensors in its own file.
Anything else is refused: other weights, functions, subgraphs, metadata. The bytes are read field by
field, since a protobuf parser silently keeps or drops fields that it doesn't know. The same rules
in TypeScript: apps/web/src/contract/validate_tap_bytes.ts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TypeAlias

from oriel.contract.documents import TapRecord, TensorSpecRecord
from oriel.contract.limits import limits

Field: TypeAlias = "int | str | Fields | None"
"""A number, a text, or the fields of a message; None for bytes and lists of numbers, which no check
needs."""
Fields: TypeAlias = dict[int, list[Field]]
"""{field number: its values in order}."""


class TapError(ValueError):
    """A tap can't be appended to a graph; the message says why."""


@dataclass(frozen=True)
class PackFile:
    """The file that holds the tensors of a lens pack's taps."""

    path: str
    bytes: int
    hidden: int
    """Width of the model's residual stream, and so of the maps."""


@dataclass(frozen=True)
class DictionaryFile:
    """The file that holds the tensors of a dictionary's taps."""

    path: str
    bytes: int
    tensors: Mapping[str, tuple[int, ...]]
    """{name in the tap: shape} of each tensor that a tap must have."""
    reads: str
    """Name of the activation that the features are computed from."""


_Messages: TypeAlias = Mapping[str, Mapping[int, str]]


@cache
def _messages(of_pack: bool) -> _Messages:
    rows = limits()["tap"]["messages"]
    if of_pack:
        extra = limits()["lens_tap"]
        rows = rows | extra["messages"] | {"Graph": extra["graph"]}
    return {name: {int(k): v for k, v in fields.items()} for name, fields in rows.items()}


def check_tap_bytes(tap: TapRecord, pack: PackFile | None = None) -> None:
    """Check the bytes of a tap that is valid by its schema. pack: the pack's file, for a tap of a
    lens pack. Raises TapError."""
    rules, outputs = limits()["tap"], tap["outputs"]
    names = {output["name"] for output in outputs}

    def gives(name: str) -> bool:
        given = name in names and re.search(rules["given_name"], name) is not None
        return given or re.match(rules["inner_name"], name) is not None

    graph = _only_graph(tap["bytes"], _messages(pack is not None))
    _check_ports(graph, (), outputs)
    made = _check_nodes(_messages_at(graph, 1), gives)
    if pack is not None:
        _check_stored(_messages_at(graph, 5), pack, made)


def check_dictionary_tap(tap: TapRecord, held: DictionaryFile) -> None:
    """Check the bytes of a dictionary's tap, which is valid by its schema and gives one output. Its
    nodes are of few operators and read the dictionary's activation, its tensors and one another; so
    the tap depends on nothing else of the graph. Raises TapError."""
    rules, (output,) = limits()["dictionary_tap"], tap["outputs"]
    name = output["name"]
    graph = _only_graph(tap["bytes"], _messages(of_pack=True))
    _check_ports(graph, (), tap["outputs"])
    nodes, tensors = _messages_at(graph, 1), _messages_at(graph, 5)
    if len(nodes) > rules["nodes"]:
        raise TapError(f"it has over {rules['nodes']} nodes")
    made = _check_nodes(nodes, lambda given: given == name or given.startswith(f"{name}/"))
    if name not in made:
        raise TapError("its nodes don't give its output")
    found = [str(_single_value(tensor, 8, "name")) for tensor in tensors]
    if sorted(found) != sorted(held.tensors) or not made.isdisjoint(found):
        raise TapError("it has other tensors than the dictionary's encoder")
    for tensor_name, tensor in zip(found, tensors, strict=True):
        if tensor.get(1, []) != list(held.tensors[tensor_name]):
            raise TapError("a tensor has another shape than the dictionary's")
        _check_place(tensor, held.path, held.bytes)
    known = {held.reads, *found}
    for node in nodes:
        if node[4][0] not in rules["operators"]:
            raise TapError("a node is of an operator that no dictionary needs")
        if not known.issuperset(map(str, node.get(1, []))):
            raise TapError("a node reads what is not the dictionary's")
        known.update(map(str, node.get(2, [])))


def check_attribution_bytes(
    text: str, prefix: str, inputs: Sequence[TensorSpecRecord], outputs: Sequence[TensorSpecRecord]
) -> None:
    """Check the bytes of an attribution tap, in valid base64. All tensors that it computes must
    have the tap's own prefix, so that no two taps define the same tensor. Raises TapError."""
    graph = _only_graph(text, _messages(of_pack=False))
    _check_ports(graph, inputs, outputs)
    made = _check_nodes(_messages_at(graph, 1), lambda name: name.startswith(prefix))
    if not made.issuperset(output["name"] for output in outputs):
        raise TapError("its nodes don't give its outputs")


def _only_graph(text: str, known: _Messages) -> Fields:
    try:
        payload = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise TapError("it is no base64") from error
    if base64.b64encode(payload).decode() != text:
        raise TapError("its base64 has bits too many")
    graphs = _messages_at(_read(payload, "Model", known), 7)
    if len(graphs) != 1:
        raise TapError(f"it holds {len(graphs)} graphs")
    return graphs[0]


def _check_ports(
    graph: Fields, inputs: Sequence[TensorSpecRecord], outputs: Sequence[TensorSpecRecord]
) -> None:
    for number, what, declared in ((11, "inputs", inputs), (12, "outputs", outputs)):
        found = [_port(value) for value in _messages_at(graph, number)]
        if found != [_declared_port(port) for port in declared]:
            raise TapError(f"it doesn't hold the {what} that {_NAMED[what]}")


_NAMED = {"inputs": "a tap of its kind has", "outputs": "it names"}


_Port = tuple[Field, Field, list[Field]]
"""Name, number of the dtype, and sizes."""


def _declared_port(port: TensorSpecRecord) -> _Port:
    # The schema also accepts 12.0 as a size.
    shape: list[Field] = [d if isinstance(d, str) else int(d) for d in port["shape"]]
    return port["name"], limits()["tap"]["elements"][port["dtype"]], shape


def _port(value: Fields) -> _Port:
    tensor = _message(_message(value, 2, "type"), 1, "type")
    shape = _message(tensor, 2, "shape")
    sizes = [next(iter(_only_value(dimension).values()))[0] for dimension in _messages_at(shape, 1)]
    return _single_value(value, 1, "name"), _single_value(tensor, 1, "element"), sizes


def _messages_at(fields: Fields, number: int) -> list[Fields]:
    """Return the messages of a field; limits.json says that this one holds no others."""
    return [value for value in fields.get(number, []) if isinstance(value, dict)]


def _only_value(fields: Fields) -> Fields:
    if [len(values) for values in fields.values()] != [1]:
        raise TapError("a dimension is not one size")
    return fields


def _single_value(fields: Fields, number: int, what: str) -> Field:
    values = fields.get(number, [])
    if len(values) != 1:
        raise TapError(f"there are {len(values)} fields for a {what}")
    return values[0]


def _message(fields: Fields, number: int, what: str) -> Fields:
    found = _single_value(fields, number, what)
    assert isinstance(found, dict)
    return found


def _check_nodes(nodes: Sequence[Fields], may_give: Callable[[str], bool]) -> set[str]:
    """Check each node, whose outputs must satisfy `may_give`. Return the names of all outputs."""
    rules = limits()["tap"]
    if len(nodes) > rules["nodes"]:
        raise TapError(f"it has over {rules['nodes']} nodes")
    made: set[str] = set()
    for node in nodes:
        if any(len(node.get(number, [])) > 1 for number in (3, 4, 7)) or not node.get(4):
            raise TapError("a node is not of one operator")
        if node.get(7, [""])[0] not in rules["domains"]:
            raise TapError("a node is of a domain that readers don't have")
        for name in node.get(2, []):
            assert isinstance(name, str)
            if name in made or not may_give(name):
                raise TapError("a node gives what is not the tap's")
            made.add(name)
    return made


def _check_stored(tensors: Sequence[Fields], pack: PackFile, made: set[str]) -> None:
    """Check that each tensor is a matrix or a bias of the stream's width and lies entirely inside
    the pack's file."""
    inner = limits()["tap"]["inner_name"]
    for tensor in tensors:
        name = _single_value(tensor, 8, "name")
        if name in made or re.match(inner, str(name)) is None:
            raise TapError("a tensor has the name of what is not the tap's")
        made.add(str(name))
        if tensor.get(1, []) not in ([pack.hidden], [pack.hidden, pack.hidden]):
            raise TapError("a tensor is not as wide as the stream")
        _check_place(tensor, pack.path, pack.bytes)


def _check_place(tensor: Fields, path: str, size: int) -> None:
    """Check that a tensor holds floats that lie entirely inside a file. size: bytes of the file."""
    item = limits()["lens_tap"]["item_bytes"].get(str(_single_value(tensor, 2, "dtype")))
    if item is None or _single_value(tensor, 14, "place") != 1:
        raise TapError("a tensor is not of floats in the tap's file")
    said = [
        (_single_value(entry, 1, "key"), _single_value(entry, 2, "value"))
        for entry in _messages_at(tensor, 13)
    ]
    if sorted(str(key) for key, _ in said) != ["length", "location", "offset"]:
        raise TapError("a tensor's place is not a location, an offset and a length")
    place = {str(key): str(value) for key, value in said}
    if place["location"] != path:
        raise TapError("a tensor lies in another file than the tap's")
    offset, length = (_whole(place[key]) for key in ("offset", "length"))
    values = prod(extent for extent in tensor.get(1, []) if isinstance(extent, int))
    if length != values * item or offset + length > size:
        raise TapError("a tensor does not fit into the tap's file")


def _whole(text: str) -> int:
    if re.fullmatch("0|[1-9][0-9]{0,14}", text, re.ASCII) is None:
        raise TapError("a tensor's place is no number")
    return int(text)


def _read(message: bytes, kind: str, messages: _Messages) -> Fields:
    known = messages[kind]
    found: Fields = {}
    at = 0
    value: Field
    while at < len(message):
        key, at = _varint(message, at)
        number, wire = key >> 3, key & 7
        form = known.get(number)
        if form is None:
            raise TapError(f"it has field {number} of {kind}, which no tap may have")
        if wire == 0:
            value, at = _varint(message, at)
            if form not in ("varint", "varints"):
                raise TapError(f"field {number} of {kind} is of another type")
        else:
            length = 4
            if wire == 2:
                length, at = _varint(message, at)
            elif wire != 5 or form not in ("fixed32", "floats"):
                raise TapError(f"field {number} of {kind} is of another type")
            if at + length > len(message):
                raise TapError("it ends inside a field")
            value = _value(message[at : at + length], form, messages) if wire == 2 else None
            at += length
        found.setdefault(number, []).append(value)
    return found


def _value(part: bytes, form: str, messages: _Messages) -> Field:
    if form in messages:
        return _read(part, form, messages)
    if form == "text":
        try:
            return part.decode("utf-8")
        except UnicodeDecodeError as error:
            raise TapError("a name is no UTF-8") from error
    if form == "varints":
        for _ in _packed(part):
            pass
    elif form == "floats":
        if len(part) % 4:
            raise TapError("it ends inside a number")
    elif form != "bytes":
        raise TapError(f"a field is of another type than {form}")
    return None


def _packed(part: bytes) -> Iterator[int]:
    at = 0
    while at < len(part):
        value, at = _varint(part, at)
        yield value


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Read a varint of at most ten bytes (64 bits); return it and the position after it."""
    value = 0
    for place in range(10):
        if at + place >= len(message):
            raise TapError("it ends inside a field")
        byte = message[at + place]
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise TapError("a number has over ten bytes")
