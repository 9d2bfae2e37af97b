"""Exports an encoder with transformers.exporters, which compares nothing.

Usage: python with_transformers.py CHECKPOINT FOLDER
"""

import sys
from typing import Any

import torch
from transformers import AutoModelForMaskedLM, exporters

library: Any = exporters
model = AutoModelForMaskedLM.from_pretrained(sys.argv[1]).eval()
names = ("input_ids", "attention_mask", "token_type_ids")
inputs = {name: torch.ones(2, 8, dtype=torch.int64) for name in names}
chosen = library.OnnxConfig(dynamic=True)
library.OnnxExporter().export(model, inputs, chosen).save_pretrained(sys.argv[2])
