"""A decoder by transformers' own exporter: two ONNX graphs with a copy of the weights each, one for
the prompt and one for each further token, unverified. Run by decoder_formats.py:
transformers_export.py CHECKPOINT FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import transformers.exporters
from transformers import AutoModelForCausalLM


def main(checkpoint: Path, folder: Path) -> None:
    """Export a checkpoint into a folder, with dynamic sizes."""
    classes: Any = AutoModelForCausalLM
    model = classes.from_pretrained(checkpoint).eval()
    ids = torch.arange(6).reshape(2, 3)
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    # Any: the package doesn't say that it exports these names.
    library: Any = transformers.exporters
    exporter, config = library.OnnxExporter(), library.OnnxConfig(dynamic=True)
    exporter.export_for_generation(model, given, config).save_pretrained(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
