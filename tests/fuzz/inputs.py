"""The arguments of a random step: their numbers, memory layout, and changes of that memory between calls."""

from __future__ import annotations

import random
from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

__all__ = ["LAYOUTS", "Inputs", "Pair", "Setup", "draw_setup", "shaken"]

LAYOUTS = (
    "C",
    "F",
    "transposed",
    "reversed",
    "backwards",
    "strided",
    "offset",
    "read-only",
    "broadcast",
    "swapped",
    "unaligned",
)
STRUCTURES = ("dict", "tuple", "list", "nested", "pair", "ordered")
SUPPLIES = ("fresh", "fresh", "refilled", "refilled", "same", "two")
FIRSTS = ("generic", "zeros", "ones", "no mask", "t is 0", "equal rows")
SHARED = ("nothing",) * 8 + ("x twice", "x is state", "x is in state", "two leaves", "x in one buffer")


class Pair(NamedTuple):
    """A named tuple, as users put two arrays together."""

    first: Any
    second: Any


@dataclass(frozen=True)
class Setup:
    """The calls of a step: sizes, types, structures, layouts, and arguments."""

    seed: int
    dtype: str = "float64"
    features: int = 3
    columns: int = 2
    rows: tuple[int, ...] = (4,)
    """The number of rows of each call's batch, used in turn."""
    calls: int = 4
    first: str = "generic"
    """The kind of the first batch."""
    supply: str = "fresh"
    """Whether a batch is new at each call, or one buffer that is refilled."""
    structure: str = "dict"
    layouts: tuple[str, ...] = ("C",)
    """The memory layouts of x, y, labels, mask, w, g, used in turn."""
    moving: bool = False
    """Whether the layouts change from call to call."""
    shared: str = "nothing"
    number: str = "array"
    """The kind of t: a 0-d array, a NumPy scalar or a Python number."""
    restart: int = 0
    """The call that starts with a new state; 0 for none."""
    captured: bool = False
    """Whether the array that the step captures is written between calls."""
    mixed: bool = False
    """Whether every second batch has the other type of floats."""

    def dtype_of(self, call: int) -> str:
        """The type of a batch's floats."""
        other = "float32" if self.dtype == "float64" else "float64"
        return other if self.mixed and call % 2 else self.dtype


def draw_setup(r: random.Random, seed: int) -> Setup:
    """A setup; about half of them are simple in most respects, so that special cases also come one at a time."""
    odd = r.random() < 0.5
    sizes = [1, 2, 3, 4, 5, 8, 40] + [0, 600] * (r.random() < 0.15)
    made = Setup(
        seed,
        dtype=r.choice(["float64", "float64", "float32"]),
        features=r.choice([1, 2, 3, 3, 4, 5]),
        columns=r.choice([1, 2, 3, 3, 4]),
        rows=tuple(r.choice(sizes) for _ in range(r.choice([1, 1, 2, 3]))),
        calls=r.choice([3, 4, 6]),
        first=r.choice(FIRSTS),
        supply=r.choice(SUPPLIES),
        structure=r.choice(STRUCTURES),
        layouts=tuple(r.choice(LAYOUTS[: r.choice([1, 8, 11])]) for _ in range(6)) if odd else ("C",),
        moving=odd and r.random() < 0.3,
        shared=r.choice(SHARED) if odd else "nothing",
        number=r.choice(["array", "array", "integer", "scalar", "python"]),
        restart=r.choice([0, 0, 0, 2]),
        captured=r.random() < 0.1,
        mixed=r.random() < 0.06,
    )
    large = random.Random(f"large {seed}")
    if large.random() < 0.1:  # rows of whole vectors, and their last few numbers
        return replace(made, features=large.choice([15, 16, 17, 33, 40]), columns=large.choice([3, 16, 33]))
    return made


def shaken(values: np.ndarray, times: float, r: np.random.Generator) -> np.ndarray:
    """Numbers changed by so many epsilons or not at all; whole numbers stay, because they are often exact."""
    if values.dtype.kind != "f" or not times:
        return values
    signs = r.integers(-1, 2, values.shape).astype(values.dtype)
    return np.where(
        values == np.round(values), values, values * (1 + times * np.finfo(values.dtype).eps * signs)
    ).astype(values.dtype)


def placed(values: np.ndarray, layout: str) -> np.ndarray:
    """A new array with these numbers in this memory layout."""
    if values.ndim == 0 or layout == "C":
        return values.copy()
    shape, dtype = values.shape, values.dtype
    if layout == "F":
        made = np.empty(shape, dtype, order="F")
    elif layout == "transposed":
        made = np.empty(shape[::-1], dtype).T
    elif layout == "reversed":
        made = np.empty(shape, dtype)[::-1]
    elif layout == "backwards":
        made = np.empty(shape, dtype)[..., ::-1]
    elif layout == "strided":
        made = np.empty((*shape[:-1], 2 * shape[-1]), dtype)[..., ::2]
    elif layout == "offset":
        made = np.empty((shape[0] + 2, *shape[1:]), dtype)[1:-1]
    elif layout == "broadcast":
        return np.broadcast_to(values[:1].copy(), shape)
    elif layout == "swapped":
        made = np.empty(shape, dtype.newbyteorder())
    elif layout == "unaligned":
        raw = np.zeros(values.nbytes + 1, np.uint8)
        made = np.ndarray(shape, dtype, raw.data, offset=1)
    else:
        made = values.copy()
    made[...] = values
    return read_only(made) if layout == "read-only" else made


