"""Names and shapes of the contract, read from contracts/activations.json: the only place in Python
that knows how a name is made. Documents and their schemas are in activation_contract.py."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Literal, cast

from oriel.contract.data_files import ContractTable, Dtype, GraphKind, PortRow
from oriel.contract.documents import LayerSizesRecord, ModelShapeRecord, TensorSpecRecord


def contracts_folder() -> Path:
    """The repository's contracts/, or the copy inside an installed package."""
    inside = Path(__file__).parent / "data"
    return inside if inside.is_dir() else Path(__file__).resolve().parents[4] / "contracts"


@cache
def contract_table() -> ContractTable:
    """contracts/activations.json."""
    table: ContractTable = json.loads(
        (contracts_folder() / "activations.json").read_text(encoding="utf-8")
    )
    return table


def contract_version() -> str:
    """major.minor of the contract that this code writes."""
    return contract_table()["contract_version"]


def newest_version(major: str) -> str | None:
    """Return the newest version of a major that this code reads; None for a major unknown to it."""
    table = contract_table()
    versions = (table["contract_version"], table["earlier"]["version"])
    return next((v for v in versions if v.partition(".")[0] == major), None)


@dataclass(frozen=True)
class LayerSizes:
    """Sizes of one layer, in place of the model's; None where they are the same."""

    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    value_dim: int | None = None
    intermediate: int | None = None
    window: int | None = None
    experts: int | None = None
    active_experts: int | None = None

    def to_json(self) -> LayerSizesRecord:
        return cast(LayerSizesRecord, self.given())

    def given(self) -> dict[str, int]:
        """{name: size} of those that differ from the model's."""
        return {name: int(size) for name, size in vars(self).items() if size is not None}

    @staticmethod
    def from_json(data: LayerSizesRecord) -> LayerSizes:
        known = {field.name for field in fields(LayerSizes)}
        sizes = cast(Mapping[str, int], data)
        return LayerSizes(**{name: int(size) for name, size in sizes.items() if name in known})


@dataclass(frozen=True)
class ModelShape:
    """The sizes that the contract's symbolic dimensions stand for, and the properties that decide
    which activations there are."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocab: int
    context_length: int
    parallel_residual: bool = False
    value_dim: int | None = None
    """None: as wide as head_dim."""
    gated_mlp: bool = False
    raw_outputs: bool = False
    attention_sinks: bool = False
    bidirectional: bool = False
    post_norm: bool = False
    """The stream passes a norm after each sum."""
    token_types: int = 0
    """Segments that token_type_ids tells apart; 0: there is no such input."""
    labels: int = 0
    """Labels that logits are over, in the place of the vocabulary; 0 of a language model."""
    pooled: bool = False
    """Logits are of whole texts, made of one vector for each."""
    window: int = 0
    """Last tokens that a token sees, and as many next ones where bidirectional; 0: all."""
    experts: int = 0
    """0: a layer has one MLP and no router."""
    active_experts: int | None = None
    layer_sizes: tuple[LayerSizes, ...] = ()
    """One for each layer, or none where all layers have the model's sizes."""

    @property
    def scored(self) -> int:
        """Size of the last dimension of logits: the labels, or the vocabulary."""
        return self.labels or self.vocab

    @property
    def lens_k(self) -> int:
        """Tokens that the logit lens gives for each position."""
        return min(contract_table()["defaults"]["lens_k"], self.vocab)

    def at(self, layer: int | None) -> ModelShape:
        """The shape with the sizes of a layer in place of the model's."""
        if layer is None or layer >= len(self.layer_sizes):
            return self
        given = self.layer_sizes[layer].given()
        return replace(self, layer_sizes=(), **given)  # type: ignore[arg-type]

    def size(self, dimension: str) -> int:
        """Size of a dimension that the model fixes, by its name in the contract."""
        if dimension == "value_dim" and self.value_dim is None:
            return self.head_dim
        return int(getattr(self, dimension))

    def to_json(self) -> ModelShapeRecord:
        record: ModelShapeRecord = {
            "layers": self.layers,
            "hidden": self.hidden,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
            "head_dim": self.head_dim,
            "intermediate": self.intermediate,
            "vocab": self.vocab,
            "context_length": self.context_length,
            "parallel_residual": self.parallel_residual,
        }
        optional = {name: getattr(self, name) for name in _OPTIONAL if getattr(self, name)}
        if self.layer_sizes:
            optional["layer_sizes"] = [sizes.to_json() for sizes in self.layer_sizes]
        return cast(ModelShapeRecord, {**record, **optional})

    @staticmethod
    def from_json(data: ModelShapeRecord) -> ModelShape:
        """From a document that keeps its schema, where 12.0 is an integer too."""
        width, active = data.get("value_dim"), data.get("active_experts")
        return ModelShape(
            layers=int(data["layers"]),
            hidden=int(data["hidden"]),
            heads=int(data["heads"]),
            kv_heads=int(data["kv_heads"]),
            head_dim=int(data["head_dim"]),
            intermediate=int(data["intermediate"]),
            vocab=int(data["vocab"]),
            context_length=int(data["context_length"]),
            parallel_residual=data["parallel_residual"],
            value_dim=None if width is None else int(width),
            gated_mlp=data.get("gated_mlp", False),
            raw_outputs=data.get("raw_outputs", False),
            attention_sinks=data.get("attention_sinks", False),
            bidirectional=data.get("bidirectional", False),
            post_norm=data.get("post_norm", False),
            token_types=int(data.get("token_types", 0)),
            labels=int(data.get("labels", 0)),
            pooled=data.get("pooled", False),
            window=int(data.get("window", 0)),
            experts=int(data.get("experts", 0)),
            active_experts=None if active is None else int(active),
            layer_sizes=tuple(map(LayerSizes.from_json, data.get("layer_sizes", []))),
        )


