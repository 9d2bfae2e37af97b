"""A layer's experts in a form that exports: all of them compute, and those that the router didn't
choose compute on zeros and count for nothing. transformers picks each expert's tokens instead,
which a traced graph can't."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from oriel.models.architectures import Architecture
from oriel.models.expert_weights import separate_tensors


class Router(nn.Module):
    """Chooses experts, by the softmax of its scores. (batch, seq, hidden) in; logits and
    probabilities (batch, seq, experts), ids and weights (batch, seq, active) out."""

    GIVES = ("router_logits", "router_probs", "expert_ids", "expert_weights")
    """Kinds of activation, in the order in which it returns them."""

    def __init__(self, stock: nn.Module) -> None:
        super().__init__()
        # (hidden, experts), as all matrices of a graph.
        weight = stock.get_parameter("weight").detach().t()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.active = int(stock.top_k)  # type: ignore[arg-type]
        # Mixtral's has no such setting, and does.
        self.normed = bool(getattr(stock, "norm_topk_prob", True))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        logits = torch.matmul(x, self.weight)
        probs = torch.softmax(logits, dim=-1)
        weights, ids = torch.topk(probs, self.active, dim=-1)
        if self.normed:
            weights = weights / weights.sum(dim=-1, keepdim=True)
        return logits, probs, ids, weights


class Expert(nn.Module):
    """One gated MLP. (batch, seq, hidden) in and out."""

    def __init__(self, name: str, matrices: Mapping[str, Tensor], nonlinearity: nn.Module) -> None:
        """matrices: those of all experts, by names that begin with the expert's."""
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = (
            _linear(matrices[f"{name}.{kind}_proj.weight"]) for kind in ("gate", "up", "down")
        )
        self.act_fn = nonlinearity

    def forward(self, x: Tensor) -> Tensor:
        given: Tensor = self.down_proj(self.act_fn(self.gate_proj(x)) * self.up_proj(x))
        return given


class RoutedMLP(nn.Module):
    """Router and experts. (batch, seq, hidden) in and out."""

    def __init__(self, router: nn.Module, experts: nn.Module) -> None:
        super().__init__()
        self.gate = Router(router)
        joined = {f"mlp.experts.{name}": p for name, p in experts.named_parameters()}
        matrices, nonlinearity = separate_tensors(joined), experts.get_submodule("act_fn")
        self.experts = nn.ModuleList(
            Expert(f"mlp.experts.{expert}", matrices, nonlinearity)
            for expert in range(self.gate.weight.shape[1])
        )

    def forward(self, x: Tensor) -> Tensor:
        _, _, ids, weights = self.gate(x)
        count = len(self.experts)
        places = ids[..., None] == torch.arange(count, device=ids.device)
        shares = torch.where(places, weights[..., None], 0.0).sum(dim=-2)
        # An expert that wasn't chosen reads zeros: what overflows in it could not be multiplied
        # away, and calibration of its weights would count tokens that it never reads.
        reads = (shares > 0).to(x.dtype).chunk(count, dim=-1)
        added = torch.zeros_like(x)
        for expert, read, share in zip(
            self.experts, reads, shares.chunk(count, dim=-1), strict=True
        ):
            added = added + expert(x * read) * share
        return added


def make_experts_dense(model: nn.Module, a: Architecture) -> None:
    """Replace, in place, the experts of transformers; their weights become parameters by the names
    of expert_weights.py, as views of the old ones."""
    if a.router is None or a.experts is None:
        return
    for block in model.get_submodule(a.blocks).children():
        parts = dict(block.named_modules())
        # Some layers may have one MLP, and no router.
        if a.router in parts:
            setattr(block, a.mlp, RoutedMLP(parts[a.router], parts[a.experts]))


def _linear(matrix: Tensor) -> nn.Linear:
    """Return a module of a matrix (out, in), without a copy."""
    with torch.device("meta"):
        linear = nn.Linear(matrix.shape[1], matrix.shape[0], bias=False)
    linear.weight = nn.Parameter(matrix.detach(), requires_grad=False)
    return linear
