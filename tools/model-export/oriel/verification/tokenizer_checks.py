"""The bundle's tokenizer against the checkpoint's own, as transformers opens it: ids of many texts,
what goes first, and that the model has a row for each."""

from __future__ import annotations

import json
from pathlib import Path

from oriel.contract.documents import TokenizerFiles
from oriel.contract.manifest import Manifest
from oriel.models.load_model import LoadedModel
from oriel.tokenizers.agreement import compare, encoded
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer
from oriel.tokenizers.open_tokenizer import open_tokenizer
from oriel.tokenizers.probe_texts import probe_texts
from oriel.verification.report import Findings

IDS, FIRST, ROWS, THERE = (
    "tokenizer_ids",
    "tokenizer_first_tokens",
    "tokenizer_rows",
    "tokenizer_there",
)


def check_tokenizer(
    manifest: Manifest, folder: Path, loaded: LoadedModel, findings: Findings
) -> None:
    """Nothing to check where neither has one that can be written."""
    record = manifest.data.get("tokenizer")
    with findings.guarded(THERE):
        own = loaded.tokenizer
        if not isinstance(own, CheckpointTokenizer):
            if record is not None:
                findings.failed(THERE, " ".join(own.notices) or "the checkpoint has no tokenizer")
            return
        if record is None:
            # Before manifests 1.2 some tokenizers could not be taken along.
            if "end_token_ids" in manifest.data["model"]:
                findings.failed(THERE, "the checkpoint has a tokenizer, and the bundle has none")
            return
        findings.passed(THERE, f"opened by {own.origin['class']} of {own.origin['library']}")
        _compare(record, manifest, folder, own, findings)


def _compare(
    record: TokenizerFiles,
    manifest: Manifest,
    folder: Path,
    own: CheckpointTokenizer,
    findings: Findings,
) -> None:
    with findings.guarded(IDS):
        tokenizer = open_tokenizer(folder / record["tokenizer"])
        cases = _cases(folder, record)
        texts = dict.fromkeys([*probe_texts(own.backend), *cases])
        wanted = encoded(own.encode, texts)
        found = compare(
            wanted, lambda text: list(tokenizer.encode(text, add_special_tokens=False).ids)
        )
        problems = [f"{found.differing} of {found.texts} texts: {found.note}"]
        stale = [text for text, ids in cases.items() if ids != wanted.get(text)]
        if stale:
            problems.append(f"{len(stale)} of {len(cases)} cases have other ids: {stale[0][:60]!r}")
        findings.differences(
            IDS,
            problems if found.differing else problems[1:],
            f"{found.tokens} tokens of {found.texts} texts as transformers gives them",
        )
        vocab = manifest.shape.vocab
        beyond = [text for text, ids in cases.items() if any(not 0 <= i < vocab for i in ids)]
        findings.differences(
            ROWS,
            [f"{beyond[0][:60]!r} gives an id from {vocab} on"] if beyond else [],
            f"the ids of {len(cases)} cases are below {vocab}",
        )
    if "first_tokens" in record:
        said, first = list(record["first_tokens"]), list(own.first_tokens)
        problems = [] if said == first else [f"manifest {said}, transformers {first}"]
        behind, last = list(record.get("last_tokens", ())), list(own.last_tokens)
        if behind and behind != last:
            problems.append(f"after a text: manifest {behind}, transformers {last}")
        if record.get("mask_token", own.mask_token) != own.mask_token:
            problems.append(f"mask: manifest {record['mask_token']}, transformers {own.mask_token}")
        findings.differences(FIRST, problems, f"{first} before a text")


def _cases(folder: Path, record: TokenizerFiles) -> dict[str, list[int]]:
    """Texts and ids that readers compare their own tokenizers with."""
    if "cases" not in record:
        return {}
    data = json.loads((folder / record["cases"]).read_text(encoding="utf-8"))
    return {str(case["text"]): list(case["ids"]) for case in data["cases"]}