def read_only(x: np.ndarray) -> np.ndarray:
    """A view that cannot be written; its base can."""
    view = x[...]
    view.flags.writeable = False
    return view


def refill(old: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The same array with other numbers in it."""
    own = old
    while not own.flags.writeable and isinstance(own.base, np.ndarray):
        own = own.base
    if own.shape == values.shape:
        own[...] = values
    elif own.ndim == values.ndim:  # a broadcast line
        own[...] = values[: own.shape[0]]
    return old


class Inputs:
    """The arrays of one run: the same for the same setup, except for ``shake``."""

    def __init__(self, setup: Setup, shake: float = 0) -> None:
        self.setup = setup
        self.shake = shake
        self._buffers: dict[tuple[int, str, tuple[int, ...]], np.ndarray] = {}
        self.k0 = shaken(np.array([0.5, -1.25, 2.1]), shake, np.random.default_rng([setup.seed, 9]))

    def between(self, call: int) -> None:
        """Before a call, write the array that the step has captured."""
        if self.setup.captured and call == 2:
            self.k0 *= -2

    def state(self, call: int = 0) -> Any:
        """A new state."""
        s = self.setup
        r = np.random.default_rng([s.seed, 1, call])
        w = self._array(r, (s.features, s.columns), 4)
        g = w[:, 0] if s.shared == "two leaves" else self._array(r, (s.features,), 5)
        t: Any = {"array": np.zeros(()), "integer": np.zeros((), np.int32), "scalar": np.float64(0), "python": 0}[
            s.number
        ]
        return pack(s.structure, w, g, t)

    def batch(self, call: int, state: Any) -> Any:
        """The batch of a call: x, y, labels, mask, t."""
        s = self.setup
        r = np.random.default_rng([s.seed, 2, 0 if s.supply == "same" else call])
        n = s.rows[call % len(s.rows)]
        first = s.first if call == 0 else "generic"
        x, y = r.standard_normal((n, s.features)), r.standard_normal((n, s.columns))
        labels, mask, t = r.integers(0, 3, n), r.random((n, s.features)) < 0.5, np.array(0.1 * call + 0.7)
        if first in ("zeros", "ones"):
            x[...], y[...], labels[...], t[...] = first == "ones", first == "ones", first == "ones", first == "ones"
        if first in ("no mask", "zeros"):
            mask[...] = False
        if first == "equal rows":
            x[...], y[...] = x[:1], y[:1]
        if first == "t is 0":
            t[...] = 0
        kinds = (s.dtype_of(call), s.dtype_of(call), "int64", "bool")
        made = [
            self._leaf(shaken(v.astype(kind), self.shake, r), i, call, name)
            for i, (name, v, kind) in enumerate(
                zip(("x", "y", "labels", "mask"), (x, y, labels, mask), kinds, strict=True)
            )
        ]
        made.append(self._leaf(shaken(t, self.shake, r), 9, call, "t"))
        if s.shared == "x twice":
            made[1] = made[0]
        elif s.shared == "x in one buffer" and n:
            made[1] = made[0][::-1]
        elif s.shared == "x is state":
            made[0] = unpack(s.structure, state)[0]
        elif s.shared == "x is in state":
            made[0] = unpack(s.structure, state)[0][:, :1].T
        return tuple(made)

    def _leaf(self, values: np.ndarray, i: int, call: int, name: str) -> np.ndarray:
        layout = self._layout(i, call)
        if self.setup.supply == "fresh":
            return placed(values, layout)
        key = (call % 2 if self.setup.supply == "two" else 0, f"{name} {layout} {values.dtype}", values.shape)
        if key not in self._buffers:
            self._buffers[key] = placed(values, layout)
        return refill(self._buffers[key], values)

    def _array(self, r: np.random.Generator, shape: tuple[int, ...], i: int) -> np.ndarray:
        values = shaken((0.5 * r.standard_normal(shape)).astype(self.setup.dtype), self.shake, r)
        layout = self._layout(i, 0)
        return placed(values, "C" if layout in ("read-only", "broadcast") else layout)

    def _layout(self, i: int, call: int) -> str:
        layouts = self.setup.layouts
        return layouts[(i + call * self.setup.moving) % len(layouts)]


def pack(structure: str, w: Any, g: Any, t: Any) -> Any:
    """A state of this structure."""
    if structure == "dict":
        return {"w": w, "g": g, "t": t}
    if structure == "ordered":
        return OrderedDict(w=w, g=g, t=t)
    if structure == "nested":
        return {"p": (w, [g]), "t": t}
    if structure == "pair":
        return Pair(w, (g, t))
    return [w, g, t] if structure == "list" else (w, g, t)


def unpack(structure: str, state: Any) -> tuple[Any, Any, Any]:
    """w, g and t of a state."""
    if structure in ("dict", "ordered"):
        return state["w"], state["g"], state["t"]
    if structure == "nested":
        return state["p"][0], state["p"][1][0], state["t"]
    if structure == "pair":
        return state.first, *state.second
    return tuple(state)
