"""`oriel fidelity`: measure a bundle's variants against PyTorch and write what was found into its
manifest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel.bundle.atomic_folder import write_files_whole
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.documents import Variant
from oriel.contract.manifest import (
    MANIFEST,
    Manifest,
    bundle_folder,
    check_manifest,
    raised_version,
    read_manifest,
)
from oriel.errors import OptionError
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.choose_text import Effort
from oriel.fidelity.measure import EFFORT, chosen_variants, prepare
from oriel.fidelity.record import Fidelity, record_fidelity
from oriel.fidelity.reference_values import ReferenceModel
from oriel.fidelity.run_variant import sent_bytes


@dataclass(frozen=True)
class Measured:
    """A variant, the bytes that a reader downloads of it, and its fidelity."""

    name: str
    precision: str
    bytes: int
    kernels: str
    fidelity: Fidelity
    lossy: bool

    def to_json(self, curve: AgreementCurve) -> dict[str, object]:
        """Return the record; expected_top1 is the agreement to expect of a variant with this KL."""
        return {
            "bytes": self.bytes,
            "lossy": self.lossy,
            "fidelity": self.fidelity.to_json(),
            "expected_top1": curve.at(self.fidelity.kl_mean),
        }


@dataclass(frozen=True)
class MeasuredBundle:
    """The manifest with the results, and the agreement curve of the text measured on."""

    manifest: Manifest
    names: tuple[str, ...]
    """Names of the variants that were measured."""
    curve: AgreementCurve

    @property
    def variants(self) -> list[Measured]:
        return measured_variants(self.manifest, self.names)

    def to_json(self) -> dict[str, object]:
        return {
            "variants": {v.name: v.to_json(self.curve) for v in self.variants},
            "expected_top1_by_kl": self.curve.to_json(),
        }


def measure_bundle(
    path: Path,
    checkpoint: Path | None,
    text: Path | None,
    names: Sequence[str] | None,
    on_stage: Callable[[str], None] = lambda _: None,
    effort: Effort | None = None,
) -> MeasuredBundle:
    """Measure the variants named, or all, of the bundle that is, or holds, `path`, and write their
    fidelity into its manifest. On any error the old manifest is kept.

    checkpoint: a folder; None for the source that the manifest names.
    """
    folder = bundle_folder(path)
    if not path.exists():
        raise OptionError(
            "no such bundle",
            got=str(path),
            expected="an exported folder, or its model.onnx",
            next_step="export one first: export.py --output PATH.",
        )
    manifest = read_manifest(folder)
    variants = chosen_variants(manifest, names)

    def pytorch() -> ReferenceModel:
        # Imported here so that a mistyped name or an empty text is reported without loading torch.
        from oriel.fidelity.pytorch_reference import open_reference

        return open_reference(manifest, checkpoint)

    with prepare(
        manifest, folder, variants, pytorch, text, effort or EFFORT, on_stage
    ) as measurement:
        for variant in variants:
            on_stage(f"measure {variant['name']}")
            record_fidelity(variant, measurement.of(variant))
    # The bundle may have been exported with a manifest version that has no fidelity.
    manifest.data["manifest_version"] = raised_version(manifest.data["manifest_version"])
    check_manifest(manifest.data)
    write_files_whole({folder / MANIFEST: manifest_text(manifest.data).encode()})
    return MeasuredBundle(manifest, tuple(v["name"] for v in variants), measurement.curve)


def measured_variants(manifest: Manifest, names: Sequence[str] | None = None) -> list[Measured]:
    """Return all variants of a manifest that have a fidelity, or those named."""
    return [
        _measured(variant, manifest)
        for variant in manifest.variants
        if "fidelity" in variant and (names is None or variant["name"] in names)
    ]


def _measured(variant: Variant, manifest: Manifest) -> Measured:
    return Measured(
        variant["name"],
        variant["precision"],
        sent_bytes(variant, manifest.data["files"]),
        variant.get("kernels", variant["precision"]),
        Fidelity.from_json(variant["fidelity"]),
        bool(variant.get("lossy", False)),
    )
