"""What is measured for each layer, as numbers on the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Distribution", "LayerStatistics", "ParameterStatistics"]


@dataclass(frozen=True)
class Distribution:
    """Mean, standard deviation and five quantiles of an array's numbers. Quantiles are linearly interpolated."""

    mean: float
    std: float
    minimum: float
    lower: float
    median: float
    upper: float
    maximum: float


@dataclass(frozen=True)
class ParameterStatistics:
    """One parameter: ``norm`` |θ|, ``gradient`` |dL/dθ| and ``step`` |Δθ| are Euclidean norms over all its numbers.

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
        """The relative update |Δθ| / |θ| of one step; None if θ is 0."""
        return self.step / self.norm if self.norm else None


@dataclass(frozen=True)
class LayerStatistics:
    """One layer, also one inside a Chain or a Residual. ``name`` is the prefix of its parameters' names, such as "2.0".

    ``output`` is the distribution of y over examples and units, ``zeros`` the share of y that is 0. ``gradient`` is
    |dL/dy|. ``gain`` is |dL/dx| / |dL/dy|, the factor by which this layer scales the gradient on the way back: None for
    the first layer, whose dL/dx is not computed, and if |dL/dy| is 0.
    ``dead``, for activations that are flat on one side, is the share of units whose derivative is 0 for every example.
    ``saturated``, for those that are flat on both sides, is the share of outputs whose derivative is below 5 % of the
    steepest one. ``problems`` are the kinds of problem that this layer has.
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
        """The layer's weight matrix, if it has one."""
        return next((p for p in self.parameters.values() if len(p.shape) >= 2), None)
