"""Checks that need no computing: digests, schemas, ports, opset, and the weights' positions. The
values of weights are checked in weight_checks.py, the graphs' results in numeric_checks.py."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.external_data_helper import ExternalDataInfo, uses_external_data

from oriel.bundle.write_bundle import opset_of
from oriel.contract.activation_contract import check_document
from oriel.contract.activation_names import (
    LENS_KINDS,
    TensorSpec,
    all_activations,
    cache_output_specs,
    fixed_cache,
    in_terms_of,
    input_specs,
)
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import (
    Expansion,
    GraphRecord,
    Variant,
)
from oriel.contract.manifest import Manifest
from oriel.contract.variant_graphs import cache_length_of, graphs_of
from oriel.graph.external_data import check_external_data
from oriel.graph.graph_document import read_document, read_model_record
from oriel.graph.taps import Tap, value_info
from oriel.precision.graphs.kernel_nodes import kernel_nodes, total_nodes
from oriel.runtime.onnx_graph import OnnxGraph
from oriel.verification.report import Findings

_DTYPES: dict[int, str] = {TensorProto.FLOAT: "float32", TensorProto.INT64: "int64"}
OPSETS = range(18, 23)


@dataclass(frozen=True)
class GraphFile:
    """A graph as it is on disk, and the manifest's record of it."""

    kind: GraphKind
    folder: Path
    path: str
    data: bytes
    model: onnx.ModelProto
    record: GraphRecord

    @property
    def outputs(self) -> list[TensorSpec]:
        """Outputs that the manifest declares."""
        return [TensorSpec.from_json(o) for o in self.record["activations"]["outputs"]]


def check_files(manifest: Manifest, folder: Path, findings: Findings) -> None:
    """Check size and SHA-256 of every file that the manifest describes."""
    problems: list[str] = []
    for descriptor in manifest.data["files"]:
        path = descriptor["path"]
        file = folder / path
        if not file.is_file():
            problems.append(f"{path} is missing")
            continue
        size = file.stat().st_size
        if size != descriptor["bytes"]:
            problems.append(f"{path} has {size} bytes, the manifest says {descriptor['bytes']}")
            continue
        with file.open("rb") as handle:
            digest = f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
        if digest != descriptor["digest"]:
            problems.append(
                f"{path} is {digest[:17]}…, the manifest says {descriptor['digest'][:17]}…"
            )
    findings.differences("file_digests", problems, f"{len(manifest.data['files'])} files")


def read_graph_file(
    variant: Variant, kind: GraphKind, folder: Path, findings: Findings
) -> GraphFile | None:
    """Read a graph; add a finding and return None where it can't be read."""
    record = graphs_of(variant)[kind]
    name = f"{kind}_readable"
    with findings.guarded(name):
        data = (folder / record["path"]).read_bytes()
        model = onnx.load_model_from_string(data)
        check_external_data(model, record["path"])
        findings.passed(name, record["path"])
        return GraphFile(kind, folder, record["path"], data, model, record)
    return None


def check_graph(graph: GraphFile, variant: Variant, manifest: Manifest, findings: Findings) -> None:
    """Run onnx.checker; check opset, the contract's document, declared inputs and outputs."""
    kind = graph.kind
    with findings.guarded(f"{kind}_onnx_checker"):
        _check_operators(graph)
        findings.passed(f"{kind}_onnx_checker")
    with findings.guarded(f"{kind}_opset"):
        opset, said = opset_of(graph.model), variant["opset"]
        problems = [] if opset == said else [f"the file has {opset}, the manifest says {said}"]
        if opset not in OPSETS:
            problems.append(f"{opset} is not in {OPSETS.start} to {OPSETS.stop - 1}")
        findings.differences(f"{kind}_opset", problems, f"{opset}")
    with findings.guarded(f"{kind}_contract"):
        document = check_document(read_document(graph.model, graph.path), graph.path)
        problems = []
        if document != graph.record["activations"]:
            problems.append(f"the document in {graph.path} is not the manifest's")
        if document["model"] != manifest.data["model"]["shape"]:
            problems.append(f"{graph.path} states other sizes than the manifest")
        if read_model_record(graph.model) not in (None, manifest.data["model"]):
            problems.append(f"the record of the model in {graph.path} is not the manifest's")
        findings.differences(f"{kind}_contract", problems, "jsonschema, names and shapes")
    with findings.guarded(f"{kind}_ports"):
        found = _declared(graph.model.graph.input), _declared(graph.model.graph.output)
        findings.differences(f"{kind}_ports", port_problems(graph, manifest, *found))


