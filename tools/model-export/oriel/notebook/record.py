"""One analysis as data for a page that draws it without the model: what a bundle gives for a text,
in the form that apps/web/src/saved_page/record.ts describes."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np

from oriel.arrays import Array
from oriel.bundle.token_bytes import TokenBytes
from oriel.contract.activation_names import all_activations, contract_version
from oriel.contract.documents import EditsDocument, LensDescription, ModelRecord
from oriel.contract.lens_packs import LOGIT
from oriel.contract.whole_text import predicted_position
from oriel.runtime.bundle import Bundle
from oriel.runtime.edit_json import edits_to_json
from oriel.runtime.edits import Edit
from oriel.runtime.run import Run

VERSION = "1.0"
"""Of the form: major.minor."""
LISTED_TOKENS = 60
"""Number of likely next tokens whose bytes are stored: as many as a view ever lists."""


class VariantName(TypedDict):
    """The part of a variant's record that a page shows."""

    name: str
    precision: str
    kernels: str
    encoding: str


class LensName(TypedDict):
    """A lens pack without its taps."""

    name: str
    path: str
    description: LensDescription


class KernelOffer(TypedDict):
    """How a page asks Python while a kernel runs."""

    token: str
    openable: list[str]


class WholeText(TypedDict):
    """What tells which position of a whole text is predicted."""

    mask_token: NotRequired[int]
    last_tokens: list[int]


class AnalysisRecord(TypedDict):
    """One analysis; record.ts says what each field holds."""

    analysis_version: str
    contract_version: str
    model: ModelRecord
    variant: VariantName
    lens: str
    lens_packs: list[LensName]
    runtime: str
    prompt: str
    typed: int
    edits: EditsDocument
    pieces: list[tuple[int, str]] | None
    tensors: str
    untouched: str | None
    state: str
    link: None
    kernel: KernelOffer | None
    tokenizer: NotRequired[WholeText]


@dataclass(frozen=True)
class Asked:
    """A text with what is computed for it."""

    ids: tuple[int, ...]
    typed: int
    """Number of ids that were typed; the rest were picked from the model's candidates."""
    prompt: str
    """The text; empty where ids were given."""
    activations: tuple[str, ...]
    """Contract names, without logits."""
    lens: str
    edits: tuple[Edit, ...]


def analysis_record(bundle: Bundle, asked: Asked, state: str, token: str | None) -> AnalysisRecord:
    """Run the model, with the edits and without them. state: the view's state as a link has it.
    token: the display's, in a notebook. Raises as Bundle.run does."""
    import onnxruntime

    runs = [_run(bundle, asked, asked.edits)]
    if asked.edits:
        runs.append(_run(bundle, asked, ()))
    numbers = [_numbers(asked.ids, run) for run in runs]
    record = bundle.record
    packs = bundle.manifest.data.get("lens_packs", [])
    made: AnalysisRecord = {
        "analysis_version": VERSION,
        "contract_version": contract_version(),
        "model": bundle.manifest.data["model"],
        "variant": {
            "name": record["name"],
            "precision": record["precision"],
            "kernels": record.get("kernels", record["precision"]),
            "encoding": record.get("encoding", "f32"),
        },
        "lens": asked.lens,
        "lens_packs": [
            {"name": pack["name"], "path": pack["path"], "description": pack["description"]}
            for pack in packs
            if token is not None or pack["name"] == asked.lens
        ],
        "runtime": f"ONNX Runtime {onnxruntime.__version__}",
        "prompt": asked.prompt,
        "typed": asked.typed,
        "edits": edits_to_json(asked.edits),
        "pieces": _pieces(bundle, asked.ids, runs),
        "tensors": numbers[0],
        "untouched": numbers[1] if asked.edits else None,
        "state": state,
        "link": None,
        "kernel": None if token is None else {"token": token, "openable": openable(bundle)},
    }
    said = bundle.manifest.data.get("tokenizer")
    if bundle.shape.bidirectional and said is not None:
        made["tokenizer"] = {"last_tokens": list(said.get("last_tokens", ()))}
        if "mask_token" in said:
            made["tokenizer"]["mask_token"] = said["mask_token"]
    return made


def openable(bundle: Bundle) -> list[str]:
    """Return the names of every activation that the bundle can give."""
    record = bundle.record
    given = {spec["name"] for spec in record["plain"]["activations"]["outputs"]}
    given |= {spec["name"] for tap in record["taps"] for spec in tap["outputs"]}
    return [spec.name for spec in all_activations(bundle.shape) if spec.name in given]


def exported(bundle: Bundle) -> list[str]:
    """Return the names of the activations that the model was exported with, without logits."""
    outputs = bundle.record["plain"]["activations"]["outputs"]
    return [spec["name"] for spec in outputs if spec["name"] != "logits"]


def _run(bundle: Bundle, asked: Asked, edits: Iterable[Edit]) -> Run:
    lens = None if asked.lens == LOGIT else asked.lens
    rows = len(asked.ids) - predicted_position(bundle.manifest.data, asked.ids)
    return bundle.run(asked.ids, asked.activations, edits, logits=rows, lens=lens)


def _numbers(ids: Sequence[int], run: Run) -> str:
    """Return the run's arrays as a safetensors file, compressed, in base64."""
    from safetensors.numpy import save

    arrays: dict[str, Array] = {name: np.ascontiguousarray(run[name]) for name in run}
    # The first of the last rows is the predicted position's.
    if run["logits"].ndim == 3:
        arrays["logits"] = np.ascontiguousarray(run["logits"][:, :1])
    arrays["input_ids"] = np.array([ids], dtype=np.int64)
    return base64.b64encode(gzip.compress(save(arrays), mtime=0)).decode("ascii")


def _pieces(
    bundle: Bundle, ids: Collection[int], runs: Iterable[Mapping[str, Array]]
) -> list[tuple[int, str]] | None:
    """Return the bytes of every token that a view names; None where there is no tokenizer."""
    files = bundle.manifest.data.get("tokenizer")
    if files is None:
        return None
    named = set(ids)
    for run in runs:
        if not bundle.shape.labels:
            likeliest = np.argsort(-run["logits"][0, 0], kind="stable")[:LISTED_TOKENS]
            named.update(int(token) for token in likeliest)
        for name in run:
            if name.endswith("_lens_ids"):
                named.update(int(token) for token in np.unique(run[name]))
    tokens = TokenBytes(bundle.folder / files["tokenizer"])
    return [(token, base64.b64encode(tokens.of(token)).decode("ascii")) for token in sorted(named)]
