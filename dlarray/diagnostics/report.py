"""A diagnosis: the statistics of each layer and the problems found, as text, as a table in a notebook and as JSON."""

from __future__ import annotations

import json
import math
import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from dlarray.core.html import html_table
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
    "saturated",
    "|dL/dy|",
    "gain",
    "|W|",
    "|dL/dW|",
    "|ΔW|/|W|",
    "verdict",
)


@dataclass(frozen=True)
class Diagnosis:
    """What ``diagnose`` found. ``print`` shows it as a table, ``dlarray.plot.diagnosis`` draws it.

    ``layers`` are the innermost layers in forward order, ``problems`` the problems found, the most serious first.
    ``loss`` is the loss of the examples, ``loss_after`` their loss after one step of the optimizer.
    """

    layers: tuple[LayerStatistics, ...]
    problems: tuple[Problem, ...]
    loss: float
    loss_after: float
    examples: int
    optimizer: str

    @property
    def verdict(self) -> str:
        """The kind of the most serious problem, or "healthy"."""
        return self.problems[0].kind if self.problems else HEALTHY

    def __getitem__(self, name: str) -> LayerStatistics:
        """The statistics of the layer with this name. Raises KeyError, with the known names."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(f"no layer is named {name!r}; there are {', '.join(f.name for f in self.layers)}")

    def __repr__(self) -> str:
        return f"Diagnosis(verdict={self.verdict!r}, layers={len(self.layers)}, loss={self.loss:.4g})"

    def __str__(self) -> str:
        rows = [COLUMNS, *map(_row, self.layers)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(_aligned(row, widths)).rstrip() for row in rows]
        rule = "─" * max(map(len, lines))
        words = [line for text in self._summary() for line in _wrapped(text)]
        return "\n".join([lines[0], rule, *lines[1:], rule, *words])

    def _repr_html_(self) -> str:
        return html_table("\n".join(self._summary()), COLUMNS, map(_row, self.layers))

    def _summary(self) -> list[str]:
        after = f"{self.loss_after:.4g} after one step of {self.optimizer}"
        loss = f"loss {self.loss:.4g} of {self.examples} examples, {after}"
        return [loss, f"verdict: {self.verdict}", *(f"* {problem}" for problem in self.problems)]

    def to_dict(self) -> dict[str, Any]:
        """Everything as dicts, lists, strings and numbers, ready for JSON; a number that is not finite is None."""
        found: dict[str, Any] = asdict(self) | {"verdict": self.verdict}
        for data, layer in zip(found["layers"], self.layers, strict=True):
            for name, p in layer.parameters.items():
                data["parameters"][name]["update"] = p.update
        return json.loads(json.dumps(found), parse_constant=lambda _: None)


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
    words = {COLUMNS.index("layer"), COLUMNS.index("verdict")}
    return [
        f"{cell:<{w}}" if i in words else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(row, widths, strict=True))
    ]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 110, subsequent_indent="  ", break_on_hyphens=False)


def _number(x: float | None) -> str:
    return "" if x is None else f"{x:.2g}"


def _percent(x: float | None) -> str:
    return "" if x is None else f"{x:.0%}" if math.isfinite(x) else str(x)
