"""A diagnosis: figures by layer, troubles in plain words, as a table, as JSON and as a picture."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from dlarray.diagnostics.problems import Problem
from dlarray.diagnostics.statistics import LayerStatistics

__all__ = ["HEALTHY", "Diagnosis"]

HEALTHY = "healthy"

COLUMNS = (
    "",
    "layer",
    "units",
    "mean",
    "std",
    "zeros",
    "dead",
    "flat",
    "|dL/dy|",
    "gain",
    "|W|",
    "|dL/dW|",
    "|ΔW|/|W|",
)


@dataclass(frozen=True)
class Diagnosis:
    """A network looked at in one step of training. ``print`` shows it as a table, ``dlarray.plot.diagnosis`` draws it.

    ``layers`` are the innermost layers in the order of the forward feed, ``troubles`` what ails the network, the
    gravest first. ``loss`` is that of the examples, ``loss_after`` that of the same ones after a step of the optimizer.
    """

    layers: tuple[LayerStatistics, ...]
    problems: tuple[Problem, ...]
    loss: float
    loss_after: float
    examples: int
    optimizer: str

    @property
    def verdict(self) -> str:
        """The gravest trouble in a word or two, or "healthy"."""
        return self.problems[0].kind if self.problems else HEALTHY

    def __getitem__(self, name: str) -> LayerStatistics:
        """The figures of a layer by its name. Raises KeyError with the names that there are."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer is named {name!r}; there are {', '.join(f.name for f in self.layers)}")

    def __str__(self) -> str:
        rows = [(*COLUMNS, "verdict"), *(_row(f) for f in self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        rule = "─" * max(map(len, lines))
        after = f"{self.loss_after:.4g} after one step of {self.optimizer}"
        loss = f"loss {self.loss:.4g} of {self.examples} examples, {after}"
        words = [line for trouble in self.problems for line in _wrapped(f"* {trouble}")]
        return "\n".join([lines[0], rule, *lines[1:], rule, *_wrapped(loss), f"verdict: {self.verdict}", *words])

    def to_dict(self) -> dict[str, Any]:
        """Everything in lists, dicts, strings and numbers, as JSON takes it; a number that is not finite is None."""
        told: dict[str, Any] = asdict(self) | {"verdict": self.verdict}
        for layer, figures in zip(told["layers"], self.layers, strict=True):
            for name, p in figures.parameters.items():
                layer["parameters"][name]["update"] = p.update
        return _plain(told)


def _row(f: LayerStatistics) -> tuple[str, ...]:
    w = f.weights
    return (
        f.name,
        f.kind,
        str(f.outputs),
        _number(f.output.mean),
        _number(f.output.std),
        _percent(f.zeros),
        _percent(f.dead),
        _percent(f.saturated),
        _number(f.gradient),
        _number(f.gain),
        _number(w and w.norm),
        _number(w and w.gradient),
        _number(w and w.update),
        ", ".join(f.problems) or HEALTHY,
    )


def _aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """Words to the left, numbers to the right."""
    words = {COLUMNS.index("layer"), len(row) - 1}
    return [
        f"{cell:<{w}}" if i in words else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, subsequent_indent="  ", break_on_hyphens=False)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.2g}"


def _percent(x: float | None) -> str:
    return "" if x is None else f"{x:.0%}" if math.isfinite(x) else str(x)


def _plain(x: Any) -> Any:
    if isinstance(x, Mapping):
        return {str(key): _plain(value) for key, value in cast("Mapping[Any, Any]", x).items()}
    if isinstance(x, (tuple, list)):
        return [_plain(value) for value in cast("list[Any]", x)]
    return None if isinstance(x, float) and not math.isfinite(x) else x
