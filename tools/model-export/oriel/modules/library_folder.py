"""The files with which transformers.js and Optimum open an exported model of transformers: its
configs, its tokenizer, and the places of its ONNX files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.contract.json_value import JsonObject
from oriel.contract.library_files import CONFIG, GENERATION_CONFIG, data_file, graph_file
from oriel.models.library_configs import json_bytes
from oriel.tokenizers.checkpoint_files import CONFIG as TOKENIZER_CONFIG
from oriel.tokenizers.checkpoint_files import TOKENIZER
from oriel.tokenizers.checkpoint_tokenizer import (
    CheckpointTokenizer,
    NoTokenizer,
    read_checkpoint_tokenizer,
)

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SUFFIXES: Mapping[str, str] = {"fp32": "", "int8": "_quantized", "int8_static": "_int8"}
"""{precision: ending of its ONNX file's name}. transformers.js calls the last two q8 and int8."""
FILES = (CONFIG, GENERATION_CONFIG, TOKENIZER, TOKENIZER_CONFIG)
"""Every file that may lie beside a model's own."""
_ANY_CLASS = ("PreTrainedTokenizerFast", "TokenizersBackend")
"""Names of the class for any tokenizer.json, in transformers 4 and 5."""


@dataclass(frozen=True)
class TextReader:
    """The limits within which a model reads text."""

    vocab: int
    """Rows of the model; token ids are below."""
    context_length: int
    """Largest number of tokens in a text."""
    pad: int
    """The token that fills up a shorter text of a batch."""
    pads_before: bool = False
    """Padding stands before a text, as where the next token is asked for."""
    tokenizer: Tokenizer | None = None


@dataclass(frozen=True)
class LibraryFolder:
    """Everything that other libraries read beside the ONNX files."""

    reader: TextReader
    configs: Mapping[str, JsonObject]
    """{name: entries}: config.json, and generation_config.json of a model that generates."""
    tokenizer: Mapping[str, bytes]
    """{name: bytes}; empty where the checkpoint has none."""
    notes: tuple[str, ...] = ()
    """Notes that the user must know of the tokenizer."""

    def files(self, onnx_files: Mapping[str, Path]) -> dict[str, bytes]:
        """Return the bytes of each file by its name. onnx_files: {precision: file} as written."""
        told: JsonObject = {}
        if onnx_files and "int8" not in onnx_files:
            # Else browsers ask for q8.
            told["dtype"] = "fp32"
        if any(file.with_name(data_file(file.name)).exists() for file in onnx_files.values()):
            told["use_external_data_format"] = True
        more: JsonObject = {"transformers.js_config": told} if told else {}
        configs = {**self.configs, CONFIG: {**self.configs[CONFIG], **more}}
        written = {name: json_bytes(entries) for name, entries in configs.items()}
        return {**written, **self.tokenizer}


def library_folder(
    folder: Path, configs: Mapping[str, JsonObject], reader: TextReader
) -> LibraryFolder:
    """Return what a checkpoint's folder gives. configs: {name: entries} for other libraries.
    reader: the model's, still without a tokenizer. Raises CheckpointError for a damaged file of the
    tokenizer."""
    found = read_checkpoint_tokenizer(folder, reader.vocab)
    if isinstance(found, NoTokenizer):
        notes = () if found.reason is None else (f"no tokenizer was written: {found.reason}",)
        return LibraryFolder(reader, configs, {}, notes)
    files = {
        TOKENIZER: found.text.encode("utf-8"),
        TOKENIZER_CONFIG: json_bytes(_settings(found)),
    }
    reader = replace(reader, tokenizer=found.backend)
    return LibraryFolder(reader, configs, files, tuple(_notes(found)))


def _settings(found: CheckpointTokenizer) -> JsonObject:
    """Return the tokenizer's settings with the class that transformers opened it as: of that
    depends, in transformers.js, which inputs it makes."""
    if found.config.get("tokenizer_class") not in _ANY_CLASS:
        return found.config
    opened = found.origin["class"]
    return {**found.config, "tokenizer_class": _ANY_CLASS[0] if opened in _ANY_CLASS else opened}


def _notes(found: CheckpointTokenizer) -> list[str]:
    agreement = found.agreement
    if not agreement.differing:
        return []
    return [
        f"the tokenizer as written and transformers differ in {agreement.differing} of "
        f"{agreement.texts} texts: {agreement.note}"
    ]


def own_names() -> frozenset[str]:
    """Return the paths, relative to the folder, of all files that an export may put there for
    other libraries."""
    graphs = [graph_file(suffix) for suffix in SUFFIXES.values()]
    return frozenset((*FILES, *graphs, *map(data_file, graphs)))
