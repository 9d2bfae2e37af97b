"""ACTIVATIONS_CONTRACT.md says what the data says: its tables, its examples and its code."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from contract_examples import CONTRACTS, read_json

from oriel.checkpoints.tensors import tensor_digest, weights_digest
from oriel.contract.activation_contract import check_document, validator
from oriel.contract.activation_names import contract_version

PAGE = (CONTRACTS / "ACTIVATIONS_CONTRACT.md").read_text(encoding="utf-8")
TABLE = read_json(CONTRACTS / "activations.json")
BLOCKS = re.findall(r"^```(\S+)(?: ([^\n]+))?\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def table_rows(first_column: str, columns: int) -> list[list[str]]:
    """The cells of the tables whose header begins so, without code marks."""
    rows: list[list[str]] = []
    inside = False
    for line in PAGE.splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first_column and len(cells) == columns:
            inside = True
        elif inside and not set(line) <= set("|-"):
            rows.append(cells)
    return rows


def test_the_table_of_activations_is_the_datas() -> None:
    wanted = []
    for row in TABLE["activations"]:
        rules = [f"required: {row['required']}"] if "required" in row else []
        if "range" in row:
            rules.append(f"in {row['range']}")
        if "rule" in row:
            rules.append(row["rule"])
        for when in ("absent_when", "present_when"):
            if when in row:
                rules.append(f"{when.replace('_when', '')} when `{row[when]}`")
        for when, shape in row.get("shape_when", {}).items():
            rules.append(f"({', '.join(shape)}) when `{when}`")
        if row.get("joint"):
            rules.append("joint")
        wanted.append(
            [
                row["name"],
                ", ".join(row["shape"]),
                row["dtype"],
                "; ".join(rules).strip("`"),
                row["meaning"]["en"],
            ]
        )
    assert table_rows("name", 5)[: len(wanted)] == wanted


def test_the_tables_of_inputs_and_cache_outputs_are_the_datas() -> None:
    wanted = [
        [
            row["name"],
            ", ".join(map(str, row["shape"])),
            row["dtype"],
            ", ".join(row["graphs"]),
            row["meaning"]["en"],
        ]
        for row in (*TABLE["inputs"], *TABLE["cache_outputs"])
    ]
    assert table_rows("name", 5)[-len(wanted) :] == wanted


def peer_cell(peer: dict[str, Any] | None) -> str:
    """Return how the page spells a library's name of an activation."""
    if peer is None:
        return ""
    text = f"`{peer['name']}`"
    if "rotary" in peer:
        text += f", with rotary positions `{peer['rotary']}`"
    if "shape" in peer:
        text += f" ({', '.join(peer['shape'])})"
    return text.strip("`")


def test_the_table_of_other_libraries_names_is_the_datas() -> None:
    titles = [peer["title"] for peer in TABLE["peers"].values()]
    assert f"| activation | {' | '.join(titles)} |" in PAGE
    wanted = [
        [row["kind"], *(peer_cell(peer) for peer in row["peers"].values())]
        for row in TABLE["activations"]
        if any(row["peers"].values())
    ]
    assert table_rows("activation", 1 + len(titles)) == wanted


def test_the_table_of_dimensions_is_the_datas() -> None:
    assert table_rows("dimension", 2) == [list(item) for item in TABLE["dimensions"].items()]


def test_the_tables_of_attribution_are_the_datas() -> None:
    data = TABLE["attribution"]
    assert table_rows("input", 4) == [
        [row["name"], ", ".join(row["shape"]), row["dtype"], row["meaning"]["en"]]
        for row in data["inputs"]
    ]
    assert table_rows("output", 3) == [
        [row["name"], ", ".join(row["shape"]), row["meaning"]["en"]] for row in data["outputs"]
    ]
    assert {row["dtype"] for row in data["outputs"]} == {"float32"}


