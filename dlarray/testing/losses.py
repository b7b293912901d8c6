"""Every loss of the library: its value and gradient, with each of its options, and with weights of examples."""

from __future__ import annotations

from dataclasses import replace

from dlarray.core.array import Array
from dlarray.losses import Loss
from dlarray.losses.terms import SumOfTerms
from dlarray.testing.check import Check, Deviation
from dlarray.testing.columns import Column
from dlarray.testing.contract import BASIC
from dlarray.testing.formula import beside, largest, short
from dlarray.testing.loss_cases import case, value_and_slope, variants
from dlarray.testing.own import own

__all__ = ["LIMIT", "checks"]

LIMIT = 16.0
"""In ulp of max(|value|, 1)."""


def checks() -> list[Check]:
    """One check for each loss, with its variants."""
    return [
        Check("losses", name, lambda column, cls=cls: _measure(column, variants(cls)), needs=BASIC, limit=LIMIT)
        for name, cls in own(Loss).items()
    ]


def _measure(column: Column, losses: list[Loss]) -> Deviation:
    """Each variant; with weights, those that differ from the defaults in the reduction at most."""
    default = [loss for loss in losses if _mean(loss) == type(loss)()]
    return largest(
        (
            f"{short(loss)}{' weighted' if weighted else ''}",
            lambda loss=loss, weighted=weighted: _one(column, loss, weighted),
        )
        for loss, weighted in [(loss, False) for loss in losses] + [(loss, True) for loss in default]
    )


def _mean(loss: Loss) -> Loss:
    """The same loss, as a mean."""
    return replace(loss, reduction="mean") if isinstance(loss, SumOfTerms) else loss


def _one(column: Column, loss: Loss, weighted: bool) -> Deviation:
    def run(z: Array, t: Array, weight: Array | None) -> dict[str, Array | None]:
        value, dz = value_and_slope(loss)(z, t, weight)
        return {"value": value, "gradient": dz}

    z, t, weight = case(loss)
    return beside(column, run, z, t, weight if weighted else None)
