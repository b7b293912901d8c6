"""What is measured: networks and batch sizes, with the same initial weights and batches for all contenders."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from dlarray.activations import Activation
from dlarray.core.check import at_least_one, did_you_mean, fraction, one_of
from dlarray.core.layer import Layer
from dlarray.core.registry import by_name
from dlarray.layers import Dense, Dropout, LayerNorm
from dlarray.model import MLP

__all__ = ["BATCHES", "CASES", "Case", "Workload"]

BATCHES = 4


@dataclass(frozen=True)
class Case:
    """A network and a batch size, with its variants.

    Raises ValueError for fewer than two widths, for sizes below 1, and for other bad fields.
    """

    name: str
    widths: tuple[int, ...]
    batch: int
    activation: str = "relu"
    dropout: float = 0.0
    norm: bool = False
    dtype: str = "float32"

    def __post_init__(self) -> None:
        if len(self.widths) < 2:
            raise ValueError(f"widths must hold at least inputs and outputs, got {self.widths}")
        for n in (*self.widths, self.batch):
            at_least_one("a width or batch size", n)
        fraction("dropout", self.dropout)
        one_of("dtype", self.dtype, ("float32", "float64"))
        by_name(Activation, self.activation)

    @classmethod
    def named(cls, text: str) -> Case:
        """One of S, M, L and XL, or widths and batch size as in "784-256-128-10x128". ValueError for anything else."""
        if text in CASES:
            return CASES[text]
        network, _, batch = text.partition("x")
        try:
            return cls(text, tuple(map(int, network.split("-"))), int(batch))
        except ValueError:
            raise ValueError(
                f"unknown case {text!r}{did_you_mean(text, CASES)}; choose from {', '.join(CASES)}, "
                "or write widths and batch size: 784-256-128-10x128"
            ) from None

    def varied(self, name: str, **fields: Any) -> Case:
        """The case with these fields changed, and ``name`` appended to its name."""
        return replace(self, name=f"{self.name} {name}", **fields)

    @cached_property
    def model(self) -> MLP:
        """The network: each Dense layer except the last is followed by the norm, the activation and the dropout."""
        layers: list[Layer] = []
        for n in self.widths[1:-1]:
            layers += [Dense(n), *([LayerNorm()] if self.norm else []), by_name(Activation, self.activation)()]
            layers += [Dropout(self.dropout)] if self.dropout else []
        return MLP(self.widths[0], [*layers, Dense(self.widths[-1])])

    @property
    def parameters(self) -> int:
        """The number of weights and biases of the Dense layers."""
        return sum((n + 1) * m for n, m in pairwise(self.widths))

    @property
    def flops(self) -> int:
        """Operations in the products of one step: 2 for each term. The first layer's dX is not computed."""
        sizes = [a * b for a, b in pairwise(self.widths)]
        return 2 * self.batch * (3 * sum(sizes) - sizes[0])


CASES = {
    case.name: case
    for case in (
        Case("S", (64, 32, 10), 32),
        Case("M", (784, 256, 128, 10), 128),
        Case("L", (784, 1024, 1024, 10), 256),
        Case("XL", (1024, 4096, 4096, 10), 512),
    )
}


@dataclass(frozen=True)
class Workload:
    """The same initial weights and batches for all contenders: (W, b) of each Dense layer, pairs of inputs and labels.

    Labels are random, and all batches have the same inputs, so a network cannot memorise the examples.
    """

    case: Case
    weights: list[tuple[np.ndarray, np.ndarray]]
    batches: list[tuple[np.ndarray, np.ndarray]]

    @classmethod
    def of(cls, case: Case, batches: int = BATCHES, weights: bool = True) -> Workload:
        """The workload of a case: dlarray's weights of seed 0 (none without ``weights``), and the batches."""
        found = case.model.parameters(case.model.init(0, "cpu", case.dtype)) if weights else {}
        pairs = [(p, found[f"{name[:-2]}.b"]) for name, p in found.items() if name.endswith(".W")]
        draw = np.random.default_rng(0)
        x = draw.standard_normal((case.batch, case.widths[0])).astype(case.dtype)
        labels = [draw.integers(0, case.widths[-1], case.batch).astype(np.int32) for _ in range(batches)]
        return cls(case, pairs, [(x.copy(), t) for t in labels])
