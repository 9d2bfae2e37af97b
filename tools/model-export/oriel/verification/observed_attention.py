"""Observes attention that doesn't go through transformers' interface: the stock module runs as it
is, and what it gives to its two products and its softmax is recorded, and edited, on the way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

from oriel.contract.activation_names import ModelShape, layer_prefix
from oriel.verification.edits_in_torch import AnyEdits, at_joint

_PRODUCTS = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm)
_SOFTMAX = (nn.functional.softmax, torch.softmax, Tensor.softmax)
# torch.overrides declares these as Callable.
_Function = Callable[..., object]


class _Products(TorchFunctionMode):
    """Within a layer's attention: product of queries and keys, softmax, product with values."""

    def __init__(
        self, shape: ModelShape, names: Collection[str], values: dict[str, Tensor], edits: AnyEdits
    ) -> None:
        super().__init__()
        self.shape, self.names, self.values, self.edits = shape, names, values, edits
        self.layer: int | None = None
        """The layer whose attention runs."""
        self.mixes = False
        """True once the softmax has run: the next product is with the values."""
        self.count = 0
        """Tokens that are fed."""

    def __torch_function__(
        self,
        func: _Function,
        types: Iterable[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if self.layer is None:
            return func(*args, **kwargs)
        if func is Tensor.baddbmm:
            kwargs["batch1"], kwargs["batch2"] = self._factors(kwargs["batch1"], kwargs["batch2"])
        elif func in _PRODUCTS and isinstance(args[1], Tensor) and args[1].dim() > 2:
            # Products with a stored matrix have one of two dimensions.
            args = self._factors(args[0], args[1])
        elif func in _SOFTMAX and isinstance(args[0], Tensor):
            return self._softmax(func, args[0], kwargs)
        return func(*args, **kwargs)

    def _factors(self, left: object, right: object) -> tuple[Tensor, Tensor]:
        """Return the factors of a product after edits."""
        assert isinstance(left, Tensor)
        assert isinstance(right, Tensor)
        if self.mixes:
            return left, self._seen("v", right)
        self.count = left.shape[-2]
        keys = self._seen("k", right.transpose(-1, -2))
        return self._seen("q", left), keys.transpose(-1, -2)

    def _softmax(self, func: _Function, scores: Tensor, kwargs: dict[str, object]) -> Tensor:
        # Where two masks meet, the lowest number was added to itself.
        scores = self._seen("attn_scores", scores.clamp(min=torch.finfo(scores.dtype).min))
        self.mixes = True
        probs = func(scores, **kwargs)
        assert isinstance(probs, Tensor)
        return self._seen("attn_probs", probs)

    def _seen(self, kind: str, value: Tensor) -> Tensor:
        """Return the value after its edits, and keep those of the tokens that are fed."""
        assert self.layer is not None
        sizes = self.shape.at(self.layer)
        heads = sizes.kv_heads if kind in ("k", "v") else sizes.heads
        whole = value if value.dim() == 4 else value.reshape(-1, heads, *value.shape[1:])
        whole = at_joint(self.edits, kind, self.layer, whole)
        name = layer_prefix(self.layer) + kind
        if name in self.names and kind != "attn_probs":
            # Keys and values of the past come first.
            self.values[name] = whole[..., -self.count :, :]
        return whole.reshape(value.shape)


@contextmanager
def observed(
    modules: Iterable[nn.Module],
    shape: ModelShape,
    names: Collection[str],
    values: dict[str, Tensor],
    edits: AnyEdits = (),
) -> Iterator[None]:
    """Record q, k, v and attn_scores of the wanted names from the attention modules, one for each
    layer, and edit those and attn_probs. Scores are masked."""
    mode = _Products(shape, names, values, edits)
    handles: list[RemovableHandle] = []

    def enter(layer: int) -> Callable[..., None]:
        def hook(*_: object) -> None:
            mode.layer, mode.mixes = layer, False

        return hook

    def leave(*_: object) -> None:
        mode.layer = None

    try:
        for layer, module in enumerate(modules):
            handles.append(module.register_forward_pre_hook(enter(layer)))
            handles.append(module.register_forward_hook(leave, always_call=True))
        with mode:
            yield
    finally:
        for handle in handles:
            handle.remove()
