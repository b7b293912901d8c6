"""Random steps: the source that a seed makes, and the function of that source."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dlarray.core.array import array_namespace
from tests.fuzz.grammar import writer
from tests.fuzz.inputs import Inputs, Setup, draw_setup, unpack

__all__ = ["Program", "written"]

NAMES = ("w", "g", "t")
UPDATES: dict[str, tuple[str, ...]] = {
    "w": (
        "w = w * 0.5 + np.tanh({0})",
        "w -= 0.1 * np.tanh({0})",
        "w *= 0.9\nw += np.sum(np.tanh({0})) * 0.1",
        "w = w * 0.5 + np.sum(np.tanh({0})) * 0.1",
        "w = w[::-1] * 0.5",
        "w = w[::-1]",
        "w = w.T.copy().T",
        "w = np.tanh(w - np.mean({0}))",
        "w = w.reshape(-1).reshape(w.shape)",
        "",
    ),
    "g": (
        "g = g * 0.5 + np.tanh({0})",
        "g = np.tanh(w[:, 0])",
        "g = w[:, 0]",
        "g += np.mean(np.tanh({0}))",
        "g -= 0.1 * g",
        "g = np.tanh({0}) + g * 0",
        "g = np.concatenate([g[1:], g[:1]])",
        "",
    ),
    "t": ("t = t + 1", "t += 1", "t = t + 1", "t = t + 0.5", "t = t * 1", "t = t + 1", ""),
}
RETURNS = (
    "{0}",
    "np.sum({0})",
    "({0}, {1})",
    "{{'a': {0}, 'b': {1}, 'c': np.mean({2})}}",
    "[{0}, {1}, {2}]",
    "({0}, w, {1})",
    "np.sum(np.tanh({0}))",
    "({0}, x, 1.5)",
)


@dataclass(frozen=True)
class Program:
    """A step as source, and the calls that test it."""

    setup: Setup
    lines: tuple[str, ...]
    result: str
    inference: bool = False
    """Whether it is a function of fixed arrays and x, for ``accelerate``, instead of a step."""

    def source(self) -> str:
        """The source of the function."""
        s = self.setup.structure
        first, second = ("fixed", "x") if self.inference else ("state", "batch")
        taken = {
            "dict": "{0}['w'], {0}['g'], {0}['t']",
            "nested": "{0}['p'][0], {0}['p'][1][0], {0}['t']",
            "pair": "({0}.first, *{0}.second)",
        }
        taken["ordered"] = taken["dict"]
        given = {
            "dict": "{'w': w, 'g': g, 't': t}",
            "ordered": "OrderedDict(w=w, g=g, t=t)",
            "nested": "{'p': (w, [g]), 't': t}",
            "pair": "Pair(w, (g, t))",
            "list": "[w, g, t]",
        }
        head = [f"w, g, t = {taken.get(s, '{0}').format(first)}"]
        head += (
            ["y, labels, mask, b = x * 0.5, xp.astype(x[:, 0] > 0, np.int64), x > 0.3, np.sum(x) * 0.01"]
            if self.inference
            else ["x, y, labels, mask, b = batch"]
        )
        head.insert(0 if self.inference else 2, "xp = array_namespace(x)")
        head.append(self._captured())
        body = [part for line in (*head, *self.lines) for part in line.split("\n")]
        end = self.result if self.inference else f"{given.get(s, '(w, g, t)')}, {self.result}"
        return "\n".join(
            [f"def step({first}, {second}):", *(f"    {line}" for line in body if line), f"    return {end}"]
        )

    def _captured(self) -> str:
        """The array that the step captures. A value that NumPy computes from it alone is a constant of the plan."""
        return "h = k0 + b * 0" if self.setup.captured else "h = k0"

    def function(self, inputs: Inputs, shake: float) -> Any:
        """The function, which captures numbers and an array; its numbers are shaken as the inputs are."""
        text = self.source()
        c0, c1 = 0.3, 2.0
        if shake:
            move = 1 + shake * float(np.finfo(self.setup.dtype).eps)
            text = re.sub(
                r"\b(\d+\.\d+)\b(?!')",
                lambda m: m[1] if float(m[1]) in (0, 1, 0.5) or float(m[1]).is_integer() else repr(float(m[1]) * move),
                text,
            )
            c0 *= move
        where = surroundings(c0, c1, inputs.k0)
        exec(text, where)
        return where["step"]

    def inputs(self, shake: float) -> Inputs:
        """The arrays of one run."""
        return Inputs(self.setup, shake)

    def start(self, inputs: Inputs, call: int = 0) -> Any:
        """A new state."""
        return inputs.state(call)

    def text(self) -> str:
        """The program for a reader."""
        return f"{self.source()}\n# c0 = 0.3, c1 = 2.0, k0 = np.array([0.5, -1.25, 2.1])\n# {self.setup}"

    def simpler(self) -> Iterator[Program]:
        """Simpler programs, each in one respect: simpler calls, fewer statements, a smaller result."""
        plain = Setup(self.setup.seed)
        for name in (
            "layouts",
            "moving",
            "shared",
            "supply",
            "structure",
            "restart",
            "captured",
            "mixed",
            "first",
            "number",
            "rows",
            "dtype",
            "calls",
        ):
            if getattr(self.setup, name) != getattr(plain, name):
                yield replace(self, setup=replace(self.setup, **{name: getattr(plain, name)}))
        for i in reversed(range(len(self.lines))):
            yield replace(self, lines=self.lines[:i] + self.lines[i + 1 :])
            if made := re.match(r"(v\d+) = ", self.lines[i]):
                rest = (re.sub(rf"\b{made[1]}\b", "x", line) for line in self.lines[i + 1 :])
                yield replace(self, lines=(*self.lines[:i], *rest))
        for name in dict.fromkeys(re.findall(r"\bv\d+\b", self.result)):
            if self.result != f"({name},)":
                yield replace(self, result=f"({name},)")


def surroundings(c0: float, c1: float, k0: np.ndarray) -> dict[str, Any]:
    """The globals of a step."""
    from collections import OrderedDict

    from tests.fuzz.inputs import Pair

    return {
        "np": np,
        "array_namespace": array_namespace,
        "OrderedDict": OrderedDict,
        "Pair": Pair,
        "c0": c0,
        "c1": c1,
        "k0": k0,
    }


def written(seed: int) -> Program:
    """The program of this seed."""
    r = random.Random(seed)
    setup, inference = draw_setup(r, seed), r.random() < 0.2
    samples = [_sample(Inputs(setup), call, inference) for call in range(min(setup.calls, len(setup.rows) + 1))]
    w = writer(r, samples)
    w.write(r.choice([1, 2, 3, 4, 6, 9, 14]))
    statements = len(w.lines)
    for name in () if inference else r.sample(NAMES, 3):
        made = w.pick("f", lambda v, name=name: v.ndim <= 2 and _reaches(v, w.samples[0][name])) or "w"
        w.forms = [(1, lambda w, name=name, made=made: r.choice(UPDATES[name]).format(made) or None)]
        w.write(1)
    names = [line.split(" = ")[0] for line in w.lines[:statements] if re.match(r"v\d+ = ", line)] or ["x"]
    picked = [names[-1], r.choice(names), r.choice(names)]
    return Program(setup, tuple(w.lines), r.choice(RETURNS).format(*picked), inference)


def _reaches(v: Any, leaf: Any) -> bool:
    try:
        return np.broadcast_shapes(v.shape, np.shape(leaf)) == np.shape(leaf)
    except ValueError:
        return False


def _sample(inputs: Inputs, call: int, inference: bool) -> dict[str, Any]:
    """The variables at the start of a step, for the inputs of one call."""
    state = inputs.state()
    w, g, t = unpack(inputs.setup.structure, state)
    x, y, labels, mask, b = inputs.batch(call, state)
    if inference:
        y, labels, mask, b = x * 0.5, (x[:, 0] > 0).astype(np.int64), x > 0.3, np.sum(x) * 0.01
    return surroundings(0.3, 2.0, inputs.k0) | {
        "h": inputs.k0 + b * 0 if inputs.setup.captured else inputs.k0.copy(),
        "xp": array_namespace(x),
        "w": w,
        "g": g,
        "t": t,
        "x": x,
        "y": y,
        "labels": labels,
        "mask": mask,
        "b": b,
    }