_OPTIONAL = (
    "value_dim",
    "gated_mlp",
    "raw_outputs",
    "attention_sinks",
    "bidirectional",
    "post_norm",
    "token_types",
    "labels",
    "pooled",
    "window",
    "experts",
    "active_experts",
)
"""Properties that a document leaves out where they are nothing."""


@dataclass(frozen=True)
class TensorSpec:
    """A graph's input or output: its name, dtype, and shape with dynamic dimensions by name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]

    def sizes(self, batch: int, seq: int, past: int = 0) -> tuple[int, ...]:
        """Return the shape in a run that feeds `seq` tokens and wants logits of all."""
        known = {
            "batch_size": batch,
            "sequence_length": seq,
            "past_sequence_length": past,
            "total_sequence_length": past + seq,
            "num_logits": seq,
        }
        # A document of the major before has its own names for the same.
        known |= {old: known[new] for new, old in contract_table()["earlier"]["dimensions"].items()}
        return tuple(known[d] if isinstance(d, str) else d for d in self.shape)

    def to_json(self) -> TensorSpecRecord:
        # Only specifications of the contract are written; what else a file declares is compared.
        record = {"name": self.name, "dtype": self.dtype, "shape": list(self.shape)}
        return cast(TensorSpecRecord, record)

    @staticmethod
    def from_json(data: TensorSpecRecord) -> TensorSpec:
        return TensorSpec(data["name"], data["dtype"], tuple(data["shape"]))


@dataclass(frozen=True)
class Kind:
    """A row of the table: what is captured, once or in every layer."""

    kind: str
    name: str
    per_layer: bool
    shape: tuple[int | str, ...]
    dtype: Dtype
    absent_when: str | None
    present_when: str | None
    joint: bool
    shape_when: Mapping[str, tuple[int | str, ...]] = field(default_factory=dict)

    def at(self, layer: int | None = None) -> str:
        """The contract's name of this kind in a layer."""
        return self.name.replace("{L}", str(layer)) if self.per_layer else self.name

    def present_in(self, model: ModelShape, layer: int | None = None) -> bool:
        """Return whether a model has this kind in a layer; without one, whether in any."""
        if layer is None and self.per_layer:
            return any(self.present_in(model, each) for each in range(len(model.layer_sizes) or 1))
        at = model.at(layer)
        if self.absent_when is not None and getattr(at, self.absent_when):
            return False
        return self.present_when is None or bool(getattr(at, self.present_when))

    def layers_of(self, model: ModelShape) -> list[int]:
        """Return the layers that have this kind."""
        return [layer for layer in range(model.layers) if self.present_in(model, layer)]

    def spec(self, model: ModelShape, layer: int | None = None) -> TensorSpec:
        at = model.at(layer)
        special = (shape for trait, shape in self.shape_when.items() if getattr(at, trait))
        shape = next(special, self.shape)
        return TensorSpec(self.at(layer), self.dtype, resolve_shape(shape, at))


@cache
def kinds() -> dict[str, Kind]:
    """Every row of the table, by kind, in the table's order."""
    return {
        row["kind"]: Kind(
            row["kind"],
            row["name"],
            row["per_layer"],
            tuple(row["shape"]),
            row["dtype"],
            row.get("absent_when"),
            row.get("present_when"),
            row.get("joint", False),
            {trait: tuple(shape) for trait, shape in row.get("shape_when", {}).items()},
        )
        for row in contract_table()["activations"]
    }


def selectable_kinds() -> tuple[str, ...]:
    """Every kind that can be given out or left out; logits are always given."""
    return tuple(kind for kind in kinds() if kind != "logits")


LENS_KINDS = ("lens_ids", "lens_probs")


def resolve_shape(shape: Iterable[int | str], model: ModelShape) -> tuple[int | str, ...]:
    """Sizes for the symbols that the model fixes; dynamic dimensions keep their names."""
    dynamic = {name: name for name in contract_table()["dynamic_dimensions"]}
    dynamic |= {"batch or 1": "delta_batch", "seq or 1": "delta_seq"}
    return tuple(
        s if isinstance(s, int) else dynamic[s] if s in dynamic else model.size(s) for s in shape
    )


