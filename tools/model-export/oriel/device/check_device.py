"""Replays a bundle's reference passes on this machine, variant by variant, as the page does on a
reader's device."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import onnxruntime

from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import tapped_graph
from oriel.device.fetch_bundle import bring_variant, open_manifest
from oriel.device.webgpu_provider import webgpu_device, webgpu_version
from oriel.errors import BundleError, GraphError
from oriel.progress import StageDisplay
from oriel.reference_pass.compare_pass import PassComparison, compare_pass
from oriel.reference_pass.pass_file import read_pass
from oriel.runtime.every_activation import every_activation
from oriel.runtime.onnx_graph import SPARING, SessionSettings
from oriel.runtime.weight_folders import WeightFolders, choose_variant

Provider = Literal["cpu", "webgpu"]
PROVIDERS: tuple[Provider, ...] = ("cpu", "webgpu")
Verdict = Literal["right", "wrong", "not run", "no pass"]


@dataclass(frozen=True)
class VariantOnDevice:
    """Result of comparing one variant with its reference pass."""

    variant: str
    verdict: Verdict
    reference: str | None = None
    """Source of the reference numbers, as the manifest names it."""
    comparison: PassComparison | None = None
    reason: str | None = None
    """Reason why the variant could not be run; None if it was."""

    def line(self) -> str:
        """Return the result in one line."""
        if self.comparison is None:
            told = {"no pass": "not proven: the bundle stores no reference pass of it"}
            return f"{self.variant}: {told.get(self.verdict, f'not run: {self.reason}')}"
        worst, first = self.comparison.worst, self.comparison.first
        if first is None:
            return (
                f"{self.variant}: matches {self.reference} to {worst.error:.2g}; worst {worst.name}"
            )
        return (
            f"{self.variant}: WRONG, first at {first.name}, off by {first.error:.2g} where "
            f"at most {first.bound:.2g} is allowed; worst {worst.name}, {worst.error:.2g}"
        )

    def to_json(self) -> dict[str, object]:
        found = self.comparison
        return {
            "variant": self.variant,
            "verdict": self.verdict,
            "reference": self.reference,
            "compared": 0 if found is None else found.compared,
            "worst": None if found is None else found.worst.to_json(),
            "first": None if found is None or found.first is None else found.first.to_json(),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class DeviceReport:
    """Results of all variants on one execution provider."""

    place: str
    provider: Provider
    runtime: str
    variants: Sequence[VariantOnDevice]

    @property
    def passed(self) -> bool:
        """Return whether every variant is right. On WebGPU, variants whose kernels are missing
        ("not run") are allowed if at least one other is right."""
        verdicts = {found.verdict for found in self.variants}
        return verdicts <= ({"right"} if self.provider == "cpu" else {"right", "not run"}) and (
            "right" in verdicts
        )

    def to_json(self) -> dict[str, object]:
        return {
            "place": self.place,
            "provider": self.provider,
            "runtime": self.runtime,
            "machine": f"{platform.system()} {platform.machine()}",
            "passed": self.passed,
            "variants": [found.to_json() for found in self.variants],
        }


def check_device(
    place: str, variant: str | None, provider: Provider, display: StageDisplay
) -> DeviceReport:
    """Replay the reference passes of a bundle and compare every activation.

    place: the bundle's folder, a published folder, or an http(s) address. variant: name of one
    variant; None for all.

    Raises BundleError if there is no bundle, a file doesn't match the manifest, or no variant has a
    reference pass; OptionError if the variant doesn't exist or the provider is unavailable.
    """
    settings = _settings(provider)
    display.stage(f"read {place}")
    manifest, read = open_manifest(place)
    chosen = manifest.variants
    if variant is not None:
        chosen = [choose_variant(manifest.variants, variant)]
    if not any("reference_pass" in each for each in chosen):
        raise BundleError(
            "there is nothing to compare with",
            got=f"no reference pass in {place}",
            expected="one for each variant, as exports of contract 2.1 have",
            next_step="export the bundle again, and publish that.",
        )
    found: list[VariantOnDevice] = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="oriel-device-")))
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="oriel-device-")))
        weights = WeightFolders(folder, scratch)
        for each in chosen:
            if "reference_pass" in each:
                display.stage(f"fetch {each['name']}")
                bring_variant(manifest, each, read, folder, display)
                display.stage(f"run {each['name']}")
            found.append(replay(each, folder, weights, settings))
    return DeviceReport(place, provider, _runtime(provider), found)


def replay(
    variant: Variant, folder: Path, weights: WeightFolders, settings: SessionSettings = SPARING
) -> VariantOnDevice:
    """Run a variant's reference pass and compare. Raises BundleError if the pass can't be read."""
    name, record = variant["name"], variant.get("reference_pass")
    if record is None:
        return VariantOnDevice(name, "no pass")
    shape = ModelShape.from_json(tapped_graph(variant)["activations"]["model"])
    stored = read_pass((folder / record["path"]).read_bytes(), record, shape)
    try:
        graph = (folder / tapped_graph(variant)["path"]).read_bytes()
        got = every_activation(variant, graph, weights.of(variant), stored.ids, settings)
    except GraphError as error:
        return VariantOnDevice(name, "not run", record["runtime"], reason=error.got)
    comparison = compare_pass(got, stored, record)
    verdict: Verdict = "right" if comparison.passed else "wrong"
    return VariantOnDevice(name, verdict, record["runtime"], comparison)


def _settings(provider: Provider) -> SessionSettings:
    return SPARING if provider == "cpu" else SessionSettings(devices=(webgpu_device(),))


def _runtime(provider: Provider) -> str:
    own = f"ONNX Runtime {onnxruntime.__version__}"
    return own if provider == "cpu" else f"{own}, WebGPU plugin {webgpu_version()}"
