"""The detector: reconstruction and score, and the second phase that only training has."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from itacad.model.decoders import DECODERS
from itacad.model.encoders import ENCODERS
from oriel.errors import CheckpointError, OptionError


@dataclass(frozen=True)
class Config:
    """What builds a detector."""

    encoder: str = "itr"
    decoder: str = "mlp"
    L: int = 16
    """Steps of time in a window: a Linear over time makes it part of the weights."""
    D: int = 8
    """Features."""
    phase2: bool = False
    """True if the second phase was built, which happens at its first use."""


class ReversedGradient(torch.autograd.Function):
    """The identity, with the gradient times -weight: one phase works against the other."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor, weight: float) -> Tensor:
        """Return x."""
        ctx.weight = weight  # type: ignore[attr-defined]
        return x.view_as(x)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        """Return the reversed gradient."""
        return -ctx.weight * grads[0], None  # type: ignore[attr-defined]


class Detector(nn.Module):
    """Windows (batch, L, D) to O1 in their shape, and a score (batch,) = mean |O1 - window|."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        if config.encoder not in ENCODERS or config.decoder not in DECODERS:
            raise OptionError(
                "no such detector",
                got=f"{config.encoder} × {config.decoder}",
                expected=f"{' or '.join(ENCODERS)} × {' or '.join(DECODERS)}",
            )
        self.config = config
        self.encoder = ENCODERS[config.encoder](config.L)
        self.decoder = DECODERS[config.decoder](config.D)
        self.encoder2: nn.Module | None = None
        self.decoder2: nn.Module | None = None
        if config.phase2:
            self.build_phase2()

    def build_phase2(self) -> None:
        """Build the second phase, in the module's own mode: what is built after eval() would
        otherwise stay in training mode."""
        if self.encoder2 is None:
            self.encoder2 = ENCODERS[self.config.encoder](self.config.L).train(self.training)
            self.decoder2 = nn.Linear(self.config.D * 2, self.config.D).train(self.training)
            device = next(self.parameters()).device
            self.to(device)

    def forward(self, W: Tensor, against: float = 0.0) -> dict[str, Tensor]:
        """Return O1 and score of windows W; in training mode O2 too, (batch, L, D), of the second
        phase, which works against the first by a weight."""
        o1: Tensor = self.decoder(encoded(self.encoder(W))) + W
        found = {"O1": o1, "score": (o1 - W).abs().mean((1, 2))}
        if self.training:
            self.build_phase2()
            assert self.encoder2 is not None and self.decoder2 is not None
            reversed_o1: Tensor = ReversedGradient.apply(o1, against)  # type: ignore[no-untyped-call]
            focus = torch.cat((W, (reversed_o1 - W) ** 2), -1)
            found["O2"] = self.decoder2(encoded(self.encoder2(focus)))
        return found

    def export_sanity(self, L: int = 16, D: int = 8, device: str = "cpu") -> dict[str, float]:
        """Check a loaded detector before it is exported, and return the figures: every module in
        eval mode, the outputs' shapes, the score as defined, and each row by itself the same as in
        a batch. Raises CheckpointError for what isn't so."""
        if (L, D) != (self.config.L, self.config.D):
            raise wrong_sizes(self.config, L, D)
        training = [name or "the detector" for name, part in self.named_modules() if part.training]
        if training:
            raise _unfit("parts are in training mode", training[0])
        windows = torch.randn((3, L, D), generator=torch.Generator().manual_seed(0)).to(device)
        model = self.to(device)
        with torch.no_grad():
            found = model(windows)
            rows = [model(windows[row : row + 1]) for row in range(3)]
        o1, scores = found["O1"], found["score"]
        if o1.shape != windows.shape or scores.shape != (3,):
            shapes = f"{tuple(o1.shape)}, {tuple(scores.shape)}"
            raise _unfit("the outputs have other shapes", shapes)
        if not torch.isfinite(o1).all():
            raise _unfit("O1 isn't finite", "NaN or infinity")
        alone = (torch.cat([row["O1"] for row in rows]) - o1).abs().max().item()
        defined = ((o1 - windows).abs().mean((1, 2)) - scores).abs().max().item()
        for what, error in (("a row depends on its batch", alone), ("the score differs", defined)):
            if error > 1e-4:
                raise _unfit(what, f"{error:.1e}")
        return {"row_alone": alone, "score": defined}


def encoded(given: Tensor | tuple[Tensor, ...]) -> Tensor:
    """Return an encoder's first output, whether it gives one or several. `given[0]` alone would
    take the batch's first row where it gives one."""
    return given[0] if isinstance(given, tuple) else given


def wrong_sizes(config: Config, L: int, D: int) -> OptionError:
    """Return the error for windows of other sizes than the detector's."""
    return OptionError(
        "the detector is of other windows",
        got=f"L={L}, D={D}",
        expected=f"L={config.L}, D={config.D}, which are part of its weights",
        next_step=f"export with --L {config.L} --D {config.D}, or train one for {L} × {D}.",
    )


def _unfit(what: str, got: str) -> CheckpointError:
    return CheckpointError(f"{what} in the loaded detector", got=got, next_step="train it anew.")
