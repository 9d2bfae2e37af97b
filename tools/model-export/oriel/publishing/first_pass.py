"""Computes in advance what one variant gives for an example: readers look at it while the weights
download. The files are described in contracts/ACTIVATIONS_CONTRACT.md."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from oriel.arrays import Array
from oriel.bundle.token_bytes import TokenBytes
from oriel.contract.activation_names import contracts_folder
from oriel.contract.documents import (
    FileDescriptor,
    FirstPassRecord,
    ManifestDocument,
    Variant,
)
from oriel.contract.limits import limits
from oriel.contract.whole_text import around, predicted_position
from oriel.errors import BundleError, GraphError, OptionError, OrielError, reason_of

FIRST_PASS = "first_pass.safetensors"
DOCUMENT = "oriel.first_pass"
"""Key of the file's metadata, which describes the numbers if the file is found alone."""
MAX_TOKENS = 64
MAX_PROMPT = 2000
"""Largest number of characters, as in the schema."""
MAX_BYTES = limits()["first_pass"]["bytes"]
"""Largest file: readers ignore a larger one, which would arrive no sooner than the weights."""
LISTED_TOKENS = 60
"""Number of likeliest next tokens whose bytes are stored: as many as the page names."""


@dataclass(frozen=True)
class Example:
    """The example to compute in advance."""

    prompt: str | None = None
    """None for a prompt that suits the bundle; if it can't be computed, there is no first pass."""


@dataclass(frozen=True)
class FirstPass:
    """A computed example, as the manifest names it."""

    record: FirstPassRecord
    descriptor: FileDescriptor
    """The file's descriptor, without chunks."""
    data: bytes | None
    """The file; None where it is at the place already."""


def without_first_pass(data: ManifestDocument) -> ManifestDocument:
    """Return a manifest's data without the first pass that it may have."""
    kept = data.copy()
    first_pass = kept.pop("first_pass", None)
    path = None if first_pass is None else first_pass["path"]
    kept["files"] = [file for file in data["files"] if file["path"] != path]
    return kept


def with_first_pass(data: ManifestDocument, found: FirstPass) -> ManifestDocument:
    """Return a manifest's data with the first pass, beside the tokenizer."""
    whole: dict[str, object] = {}
    for key, value in data.items():
        if key == "variants":
            whole["first_pass"] = found.record
        whole[key] = value
    whole["files"] = [*data["files"], found.descriptor]
    return cast(ManifestDocument, whole)


def prompt_of(data: ManifestDocument, example: Example) -> str:
    """Return the example's text; without a tokenizer, its ids with spaces between."""
    if example.prompt is not None:
        return example.prompt
    if "tokenizer" in data:
        text = (contracts_folder() / "first_prompt.json").read_text(encoding="utf-8")
        return str(json.loads(text)["text"])
    shape = data["model"]["shape"]
    return " ".join(map(str, range(min(8, shape["vocab"], shape["context_length"]))))


def kept_first_pass(
    data: ManifestDocument, prompt: str, published: Iterable[ManifestDocument]
) -> FirstPass | None:
    """Return the one that a manifest at the place names already, if made from the same files."""
    variant = _cheapest(data)
    for manifest in published:
        record = manifest.get("first_pass")
        if record is None or (record["prompt"], record["variant"]) != (prompt, variant["name"]):
            continue
        theirs = next(v for v in manifest["variants"] if v["name"] == record["variant"])
        if _sources(manifest, theirs) != _sources(data, variant):
            continue
        file = next(file for file in manifest["files"] if file["path"] == record["path"])
        if not any(own["path"] == file["path"] for own in data["files"]):
            descriptor = file.copy()
            descriptor.pop("chunks", None)
            return FirstPass(record.copy(), descriptor, None)
    return None


def compute_first_pass(bundle: Path, data: ManifestDocument, prompt: str) -> FirstPass:
    """Run the plain graph of the variant that is cheapest to run.

    Raises OptionError for a prompt that doesn't fit the model, GraphError where ONNX Runtime can't
    run the graph.
    """
    from safetensors.numpy import save

    variant = _cheapest(data)
    tokenizer = None
    if "tokenizer" in data:
        tokenizer = TokenBytes(bundle / data["tokenizer"]["tokenizer"])
    ids = _ids(prompt, data, tokenizer)
    arrays, runtime = _run(bundle, variant, np.array([ids], dtype=np.int64))
    # A reader shows only one row, and a row may be a megabyte.
    if not data["model"]["shape"].get("pooled", False):
        row = predicted_position(data, ids)
        arrays["logits"] = np.ascontiguousarray(arrays["logits"][:, row : row + 1])
    _check_finite(variant["name"], arrays)
    arrays["input_ids"] = np.array([ids], dtype=np.int64)
    if tokenizer is not None:
        of_tokens = "classifier" not in data["model"]
        arrays |= _pieces(_named(ids, arrays, of_tokens), tokenizer)
    record: FirstPassRecord = {
        "path": FIRST_PASS,
        "variant": variant["name"],
        "prompt": prompt,
        "runtime": runtime,
    }
    weights = data["model"]["weights_digest"]
    document = {
        "variant": variant["name"],
        "prompt": prompt,
        "runtime": runtime,
        "weights": weights,
    }
    file = save(arrays, {DOCUMENT: json.dumps(document)})
    if len(file) > MAX_BYTES:
        raise OptionError(
            "a first pass of this model is too large",
            got=f"{len(file)} bytes for {len(ids)} tokens",
            expected=f"at most {MAX_BYTES}",
            next_step="name a shorter --example-prompt, or export fewer activations.",
        )
    descriptor: FileDescriptor = {
        "path": FIRST_PASS,
        "media_type": "application/octet-stream",
        "bytes": len(file),
        "digest": f"sha256:{hashlib.sha256(file).hexdigest()}",
    }
    return FirstPass(record, descriptor, file)


