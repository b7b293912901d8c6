"""Modules for layers that ``torch.nn`` does not have. Reading this file imports torch."""

from __future__ import annotations

import torch
from torch import nn

__all__ = ["Residual", "ShiftedRMSNorm", "Swish"]


class Residual(nn.Sequential):
    """y = x + f(x), with the layers f inside: dlarray's ``Residual``."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + super().forward(x)


class ShiftedRMSNorm(nn.RMSNorm):
    """RMSNorm with a bias: dlarray's ``RMSNorm(shift=True)``."""

    bias: nn.Parameter

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + self.bias


class Swish(nn.Module):
    """y = z σ(βz). ``beta`` is a number, or a parameter with one number for each feature: dlarray's ``Swish``."""

    def __init__(self, beta: float | nn.Parameter) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return z * torch.sigmoid(self.beta * z)

    def extra_repr(self) -> str:
        return "trained beta" if isinstance(self.beta, nn.Parameter) else f"beta={self.beta}"
