"""Layouts: named arrays in the vectors of θ.

A network is a point θ in a space of n dimensions. If the arrays of a library can be written, θ is one vector and every
parameter is a view of it. If they cannot (JAX), θ has one vector for each parameter, because under jit slicing and
concatenating one vector takes many times as long. So θ is a tuple of 1-D vectors, and only the Layout knows how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import ReferenceType, ref

from dlarray.core.array import Array, array_namespace, device, fits, is_array, size
from dlarray.core.layer import Shape

__all__ = ["Layout", "Slot", "Theta"]

Theta = tuple[Array, ...]
"""A point in parameter space: a tuple of 1-D vectors."""

_Shapes = tuple[tuple[str, Shape], ...]
"""The names and shapes of arrays, in order."""

_ALIGNMENT = 64
"""Each slot starts at a multiple of this number of elements, so a weight after a bias of 10 numbers is aligned."""


_registered: dict[int, tuple[ReferenceType[Any], _Shapes]] = {}
"""The contents of the vectors that the library has made, by the id of the vector."""


@dataclass(frozen=True)
class Slot:
    """The position of one array in θ: the vector's number, the first element, the one after the last, and the shape."""

    vector: int
    start: int
    stop: int
    shape: Shape


@dataclass(frozen=True)
class Layout:
    """Names and shapes, in order. With ``per_parameter`` each array has its own vector; by default all share one."""

    shapes: _Shapes
    per_parameter: bool = False

    def __post_init__(self) -> None:
        if len(self.slots) != len(self.shapes):
            raise ValueError(f"the names of a layout must differ, got {[name for name, _ in self.shapes]}")

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """The slot of each array, by name."""
        slots: dict[str, Slot] = {}
        start = 0
        for i, (name, shape) in enumerate(self.shapes):
            n = size(shape)
            slots[name] = Slot(i, 0, n, shape) if self.per_parameter else Slot(0, start, start + n, shape)
            start += n + -n % _ALIGNMENT
        return slots

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The length of each vector, including the padding between slots."""
        if self.per_parameter:
            return tuple(size(shape) for _, shape in self.shapes)
        return (sum(size(shape) + -size(shape) % _ALIGNMENT for _, shape in self.shapes),) if self.shapes else ()

    @property
    def count(self) -> int:
        """The number of elements, without padding."""
        return sum(size(shape) for _, shape in self.shapes)

    def split_up(self) -> Layout:
        """The same names and shapes with one vector for each array."""
        return Layout(self.shapes, per_parameter=True)

    def split(self, theta: Theta) -> dict[str, Array]:
        """The arrays by name, as views of θ if the library has views. Raises ValueError if θ has another layout."""
        self.check(theta)
        arrays: dict[str, Array] = {}
        for name, slot in self.slots.items():
            vector = theta[slot.vector]
            part = vector if self.per_parameter else vector[slot.start : slot.stop]
            arrays[name] = array_namespace(vector).reshape(part, slot.shape)
        return arrays

    def join(self, arrays: Mapping[str, Array]) -> Theta:
        """θ from arrays by name; padding is 0. Raises ValueError if names or shapes differ from those of the layout."""
        if unknown := arrays.keys() ^ self.slots.keys():
            raise ValueError(f"the layout holds {list(self.slots)}; the arrays given differ in {sorted(unknown)}")
        parts: list[list[Array]] = [[] for _ in self.lengths]
        for name, slot in self.slots.items():
            x = arrays[name]
            if not fits(tuple(x.shape), slot.shape):
                raise ValueError(f"{name} must have shape {slot.shape}, got {tuple(x.shape)}")
            xp = array_namespace(x)
            parts[slot.vector].append(xp.reshape(x, (size(slot.shape),)))
            if not self.per_parameter and (padding := -size(slot.shape) % _ALIGNMENT):
                parts[slot.vector].append(xp.zeros(padding, dtype=x.dtype, device=device(x)))
        return tuple(p[0] if self.per_parameter else array_namespace(p[0]).concat(p) for p in parts)

    def mask(self, predicate: Callable[[str], bool], like: Theta) -> Theta:
        """1 in the slots of the arrays whose names the predicate accepts, 0 elsewhere, with dtype and device of θ."""
        marks: dict[str, Array] = {}
        for name, slot in self.slots.items():
            vector = like[slot.vector]
            value = 1.0 if predicate(name) else 0.0
            marks[name] = array_namespace(vector).full(slot.shape, value, dtype=vector.dtype, device=device(vector))
        return self.join(marks)

    @cached_property
    def _contents(self) -> list[_Shapes]:
        """The arrays in each vector."""
        return [(item,) for item in self.shapes] if self.per_parameter else [self.shapes] if self.shapes else []

    def register(self, theta: Theta) -> Theta:
        """θ itself, registered with this layout: other layouts with vectors of the same lengths then refuse it."""
        for vector, contents in zip(theta, self._contents, strict=True):
            key = id(vector)

            def forget(gone: ReferenceType[Any], key: int = key) -> None:
                if (entry := _registered.get(key)) is not None and entry[0] is gone:
                    del _registered[key]

            try:
                _registered[key] = ref(vector, forget), contents
            except TypeError:  # arrays without weak references: only lengths are compared
                return theta
        return theta

    def check(self, theta: Theta) -> None:
        """Raise ValueError or TypeError if θ does not fit this layout, or was made for another one.

        Different layouts can have vectors of the same lengths, such as 2 × 3 and 3 × 2 weights. A θ that the library
        has made is compared by the shapes in it; of one that is computed from it only the lengths are compared.
        """
        if not isinstance(theta, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"theta must be a tuple of vectors, as init() returns it, got {type(theta).__name__}")
        if strange := [type(vector).__name__ for vector in theta if not is_array(vector)]:
            raise TypeError(f"theta must be a tuple of vectors, as init() returns it, got a {strange[0]} in it")
        given = [tuple(vector.shape) for vector in theta]
        if given != [(n,) for n in self.lengths]:
            raise ValueError(f"theta must hold vectors of lengths {list(self.lengths)}, got shapes {given}")
        for vector, own in zip(theta, self._contents, strict=True):
            entry = _registered.get(id(vector))
            if entry is not None and entry[0]() is vector and [s for _, s in entry[1]] != [s for _, s in own]:
                raise ValueError(f"theta is of another model: it holds {_listed(entry[1])}, this has {_listed(own)}")


def _listed(shapes: _Shapes) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes)