def _cheapest(data: ManifestDocument) -> Variant:
    """Return fp32 if it is read as it is; else one that need not be expanded; else the first."""
    return min(
        data["variants"],
        key=lambda v: ("expansion" in v, v.get("kernels", v["precision"]) != "fp32"),
    )


def _sources(data: ManifestDocument, variant: Variant) -> list[str]:
    """Return the digests of all inputs that determine the numbers."""
    digests = {file["path"]: str(file["digest"]) for file in data["files"]}
    tokenizer: list[str] = []
    if "tokenizer" in data:
        tokenizer = [digests[data["tokenizer"]["tokenizer"]], str(around(data, ()))]
    paths = [variant["plain"]["path"], *variant["weights"]]
    return [*(digests[path] for path in paths), *tokenizer]


def _ids(prompt: str, data: ManifestDocument, tokenizer: TokenBytes | None) -> list[int]:
    """Return the prompt's ids, with those that the checkpoint's tokenizer puts around every text; a
    prompt given as ids is taken as it is."""
    shape = data["model"]["shape"]
    longest = min(MAX_TOKENS, shape["context_length"])
    if len(prompt) > MAX_PROMPT:
        raise _unfit(f"{len(prompt)} characters", f"at most {MAX_PROMPT}")
    if tokenizer is not None:
        try:
            ids = around(data, tokenizer.encode(prompt))
        except BundleError as error:
            raise _unfit(error.got or "no tokens", "words that its tokenizer knows") from error
    elif all(word.isascii() and word.isdigit() and len(word) < 10 for word in prompt.split()):
        ids = [int(word) for word in prompt.split()]
    else:
        raise _unfit(repr(prompt[:40]), "token ids with spaces between, as it has no tokenizer")
    if not 1 <= len(ids) <= longest:
        raise _unfit(f"{len(ids)} tokens", f"1 to {longest}")
    wrong = [token for token in ids if token >= shape["vocab"]]
    if wrong:
        raise _unfit(f"token {wrong[0]}", f"below {shape['vocab']}")
    return ids


def _unfit(got: str, expected: str) -> OptionError:
    return OptionError(
        "the example prompt doesn't fit the model",
        got=got,
        expected=expected,
        next_step="name another with --example-prompt, or none with --no-first-pass.",
    )


def _run(bundle: Path, variant: Variant, ids: Array) -> tuple[dict[str, Array], str]:
    """Return all outputs of the plain graph for ids (1, seq), and the name of what ran it."""
    import onnxruntime

    from oriel.precision.weights.expand_weights import expand_weights

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # It runs once: repacking the weights for the kernels would only take memory.
    options.add_session_config_entry("session.disable_prepacking", "1")
    names = [output["name"] for output in variant["plain"]["activations"]["outputs"]]
    try:
        with ExitStack() as stack:
            folder = bundle
            if "expansion" in variant:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="oriel-")))
                target = folder / variant["expansion"]["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                expand_weights(bundle / variant["weights"][0], variant["expansion"], target)
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(folder)
            )
            graph = (bundle / variant["plain"]["path"]).read_bytes()
            session = onnxruntime.InferenceSession(
                graph, options, providers=["CPUExecutionProvider"]
            )
            results = session.run(names, {"input_ids": ids})
    except (OrielError, MemoryError):
        raise
    except Exception as error:  # ONNX Runtime's own errors have no common class that is public
        raise GraphError(
            f"{variant['name']} can't be run by ONNX Runtime",
            got=reason_of(error),
            next_step="export the bundle again.",
        ) from error
    arrays = {name: np.asarray(found) for name, found in zip(names, results, strict=True)}
    return arrays, f"ONNX Runtime {onnxruntime.__version__}"


def _check_finite(variant: str, arrays: Mapping[str, Array]) -> None:
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise GraphError(
                f"{variant} computes NaN or infinity",
                got=name,
                expected="finite numbers",
                next_step="publish another variant.",
            )


def _named(ids: Sequence[int], arrays: Mapping[str, Array], of_tokens: bool) -> list[int]:
    """Return all tokens that a view names: the example's, the likeliest next, all of the lens.
    of_tokens: logits are of tokens, and not of labels."""
    best: Sequence[int] | Array = ()
    if of_tokens:
        best = np.argsort(-arrays["logits"][0, -1], kind="stable")[:LISTED_TOKENS]
    lenses = [a.reshape(-1) for name, a in arrays.items() if name.endswith("_lens_ids")]
    return [int(token) for token in np.unique(np.concatenate([ids, best, *lenses]))]


def _pieces(tokens: Sequence[int], tokenizer: TokenBytes) -> dict[str, Array]:
    """Return the tokens' bytes, one after another, and the end offset of each."""
    parts = [tokenizer.of(token) for token in tokens]
    return {
        "piece_ids": np.array(tokens, dtype=np.int64),
        "piece_ends": np.cumsum([len(part) for part in parts], dtype=np.int64),
        "piece_bytes": np.frombuffer(b"".join(parts), dtype=np.uint8).copy(),
    }
