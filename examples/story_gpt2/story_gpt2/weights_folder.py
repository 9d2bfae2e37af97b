"""Folder of the shipped model; writes and reads it. The README there describes the model."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import cast

import torch
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from oriel.models.find_checkpoint import demo_folder
from story_gpt2.tokenizer import END_OF_TEXT_ID, read_tokenizer, write_tokenizer

WEIGHTS_FOLDER = demo_folder()


def demo_config(vocabulary: int) -> GPT2Config:
    """Return a config: 12 layers of 4 heads of 32 channels, 256 tokens, tied embeddings."""
    return GPT2Config(
        vocab_size=vocabulary,
        n_positions=256,
        n_embd=128,
        n_layer=12,
        n_head=4,
        activation_function="gelu_new",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=END_OF_TEXT_ID,
        eos_token_id=END_OF_TEXT_ID,
        tie_word_embeddings=True,
    )


def write_model(model: GPT2LMHeadModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the model rounded to float16, each file appearing whole or not at all.

    The configuration says float32, since that is how the rounded weights are meant to be computed
    with.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rounded = GPT2LMHeadModel(model.config)
    rounded.load_state_dict(model.state_dict())
    torch.nn.Module.half(rounded)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        draft = Path(name)
        rounded.save_pretrained(draft)
        model.config.architectures = ["GPT2LMHeadModel"]
        model.config.dtype = torch.float32
        model.config.to_json_file(draft / "config.json")
        write_tokenizer(tokenizer, draft)
        for file in sorted(draft.iterdir()):
            file.chmod(0o644)
            file.replace(folder / file.name)


def read_model(folder: Path = WEIGHTS_FOLDER) -> tuple[GPT2LMHeadModel, Tokenizer]:
    """Read the model in float32, with attention weights available, and its tokenizer."""
    model = GPT2LMHeadModel.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return cast(GPT2LMHeadModel, model.train(False)), read_tokenizer(folder)
