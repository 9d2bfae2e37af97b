"""The least that exports GPT-2's logits with torch's dynamo exporter: what ours is held against.

Usage: python minimal_onnx_export.py CHECKPOINT OUTPUT
"""

import sys

import torch
from transformers import GPT2LMHeadModel


class Logits(torch.nn.Module):
    """Logits alone, without a cache."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, use_cache=False).logits
        return logits


model = Logits(GPT2LMHeadModel.from_pretrained(sys.argv[1])).eval()
axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("seq")}
torch.onnx.export(
    model,
    (torch.zeros(2, 8, dtype=torch.int64),),
    sys.argv[2],
    dynamo=True,
    dynamic_shapes=(axes,),
    input_names=["input_ids"],
    output_names=["logits"],
    external_data=True,
)