def _check_operators(graph: GraphFile) -> None:
    """Run onnx.checker. A graph with open joints breaks its rule that a tensor is given before it
    is read: the nodes' own rules are checked with all joints among the inputs."""
    if graph.kind not in ("open", "static"):
        onnx.checker.check_model(str(graph.folder / graph.path))
        return
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    joints = graph.record["activations"].get("joints", [])
    model.graph.input.extend(value_info(TensorSpec.from_json(joint)) for joint in joints)
    # Weights become inputs here; another check covers their locations.
    stored = [t for t in model.graph.initializer if t.data_location == TensorProto.EXTERNAL]
    kept = [t for t in model.graph.initializer if t.data_location != TensorProto.EXTERNAL]
    model.graph.input.extend(
        helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in stored
    )
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.checker.check_model(model)


def check_session_ports(
    graph: GraphFile, manifest: Manifest, session: OnnxGraph, findings: Findings
) -> None:
    """Check inputs and outputs as ONNX Runtime sees them."""
    problems = port_problems(graph, manifest, *session.ports())
    findings.differences(f"{graph.kind}_runtime_ports", problems)


def port_problems(
    graph: GraphFile,
    manifest: Manifest,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
) -> list[str]:
    """List names, dtypes, ranks, fixed sizes and dynamic axes that differ from the contract."""
    shape = manifest.shape
    expected = graph.outputs
    version = graph.record["activations"]["contract_version"]
    problems: list[str] = []
    if graph.kind != "plain":
        promised = {spec.name for spec in expected}
        missing = [s.name for s in cache_output_specs(shape) if s.name not in promised]
        problems = [f"the manifest leaves out {name}" for name in missing]
    wanted = [in_terms_of(version, spec) for spec in input_specs(shape, graph.kind)]
    if graph.kind == "static":
        length = cache_length_of(graph.record)
        wanted, expected = ([fixed_cache(spec, length) for spec in s] for s in (wanted, expected))
    problems += _differences(inputs, wanted, "input")
    return problems + _differences(outputs, expected, "output")


def _differences(
    found: Sequence[TensorSpec], expected: Sequence[TensorSpec], what: str
) -> list[str]:
    given = {spec.name: spec for spec in found}
    wanted = {spec.name: spec for spec in expected}
    problems = [f"no {what} {name}" for name in wanted if name not in given]
    problems += [f"unknown {what} {name}" for name in given if name not in wanted]
    problems += [
        f"{what} {name} is {_form(spec)}, should be {_form(wanted[name])}"
        for name, spec in given.items()
        if name in wanted and spec != wanted[name]
    ]
    if len(given) != len(found):
        problems.append(f"an {what} stands twice")
    return problems


def _form(spec: TensorSpec) -> str:
    return f"{spec.dtype} [{', '.join(map(str, spec.shape))}]"


def _declared(ports: Iterable[onnx.ValueInfoProto]) -> list[TensorSpec]:
    specs = []
    for port in ports:
        tensor = port.type.tensor_type
        shape = tuple(
            d.dim_param if d.HasField("dim_param") else int(d.dim_value) for d in tensor.shape.dim
        )
        dtype = _DTYPES.get(tensor.elem_type) or TensorProto.DataType.Name(tensor.elem_type)
        specs.append(TensorSpec(port.name, dtype, shape))
    return specs