def test_version_mask_and_defaults_are_the_datas() -> None:
    assert PAGE.startswith(f"# The activations contract, version {contract_version()}\n")
    lowest = float(np.finfo(np.float32).min)
    assert np.float32(-3.4028235e38) == np.float32(lowest)
    assert "exactly -3.4028235e38" in PAGE
    assert f"`lens_k` = {TABLE['defaults']['lens_k']} " in PAGE
    assert "`" + "`, `".join(TABLE["defaults"]["activations"]) + "`" in PAGE
    assert "`" + "`, `".join(TABLE["dynamic_dimensions"]) + "` are dynamic" in PAGE


EXAMPLES = [(where, text) for language, where, text in BLOCKS if language == "json"]


@pytest.mark.parametrize(("where", "text"), EXAMPLES, ids=[where for where, _ in EXAMPLES])
def test_json_examples_keep_their_schema(where: str, text: str) -> None:
    example = json.loads(text)
    assert list(validator(where).iter_errors(example)) == []
    assert not validator(where).is_valid({}), "the reference leads to no rules"
    if where == "activations":
        check_document(example, where)


def test_the_page_has_examples_of_documents_descriptors_and_taps() -> None:
    assert {where for where, _ in EXAMPLES} >= {
        "activations",
        "manifest#/properties/model",
        "manifest#/$defs/descriptor",
        "manifest#/$defs/tap",
    }


def test_links_lead_to_files() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert links
    for link in links:
        assert (CONTRACTS / link).exists(), link


def test_the_weights_digest_is_made_as_the_page_says() -> None:
    (lines,) = [text for language, _, text in BLOCKS if language == "text"]
    digest = "sha256:" + hashlib.sha256(lines.encode()).hexdigest()
    assert f"`{digest}`" in PAGE
    tensors = {
        "lm_head.weight": ("F32", torch.arange(4, dtype=torch.float32).reshape(2, 2)),
        "h.0.bias": ("F16", torch.zeros(3, dtype=torch.float16)),
    }
    rows = {
        name: (dtype, tuple(tensor.shape), tensor_digest(tensor))
        for name, (dtype, tensor) in tensors.items()
    }
    assert weights_digest(rows) == digest


def test_the_python_example_opens_a_tap(tiny_gpt2_bundle: Path) -> None:
    session: onnxruntime.InferenceSession = run_example("", tiny_gpt2_bundle)["session"]
    (activations,) = session.run(["layer_0_mlp_act"], feeds_of(session))
    assert activations.shape == (2, 3, 52)
    assert np.abs(activations).max() > 0


def test_the_python_example_closes_every_joint(tiny_gpt2_bundle: Path) -> None:
    graph = run_example("joints", tiny_gpt2_bundle)["graph"]
    sessions = [
        onnxruntime.InferenceSession(data, options_for(tiny_gpt2_bundle))
        for data in (graph, (tiny_gpt2_bundle / "model.onnx").read_bytes())
    ]
    opened, decoder = (s.run(["logits", "present.3.key"], feeds_of(s)) for s in sessions)
    for got, want in zip(opened, decoder, strict=True):
        assert np.array_equal(got, want)


def run_example(name: str, folder: Path) -> dict[str, Any]:
    """Return the variables that an example of the page leaves."""
    (code,) = [text for language, where, text in BLOCKS if (language, where) == ("python", name)]
    names: dict[str, Any] = {
        "folder": folder,
        "json": json,
        "base64": base64,
        "onnx": onnx,
        "onnxruntime": onnxruntime,
    }
    exec(code, names)  # noqa: S102 - our own page's example
    return names


def options_for(folder: Path) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    return options


def feeds_of(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """Return two texts of three tokens each, without a cache."""
    sizes = {
        "batch_size": 2,
        "sequence_length": 3,
        "past_sequence_length": 0,
        "total_sequence_length": 3,
    }
    feeds: dict[str, Any] = {}
    for entry in session.get_inputs():
        shape = [sizes[s] if isinstance(s, str) else s for s in entry.shape]
        dtype = np.int64 if entry.type == "tensor(int64)" else np.float32
        feeds[entry.name] = np.full(shape, entry.name == "attention_mask", dtype)
    return feeds