def activation_spec(name: str, model: ModelShape) -> TensorSpec | None:
    """The specification of an activation by its full name, or None if the model has no such one."""
    found = parse_name(name)
    if found is None:
        return None
    kind, layer = found
    if layer is not None and layer >= model.layers:
        return None
    return kind.spec(model, layer) if kind.present_in(model, layer) else None


def parse_name(name: str) -> tuple[Kind, int | None] | None:
    """(kind, layer) of a contract name; None for any other string."""
    match = re.fullmatch(r"layer_(0|[1-9][0-9]{0,3})_([a-z][a-z_]*)", name)
    if match is None:
        kind = kinds().get(name)
        return None if kind is None or kind.per_layer else (kind, None)
    kind = kinds().get(match.group(2))
    return None if kind is None or not kind.per_layer else (kind, int(match.group(1)))


def kind_of(name: str) -> str:
    """Return the kind of an activation; the name itself of any other tensor."""
    found = parse_name(name)
    return name if found is None else found[0].kind


def all_activations(model: ModelShape) -> list[TensorSpec]:
    """Every activation that the model has, in the order in which it computes them."""
    rows = list(kinds().values())
    first = [kind.spec(model) for kind in rows if kind.kind == "embedding_sum"]
    layers = [
        kind.spec(model, layer)
        for layer in range(model.layers)
        for kind in rows
        if kind.per_layer and kind.present_in(model, layer)
    ]
    last = [
        kind.spec(model)
        for name in ("final_norm", "pooled", "logits")
        if (kind := kinds()[name]).present_in(model)
    ]
    return first + layers + last


def input_specs(model: ModelShape, graph: GraphKind) -> list[TensorSpec]:
    """Inputs of a graph, layer by layer."""
    return _port_specs(contract_table()["inputs"], model, graph)


def cache_output_specs(model: ModelShape) -> list[TensorSpec]:
    """present.{L}.key and .value of every graph but the plain one; none where there is no cache."""
    return _port_specs(contract_table()["cache_outputs"], model, "decoder")


def joint_specs(model: ModelShape) -> list[TensorSpec]:
    """Return the joints of an open graph: tensors that its nodes read and that closings give."""
    joints = [kind for kind in kinds().values() if kind.joint]
    return [
        kind.spec(model, layer)
        for layer in range(model.layers)
        for kind in joints
        if kind.present_in(model, layer)
    ]


def in_terms_of(version: str, spec: TensorSpec) -> TensorSpec:
    """Return a specification with its dynamic dimensions named as that version names them."""
    earlier = contract_table()["earlier"]
    if version.partition(".")[0] != earlier["version"].partition(".")[0]:
        return spec
    names = earlier["dimensions"]
    shape = (d if isinstance(d, int) else names.get(d, d) for d in spec.shape)
    return TensorSpec(spec.name, spec.dtype, tuple(shape))


def _port_specs(table: Iterable[PortRow], model: ModelShape, graph: GraphKind) -> list[TensorSpec]:
    rows = [row for row in table if graph in row["graphs"] and _has_port(model, row)]
    once = [row for row in rows if "{L}" not in row["name"]]
    specs = [TensorSpec(r["name"], r["dtype"], resolve_shape(r["shape"], model)) for r in once]
    for layer in range(model.layers):
        specs += [
            TensorSpec(
                r["name"].replace("{L}", str(layer)),
                r["dtype"],
                resolve_shape(r["shape"], model.at(layer)),
            )
            for r in rows
            if "{L}" in r["name"]
        ]
    return specs


def _has_port(model: ModelShape, row: PortRow) -> bool:
    absent, present = row.get("absent_when"), row.get("present_when")
    if absent is not None and getattr(model, absent):
        return False
    return present is None or bool(getattr(model, present))


def fixed_cache(spec: TensorSpec, length: int) -> TensorSpec:
    """Return a tensor's specification with the fixed sizes that a static graph declares for a cache
    of `length` slots."""
    fixed = {"past_sequence_length": length, "total_sequence_length": length, "num_logits": 1}
    shape = (d if isinstance(d, int) else fixed.get(d, d) for d in spec.shape)
    return TensorSpec(spec.name, spec.dtype, tuple(shape))


def past_name(layer: int, part: Literal["key", "value"]) -> str:
    return f"past_key_values.{layer}.{part}"


def present_name(layer: int, part: Literal["key", "value"]) -> str:
    return f"present.{layer}.{part}"


CACHE_POSITION = "cache_position"
"""Name of the static graph's input that gives the cache slot of each token."""
NUM_LOGITS = "num_logits_to_keep"
"""The input that says of how many last tokens logits are computed; 0 for all."""
LOGITS_START = "logits_start"
"""The input of contract 1.x that says from which token on logits are computed."""


def head_scale_name(layer: int) -> str:
    return f"layer_{layer}_head_scale"


def resid_delta_name(layer: int) -> str:
    return f"layer_{layer}_resid_delta"


def layer_prefix(layer: int) -> str:
    return f"layer_{layer}_"
