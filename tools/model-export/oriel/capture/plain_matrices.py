"""Every weight matrix as `x @ weight + bias` with weight (in, out): one form for all architectures,
which exports as MatMul + Add and which every quantizer understands."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.activations import NewGELUActivation
from transformers.models.bloom.modeling_bloom import BloomGelu
from transformers.pytorch_utils import Conv1D


class PlainMatrix(nn.Module):
    """x @ weight + bias; weight (in, out), bias (out) or None."""

    def __init__(self, weight: nn.Parameter, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        product = torch.matmul(x, self.weight)
        return product if self.bias is None else product + self.bias


class TiedUnembedding(nn.Module):
    """x @ weight.T + bias for a weight (vocab, hidden) that the token embedding holds; bias (vocab)
    or None."""

    def __init__(self, weight: Tensor, bias: nn.Parameter | None) -> None:
        super().__init__()
        self.weight = weight
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        product = torch.matmul(x, self.weight.t())
        return product if self.bias is None else product + self.bias


def make_matrices_plain(model: nn.Module, token_embedding: str, unembedding: str) -> None:
    """Replace nn.Linear, Conv1D and the old GELU in place; parameters keep their names.

    The weight of an nn.Linear is transposed, as a view of the old one: no values move. A tied
    unembedding stays tied.
    """
    replace_old_forms(model)
    embedding = model.get_submodule(token_embedding)
    assert isinstance(embedding, nn.Embedding)
    tied = embedding.weight
    for name, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and name == unembedding and module.weight is tied:
            plain: nn.Module = TiedUnembedding(module.weight, module.bias)
        elif isinstance(module, nn.Linear):
            weight = nn.Parameter(module.weight.detach().t(), requires_grad=False)
            plain = PlainMatrix(weight, module.bias)
        else:
            continue
        _put(model, name, plain)


def replace_old_forms(model: nn.Module) -> None:
    """Replace, in place, the Conv1D of transformers, which exports as Reshape, Gemm and Reshape,
    and its GELUs of seven operators; parameters keep their names."""
    for name, module in list(model.named_modules()):
        if isinstance(module, Conv1D):
            _put(model, name, PlainMatrix(module.weight, module.bias))
        elif isinstance(module, (NewGELUActivation, BloomGelu)):
            # The same function as one operator (Hendrycks and Gimpel, 2016).
            _put(model, name, nn.GELU(approximate="tanh"))


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(parent), leaf, module)
