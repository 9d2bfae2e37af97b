"""oriel split: the order of its steps. Reads a training checkpoint, finds its networks, and writes
each by itself, all files or none."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel import __version__
from oriel.bundle.atomic_folder import refuse_foreign_folder, replaced_folder
from oriel.checkpoints.read_checkpoint import ReadCheckpoint, read_checkpoint
from oriel.contract.json_value import JsonObject, object_at
from oriel.errors import CheckpointError, OptionError, first_few
from oriel.splitting.components import Component, find_components
from oriel.splitting.inference_script import INFERENCE_SCRIPT, NETWORK, SCRIPT
from oriel.splitting.network_class import (
    NetworkClass,
    NetworkConfig,
    build_network,
    find_config,
    load_class,
)
from oriel.splitting.normalization import NORMALIZATION, Normalization, find_normalization
from oriel.splitting.run_example import run_example
from oriel.splitting.split_report import SplitReport, WrittenComponent
from oriel.splitting.write_component import sha256_of, write_component

CONFIG = "model_config.json"
MADE_BY = "oriel split"


@dataclass(frozen=True, kw_only=True)
class SplitOptions:
    """Flags of `oriel split`; the names match."""

    checkpoint: Path
    output_dir: Path
    no_discriminators: bool = False
    create_inference_script: bool = False
    network: str | None = None
    """FILE.py:CLASS, the class of the generators."""
    components: tuple[str, ...] = ()
    """Prefixes that are networks; empty: those found."""
    normalization: Path | None = None
    unsafe_pickle: bool = False


def split_checkpoint(options: SplitOptions) -> SplitReport:
    """Write the checkpoint's networks into a folder of their own, and return what was written.

    Raises an OrielError, with nothing written, for a checkpoint that can't be read, a network whose
    class doesn't fit, statistics that can't be right, a folder that holds something else.
    """
    check_output_folder(options.output_dir)
    checkpoint = read_checkpoint(options.checkpoint, unsafe_pickle=options.unsafe_pickle)
    found = find_components(checkpoint.tensors, options.components)
    kept = [c for c in found if not (options.no_discriminators and c.role == "discriminator")]
    if not kept:
        raise OptionError(
            "--no-discriminators leaves nothing",
            got=first_few([component.name for component in found]),
            next_step="leave it out, or name the networks to write with --components.",
        )
    normalization = find_normalization(checkpoint, options.normalization)
    plan = _plan(options, checkpoint, kept, normalization)
    target = options.output_dir
    with replaced_folder(target, lambda: check_output_folder(target), movable=False) as folder:
        written = [write_component(component, folder) for component in kept]
        report = _report(options, checkpoint, found, written, normalization)
        _write_rest(folder, plan, report)
    return report


def check_output_folder(folder: Path) -> None:
    """Raise BundleError for a folder that holds anything but what a split wrote: it is replaced
    whole."""
    known: set[str] = set()
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        config = None
    # Without a config of ours, whatever is there is someone else's.
    if isinstance(config, dict) and config.get("made_by") == MADE_BY:
        own = (CONFIG, NORMALIZATION, SCRIPT, NETWORK, "__pycache__")
        known = {*own, *object_at(config, "files")}
    refuse_foreign_folder(folder, known.__contains__, "--output-dir")


@dataclass(frozen=True)
class _Plan:
    """The facts that are known before anything is written."""

    generators: dict[str, Component]
    """By direction, such as A_to_B."""
    network: NetworkClass | None
    config: NetworkConfig
    features: dict[str, int]
    """Number of features that each direction's generator takes."""
    script: bool


def _plan(
    options: SplitOptions,
    checkpoint: ReadCheckpoint,
    kept: Sequence[Component],
    normalization: Normalization | None,
) -> _Plan:
    generators = _generators(kept)
    stored = _stored_settings(checkpoint)
    network = None if options.network is None else load_class(options.network)
    config = NetworkConfig(stored, dict.fromkeys(stored, "checkpoint"))
    if network is not None:
        if not generators:
            raise CheckpointError(
                f"no network in {checkpoint.file.name} is a generator by its name",
                got=first_few([component.name for component in kept]),
                expected="a name such as generator_A_to_B, G_AB or netG_A",
                next_step="leave out --network, or name the generators with --components.",
            )
        first, *others = generators.values()
        config = find_config(network, first.tensors, stored)
        for other in others:
            build_network(network, config.arguments, other.tensors)
    features = {
        direction: len(normalization.statistics[direction[0]]["mean"])
        if normalization is not None
        else _input_width(component)
        for direction, component in generators.items()
    }
    return _Plan(generators, network, config, features, options.create_inference_script)


