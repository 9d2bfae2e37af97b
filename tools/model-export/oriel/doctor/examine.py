"""Examination of a checkpoint: its findings in the order in which an export meets them. Weights
stay unread; only their names, dtypes and shapes are looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from oriel.checkpoints.tensors import DecodedTensor, StoredTensor, stored_tensors
from oriel.contract.activation_names import ModelShape
from oriel.contract.json_value import JsonObject
from oriel.doctor.examine_tokenizer import tokenizer_findings
from oriel.doctor.finding import Finding, refusal
from oriel.doctor.refused_settings import refused_settings
from oriel.doctor.try_capture import try_capture
from oriel.doctor.variant_sizes import VariantSize, gigabytes, variant_sizes
from oriel.errors import CheckpointError, HubError, OrielError
from oriel.models.architectures import Architecture, describe
from oriel.models.find_checkpoint import FoundCheckpoint
from oriel.models.hub import fetch_from_hub
from oriel.models.hub_tensors import hub_tensors
from oriel.models.load_model import (
    check_sizes,
    config_errors,
    export_config,
    read_architecture,
    wanted_tensors,
)
from oriel.models.match_parameters import match_tensors
from oriel.models.merge_adapter import merge_adapter
from oriel.models.model_spec import ModelSpec, make_spec
from oriel.models.no_checkpoint import adapter_beside, checkpoints_beside
from oriel.models.quantization import quantization_of
from oriel.models.weight_files import weight_files

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Examination:
    """The findings about a checkpoint, and what its variants would weigh."""

    found: FoundCheckpoint
    findings: tuple[Finding, ...]
    variants: tuple[VariantSize, ...] = ()
    chat_templates: tuple[tuple[str, str], ...] = ()
    """(name, Jinja text) of each."""

    @property
    def works(self) -> bool:
        """True if an export will not be refused."""
        return all(finding.verdict != "refused" for finding in self.findings)

    def to_json(self) -> JsonObject:
        return {
            "model": self.found.name,
            "source": self.found.kind,
            "works": self.works,
            "findings": [finding.to_json() for finding in self.findings],
            "variants": [variant.to_json() for variant in self.variants],
            "chat_templates": dict(self.chat_templates),
        }


def examine(found: FoundCheckpoint) -> Examination:
    """Examine a checkpoint. Whatever an export would refuse is a finding, and the examination goes
    on as far as it can."""
    findings: list[Finding] = []
    if found.note:
        findings.append(Finding("checkpoint", "notice", found.note))
    spec = _spec(found, findings)
    variants: tuple[VariantSize, ...] = ()
    if spec is not None:
        findings += _tensor_findings(found, spec)
        variants = tuple(variant_sizes(spec))
        findings.append(_browser_finding(variants))
    else:
        findings += _weight_file_findings(found)
    vocab = None if spec is None else spec.shape.vocab
    eos = None if spec is None else getattr(spec.config, "eos_token_id", None)
    tokenizer, templates = tokenizer_findings(found.folder, vocab, eos)
    findings += tokenizer
    adapter = None if found.adapter else adapter_beside(found.folder)
    for text in (adapter, checkpoints_beside(found.folder)):
        if text is not None:
            findings.append(Finding("checkpoint", "notice", text))
    return Examination(found, tuple(findings), variants, tuple(templates.items()))


def _spec(found: FoundCheckpoint, findings: list[Finding]) -> ModelSpec | None:
    """Return what config.json describes, with findings about it; None where it is no model."""
    try:
        architecture = read_architecture(found.folder)
    except OrielError as error:
        findings.append(refusal("architecture", error))
        return None
    try:
        with config_errors(found.folder):
            config = export_config(found.folder)
            refused = refused_settings(config, architecture.check_config)
    except OrielError as error:
        findings.append(refusal("settings", error))
        return None
    findings += [refusal("settings", error) for error in refused]
    try:
        return _described(found, config, findings)
    except OrielError as error:
        # What a refused setting leads to is no further problem.
        if not refused:
            findings.append(refusal("settings", error))
        return None


def _described(
    found: FoundCheckpoint,
    config: PreTrainedConfig,
    findings: list[Finding],
) -> ModelSpec | None:
    is_refused = any(finding.verdict == "refused" for finding in findings)
    with config_errors(found.folder):
        architecture = describe(config)
        unshaped = refused_settings(config, architecture.shape)
        findings += [refusal("settings", error) for error in unshaped]
        if unshaped:
            return None
        shape = architecture.shape(config)
    check_sizes(shape, found.folder)
    with config_errors(found.folder):
        spec = make_spec(config, architecture, shape)
        told = None if is_refused else try_capture(spec)
    findings.append(_architecture_finding(architecture, shape))
    if told is not None:
        findings.append(refusal("capture", told))
    return spec


def _architecture_finding(architecture: Architecture, shape: ModelShape) -> Finding:
    return Finding(
        "architecture",
        "ok",
        f"{architecture.model_type}: {shape.layers} layers of width {shape.hidden}, {shape.heads} "
        f"heads, a vocabulary of {shape.vocab}, a context of {shape.context_length} tokens; "
        f"head: {_head(shape)}",
    )


def _head(shape: ModelShape) -> str:
    if shape.labels:
        labels = f"{shape.labels} label{'s' if shape.labels > 1 else ''}"
        return (
            f"sequence classification, {labels}"
            if shape.pooled
            else f"token classification, {labels}"
        )
    return "masked language model" if shape.bidirectional else "causal language model"


def _tensor_findings(found: FoundCheckpoint, spec: ModelSpec) -> Iterator[Finding]:
    wanted = wanted_tensors(spec)
    try:
        checkpoint, problems = match_tensors(found.folder, wanted, _same_form, _elsewhere(found))
        if found.adapter is not None and not problems:
            checkpoint = merge_adapter(checkpoint, found.adapter, wanted)
    except (CheckpointError, HubError) as error:
        yield refusal("tensors", error)
        return
    yield from (refusal("tensors", problem) for problem in problems)
    yield from (Finding("tensors", "notice", note) for note in checkpoint.notes)
    if not problems:
        stored = list(checkpoint.tensors.values())
        files = len({tensor.file for tensor in stored})
        yield Finding(
            "tensors",
            "ok",
            f"{len(stored)} tensors in {files} file{'s' if files > 1 else ''}, "
            f"{checkpoint.parameters:,} parameters: {_dtypes(stored)}; exported as float32",
        )


def _elsewhere(found: FoundCheckpoint) -> dict[str, StoredTensor] | None:
    """Return the tensors of a Hub model whose weights aren't in the cache; None where the folder
    has them."""
    if found.kind != "hub" or any(found.folder.glob("*.safetensors")):
        return None
    tensors = hub_tensors(found.id, found.revision)
    if tensors is None:
        # Only whole pickles say what is in them.
        fetch_from_hub(found.id, found.revision, None)
    return tensors


def _weight_file_findings(found: FoundCheckpoint) -> Iterator[Finding]:
    """Yield what is wrong with the files of weights where nothing says which tensors they need."""
    try:
        quantization_of(found.folder)
        if found.kind == "hub":
            return
        for _ in stored_tensors(weight_files(found.folder)):
            pass
    except CheckpointError as error:
        yield refusal("tensors", error)


def _same_form(one: StoredTensor, other: StoredTensor) -> bool:
    """Take two copies of one weight for the same where their shapes are: values stay unread."""
    return one.shape == other.shape


def _dtypes(stored: list[StoredTensor]) -> str:
    values: Counter[str] = Counter()
    for tensor in stored:
        first = tensor
        while isinstance(first, DecodedTensor):
            first = first.parts[0]
        values[first.dtype] += prod(tensor.shape)
    whole = sum(values.values()) or 1
    return ", ".join(f"{dtype} {count / whole:.0%}" for dtype, count in values.most_common())


def _browser_finding(variants: tuple[VariantSize, ...]) -> Finding:
    opened_by = {size.name: " or ".join(size.opens_on) or "too large" for size in variants}
    sizes = ", ".join(
        f"{size.name} {gigabytes(size.bytes)} ({opened_by[size.name]})" for size in variants
    )
    if any("wasm" in variant.opens_on for variant in variants):
        return Finding("browser", "ok", f"variants and what opens them in a browser: {sizes}")
    opened = any(variant.opens_on for variant in variants)
    return Finding(
        "browser",
        "notice",
        "the page can open it with WebGPU alone" if opened else "the page can't open any variant",
        got=sizes,
        expected="files up to 2 GB, and 3.5 GB of WebAssembly's memory",
        next_step="write the smallest with --precision int4; `oriel run` and Python open all."
        if opened
        else "use it from Python, or export a smaller model.",
    )