def check_taps(taps: Sequence[Tap], manifest: Manifest, findings: Findings) -> None:
    """Check that each activation but logits has a tap, in the contract's form."""
    version = manifest.data["contract_version"]
    every = all_activations(manifest.shape)
    expected = [in_terms_of(version, spec) for spec in every if spec.name != "logits"]
    # One tap of a lens gives ids and probabilities, in this order.
    found = [spec for tap in taps for spec in tap.outputs]
    problems = _differences(
        sorted(found, key=lambda s: s.name), sorted(expected, key=lambda s: s.name), "tap"
    )
    problems += [
        f"tap {tap.outputs[0].name} opens {len(tap.outputs)} outputs"
        for tap in taps
        if len(tap.outputs) != (2 if tap.outputs[0].name.endswith(LENS_KINDS) else 1)
    ]
    findings.differences("taps_complete", problems, f"{len(taps)} taps")


def check_places(graph: GraphFile, locations: Sequence[str], findings: Findings) -> bool:
    """Check that each weight lies whole in the files that the manifest names for it: if not, no
    session should be tried. weight_checks.py compares weights with the checkpoint's."""
    name = f"{graph.kind}_weights"
    problems: list[str] = []
    with findings.guarded(name):
        external = [t for t in graph.model.graph.initializer if uses_external_data(t)]
        for tensor in external:
            place = ExternalDataInfo(tensor)
            if place.location not in locations:
                problems.append(f"{tensor.name} lies in {place.location}, which the manifest omits")
            else:
                problems += _place_problems(graph.folder / place.location, tensor)
        findings.differences(name, problems, f"{len(external)} tensors")
        return not problems
    return False


def _place_problems(file: Path, tensor: TensorProto) -> list[str]:
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape = tuple(tensor.dims)
    said = {entry.key: entry.value for entry in tensor.external_data}
    start, length = int(said.get("offset", 0)), int(said.get("length", 0))
    if length != int(np.prod(shape, dtype=np.int64)) * dtype.itemsize:
        return [f"{tensor.name} has {length} bytes for {list(shape)} {dtype}"]
    size = file.stat().st_size if file.is_file() else 0
    if start < 0 or start + length > size:
        return [f"{tensor.name} lies past the end of {file.name}"]
    return []


def check_expanded_places(graph: GraphFile, expansion: Expansion, findings: Findings) -> None:
    """Check that the graph reads each weight where the expansion puts it."""
    said = {entry["name"]: (entry["at"], tuple(entry["shape"])) for entry in expansion["weights"]}
    problems = []
    for tensor in graph.model.graph.initializer:
        if uses_external_data(tensor):
            places = {entry.key: entry.value for entry in tensor.external_data}
            found = int(places.get("offset", 0)), tuple(tensor.dims)
            if said.get(tensor.name) != found:
                problems.append(
                    f"{tensor.name} is read at {found}, expanded to {said.get(tensor.name)}"
                )
    findings.differences(f"{graph.kind}_weights", problems)


def check_nodes(graph: GraphFile, variant: Variant, findings: Findings) -> None:
    """Check that the manifest counts the same nodes on encoded weights as the graph has."""
    said = variant.get("nodes")
    if said is None:
        return
    with findings.guarded("nodes"):
        bare = onnx.GraphProto()
        bare.CopyFrom(graph.model.graph)
        del bare.node[:]
        # A plain graph with lens outputs has copies of these nodes for them.
        bare.node.extend(n for n in graph.model.graph.node if "_lens/" not in n.name)
        weights = {
            name: uses
            for name, uses in kernel_nodes(bare).items()
            if name not in _float32_weights(graph.model)
        }
        found = total_nodes(weights)
        problems = [f"the graph has {found}, the manifest says {dict(said)}"]
        findings.differences("nodes", problems if found != said else [], str(found))


def _float32_weights(model: onnx.ModelProto) -> set[str]:
    return {t.name for t in model.graph.initializer if t.data_type == TensorProto.FLOAT}