def _generators(kept: Sequence[Component]) -> dict[str, Component]:
    generators = [component for component in kept if component.role == "generator"]
    by_direction = {c.direction: c for c in generators if c.direction is not None}
    if len(by_direction) == len(generators):
        return {str(d): by_direction[d] for d in sorted(by_direction)}
    # Names that say no direction: in the order of the checkpoint, which is that of the module.
    return {str(d): c for d, c in zip(("A_to_B", "B_to_A"), generators, strict=False)}


def _stored_settings(checkpoint: ReadCheckpoint) -> JsonObject:
    """Return the settings that the checkpoint stores: those of the generator if it has a place for
    them, over the training's own."""
    settings: JsonObject = {}
    for place in ("hyper_parameters", "hparams", "config", "args", "opt"):
        settings |= object_at(checkpoint.data, place)
    for around in (checkpoint.data, dict(settings)):
        for name in ("generator_config", "generator", "gen_config"):
            settings |= object_at(around, name)
    return {key: value for key, value in settings.items() if not isinstance(value, dict)}


def _input_width(component: Component) -> int:
    """Return the number of inputs of a network's first matrix, Linear's or a convolution's."""
    matrices = [tensor for tensor in component.tensors.values() if tensor.dim() >= 2]
    return int(matrices[0].shape[1]) if matrices else 1


def _report(
    options: SplitOptions,
    checkpoint: ReadCheckpoint,
    found: Sequence[Component],
    written: Sequence[WrittenComponent],
    normalization: Normalization | None,
) -> SplitReport:
    names = {component.name for component in written}
    return SplitReport(
        checkpoint=options.checkpoint,
        checkpoint_bytes=options.checkpoint.stat().st_size,
        keys=len(checkpoint.tensors),
        output_dir=options.output_dir,
        written=tuple(written),
        left_out=tuple(component for component in found if component.name not in names),
        other_tensors=len(checkpoint.other_tensors),
        other_bytes=sum(tensor.nbytes for tensor in checkpoint.other_tensors.values()),
        foreign=checkpoint.foreign,
        normalization=None if normalization is None else normalization.found_in,
        statistics=None if normalization is None else normalization.statistics,
        needs_network=options.create_inference_script and options.network is None,
    )


def _write_rest(folder: Path, plan: _Plan, report: SplitReport) -> None:
    """Write the documents and the example beside the tensors, and run the example."""
    if report.statistics is not None:
        _write_json(folder / NORMALIZATION, report.statistics)
    if plan.network is not None:
        source = plan.network.file.read_bytes()
        (folder / NETWORK).write_bytes(source)
    document: JsonObject = {
        "made_by": MADE_BY,
        "oriel_version": __version__,
        "checkpoint": {
            "file": report.checkpoint.name,
            "bytes": report.checkpoint_bytes,
            "sha256": sha256_of(report.checkpoint),
        },
        "network": None if plan.network is None else {"file": NETWORK, "class": plan.network.name},
        "generator_config": plan.config.arguments,
        "generator_config_sources": {**plan.config.sources},
        "directions": {d: component.name for d, component in plan.generators.items()},
        "features": {**plan.features},
        **report.to_json(),
    }
    _write_json(folder / CONFIG, document)
    if plan.script:
        (folder / SCRIPT).write_text(INFERENCE_SCRIPT, encoding="utf-8")
        if plan.network is not None:
            run_example(folder)


def _write_json(file: Path, document: Mapping[str, object]) -> None:
    file.write_text(
        json.dumps(document, indent=2, allow_nan=False) + "\n",
        encoding="utf-8",
    )
