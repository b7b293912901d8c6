"""What is measured of a layer, as numbers on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Distribution", "LayerStatistics", "ParameterStatistics"]


@dataclass(frozen=True)
class Distribution:
    """How numbers are spread: their mean, their standard deviation and five quantiles, by linear interpolation."""

    mean: float
    std: float
    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float


@dataclass(frozen=True)
class ParameterStatistics:
    """One parameter: |θ|, |dL/dθ| and |Δθ| of one step are Euclidean norms over all of its numbers.

    ``zeros`` is the share of its numbers that are 0. ``duplicates``, for a matrix only, is the share of its columns
    (units) that have a duplicate: another column with the same weights and the same gradient. They stay the same.
    """

    shape: tuple[int, ...]
    norm: float
    gradient: float
    step: float
    zeros: float
    duplicates: float | None = None

    @property
    def update(self) -> float | None:
        """|Δθ| / |θ|: by which part of itself the parameter moves in one step; None where it is 0."""
        return self.step / self.norm if self.norm else None


@dataclass(frozen=True)
class LayerStatistics:
    """One layer, or one inside a Chain or a Residual: ``name`` begins the names of its parameters, such as "2.0".

    ``output`` is the spread of y over examples and units, ``zeros`` the share of it that is 0. ``gradient`` is |dL/dy|
    and ``gain`` is |dL/dx| / |dL/dy|: what the gradient is multiplied by on its way back through this layer (None for
    the first layer, behind which nobody needs it, and where |dL/dy| is 0).
    Of activations that are flat on one side, ``dead`` is the share of units whose slope is 0 for every example; of
    those that are flat on both, ``saturated`` is the share of numbers whose slope is below 5 % of the steepest one.
    """

    name: str
    kind: str
    outputs: int
    output: Distribution
    zeros: float
    gradient: float
    gain: float | None = None
    dead: float | None = None
    saturated: float | None = None
    parameters: Mapping[str, ParameterStatistics] = field(default_factory=dict[str, ParameterStatistics])
    problems: tuple[str, ...] = ()

    @property
    def weights(self) -> ParameterStatistics | None:
        """The layer's matrix of weights, where it has one."""
        return next((p for p in self.parameters.values() if len(p.shape) >= 2), None)
