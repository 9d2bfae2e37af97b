"""Types of the contract's data files, which no schema describes: activations.json,
limits.json and browser_memory.json."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

GraphKind = Literal["plain", "decoder", "open", "static", "interactive"]
"""Kinds of graphs: `interactive` exists in contract 1.x only; `decoder` and `open` since 2.0,
`static` since 2.1."""
Dtype = Literal["float32", "int64"]
ClosingDtype = Literal["float32", "bool"]


class Meaning(TypedDict):
    """A text in both languages."""

    en: str
    zh: str


class PeerName(TypedDict):
    """The name that another library has for an activation."""

    name: str
    rotary: NotRequired[str]
    """Its name in models with rotary positions, where that is another."""
    shape: NotRequired[list[str]]
    """Dimensions in the library's order, where they differ from the contract's; `a * b` is both in
    one axis."""


class Peer(TypedDict):
    """A library whose names stand beside ours."""

    title: str
    package: str
    """The release that the names were compared with, as pip takes it."""


PeerId = Literal["transformer_lens_3", "transformer_lens_4", "interp_engine"]


class ActivationRow(TypedDict):
    """One kind of activation."""

    kind: str
    name: str
    per_layer: bool
    shape: list[int | str]
    shape_when: NotRequired[dict[str, list[int | str]]]
    """{property of the model, or size that isn't 0: the shape in a model that has it}; the first
    that a model has counts."""
    dtype: Dtype
    required: NotRequired[str]
    range: NotRequired[list[float]]
    rule: NotRequired[str]
    absent_when: NotRequired[str]
    """The model's property, or size that isn't 0, with which the activation doesn't exist."""
    present_when: NotRequired[str]
    """The one without which it doesn't."""
    joint: NotRequired[bool]
    peers: dict[PeerId, PeerName | None]
    meaning: Meaning


class PortRow(TypedDict):
    """An input of a graph, or an output of its key/value cache."""

    name: str
    shape: list[int | str]
    dtype: Dtype
    graphs: list[GraphKind]
    neutral: NotRequired[float]
    absent_when: NotRequired[str]
    """The model's property with which no graph has the port."""
    present_when: NotRequired[str]
    """The property, or size that isn't 0, without which none does."""
    meaning: Meaning


class ClosingInput(TypedDict):
    """A tensor that an edit takes; it broadcasts to the joint."""

    name: str
    dtype: ClosingDtype
    neutral: float
    width: NotRequired[int]
    """Size of its last dimension where that isn't the joint's."""


class ClosingNode(TypedDict):
    """A node of a closing: its names have {in}, {out} and {at} in the place of the joint's."""

    op: str
    inputs: list[str]
    outputs: list[str]
    int64s: NotRequired[list[int]]
    floats: NotRequired[list[float]]


class ClosingRow(TypedDict):
    """A way of closing a joint of the open graph."""

    closing: str
    direction: NotRequired[bool]
    """True where the joint's last dimension must have a fixed size."""
    inputs: list[ClosingInput]
    nodes: list[ClosingNode]
    meaning: Meaning


AttributionPart = Literal["model", "layer", "neurons"]
"""Scope of an attribution tap: the whole model, a layer, or the neurons of a layer."""


class AttributionPort(TypedDict):
    """An input of attribution taps."""

    name: str
    shape: list[int | str]
    dtype: Dtype
    meaning: Meaning


class AttributionOutput(AttributionPort):
    """An output of an attribution tap; all outputs of one tap share a prefix."""

    part: AttributionPart


class AttributionTable(TypedDict):
    """Inputs and outputs of attribution taps."""

    dimensions: dict[str, str]
    inputs: list[AttributionPort]
    outputs: list[AttributionOutput]


class EarlierVersion(TypedDict):
    """The newest version of the major before, which readers read too."""

    version: str
    graphs: list[GraphKind]
    dimensions: dict[str, str]
    """{name of a dynamic dimension: its name in that version}."""


class Defaults(TypedDict):
    """Choices of an export for which no option is given."""

    layers: str
    activations: list[str]
    lens_k: int


class ContractTable(TypedDict):
    """activations.json."""

    contract_version: str
    dimensions: dict[str, str]
    dynamic_dimensions: list[str]
    peers: dict[PeerId, Peer]
    activations: list[ActivationRow]
    inputs: list[PortRow]
    cache_outputs: list[PortRow]
    closings: list[ClosingRow]
    attribution: AttributionTable
    defaults: Defaults
    earlier: EarlierVersion


class JsonLimits(TypedDict):
    """Limits of any JSON text."""

    bytes: int
    depth: int
    values: int
    string_length: int
    number_length: int
    largest_number: int
    refused_keys: list[str]


class ManifestLimits(TypedDict):
    """Limits of the sums over a manifest."""

    file_bytes: int
    total_bytes: int
    chunks: int
    taps: int
    tap_characters: int


class PassLimits(TypedDict):
    """Size limits of a file of stored activations."""

    bytes: int


class TapLimits(TypedDict):
    """Limits of a tap's bytes."""

    nodes: int
    domains: list[str]
    elements: dict[str, int]
    """{dtype: its number in ONNX}."""
    given_name: str
    """Pattern of the outputs that a tap's nodes may give: no joint of an open graph is among
    them."""
    inner_name: str
    messages: dict[str, dict[str, str]]
    """{message: {number of a field: its type}}."""


class LensTapLimits(TypedDict):
    """Fields that the tap of a lens pack may have in addition to those of any tap."""

    graph: dict[str, str]
    """Fields of Graph, which replace those that other taps may have."""
    messages: dict[str, dict[str, str]]
    item_bytes: dict[str, int]
    """{number of a dtype in ONNX: bytes of a value}, for the tensors of the pack's file."""


class DictionaryTapLimits(TypedDict):
    """Limits of a dictionary's tap, which may have the fields of a lens pack's."""

    nodes: int
    operators: list[str]


class Limits(TypedDict):
    """limits.json."""

    about: str
    json: JsonLimits
    manifest: ManifestLimits
    first_pass: PassLimits
    reference_pass: PassLimits
    tap: TapLimits
    lens_tap: LensTapLimits
    dictionary_tap: DictionaryTapLimits


class BrowserMemory(TypedDict):
    """browser_memory.json."""

    about: str
    file_bytes: int
    """Largest size of one file."""
    heap_bytes: int
    """Bytes of WebAssembly's memory that the runtime may take."""
    runtime_share: dict[str, float]
    """{kernels: the runtime's own memory in WebAssembly, as a multiple of the weights that it
    reads}."""
    without_gpu_kernels: list[str]
    """Kernels that WebGPU doesn't have."""
