"""Layout: names and places of many arrays in one vector.

A network is a point θ in a space of n dimensions. On libraries whose arrays can be written, θ is one vector and every
parameter a view of it. Where they cannot (JAX), each parameter is a vector of its own: under jit, slicing and
concatenating one vector costs many times as much as the list. So θ is a tuple of 1-D vectors, and only the Layout knows
of how many.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from weakref import ReferenceType, ref

from dlarray.core.array import Array, array_namespace, device, is_array, size
from dlarray.core.layer import Shape

__all__ = ["Layout", "Slot", "Theta"]

Theta = tuple[Array, ...]
"""A point in parameter space: a tuple of 1-D vectors."""

_Shapes = tuple[tuple[str, Shape], ...]
"""Arrays by name and shape, in order."""

_ALIGNMENT = 64
"""Each place starts on a multiple of this many elements, so that a weight behind a 10-long bias stays aligned."""


_signed: dict[int, tuple[ReferenceType[Any], _Shapes]] = {}
"""What lies in the vectors that the library has handed out, by the vector's id: a vector itself does not tell."""


@dataclass(frozen=True)
class Slot:
    """Where one array lies: in which vector, from which element to which, and in what shape."""

    vector: int
    start: int
    stop: int
    shape: Shape


@dataclass(frozen=True)
class Layout:
    """Names and shapes, in order; ``apart`` gives every array a vector of its own."""

    shapes: _Shapes
    per_parameter: bool = False

    def __post_init__(self) -> None:
        if len(self.slots) != len(self.shapes):
            raise ValueError(f"the names of a layout must differ, got {[name for name, _ in self.shapes]}")

    @cached_property
    def slots(self) -> dict[str, Slot]:
        """The place of each array by name."""
        places: dict[str, Slot] = {}
        start = 0
        for i, (name, shape) in enumerate(self.shapes):
            n = size(shape)
            places[name] = Slot(i, 0, n, shape) if self.per_parameter else Slot(0, start, start + n, shape)
            start += n + -n % _ALIGNMENT
        return places

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The length of each vector, the padding between places included."""
        if self.per_parameter:
            return tuple(size(shape) for _, shape in self.shapes)
        return (sum(size(shape) + -size(shape) % _ALIGNMENT for _, shape in self.shapes),) if self.shapes else ()

    @property
    def count(self) -> int:
        """The number of numbers, without padding."""
        return sum(size(shape) for _, shape in self.shapes)

    def split_up(self) -> Layout:
        """The same names and shapes with one vector per array."""
        return Layout(self.shapes, per_parameter=True)

    def split(self, theta: Theta) -> dict[str, Array]:
        """The arrays by name: views of θ where the library has them. Raises ValueError where θ is of another layout."""
        self.check(theta)
        arrays: dict[str, Array] = {}
        for name, place in self.slots.items():
            vector = theta[place.vector]
            part = vector if self.per_parameter else vector[place.start : place.stop]
            arrays[name] = array_namespace(vector).reshape(part, place.shape)
        return arrays

    def join(self, arrays: Mapping[str, Array]) -> Theta:
        """θ from arrays by name; padding is 0. Raises ValueError where names or shapes differ from the layout's."""
        if unknown := arrays.keys() ^ self.slots.keys():
            raise ValueError(f"the layout holds {list(self.slots)}; the arrays given differ in {sorted(unknown)}")
        parts: list[list[Array]] = [[] for _ in self.lengths]
        for name, place in self.slots.items():
            x = arrays[name]
            if tuple(x.shape) != place.shape:
                raise ValueError(f"{name} must have shape {place.shape}, got {tuple(x.shape)}")
            xp = array_namespace(x)
            parts[place.vector].append(xp.reshape(x, (-1,)))
            if not self.per_parameter and (padding := -size(place.shape) % _ALIGNMENT):
                parts[place.vector].append(xp.zeros(padding, dtype=x.dtype, device=device(x)))
        return tuple(p[0] if self.per_parameter else array_namespace(p[0]).concat(p) for p in parts)

    def mask(self, predicate: Callable[[str], bool], like: Theta) -> Theta:
        """1 in the places of the arrays whose names the predicate accepts, 0 elsewhere, in θ's own types and places."""
        marks: dict[str, Array] = {}
        for name, place in self.slots.items():
            vector = like[place.vector]
            value = 1.0 if predicate(name) else 0.0
            marks[name] = array_namespace(vector).full(place.shape, value, dtype=vector.dtype, device=device(vector))
        return self.join(marks)

    @cached_property
    def _contents(self) -> list[_Shapes]:
        """What lies in each vector."""
        return [(item,) for item in self.shapes] if self.per_parameter else [self.shapes] if self.shapes else []

    def sign(self, theta: Theta) -> Theta:
        """θ itself, known from now on to be of this layout: another one with vectors of the same lengths refuses it."""
        for vector, contents in zip(theta, self._contents, strict=True):
            key = id(vector)

            def forget(gone: ReferenceType[Any], key: int = key) -> None:
                if (entry := _signed.get(key)) is not None and entry[0] is gone:
                    del _signed[key]

            try:
                _signed[key] = ref(vector, forget), contents
            except TypeError:  # a library whose arrays nobody can look after: lengths alone are compared
                return theta
        return theta

    def check(self, theta: Theta) -> None:
        """Raise ValueError or TypeError where θ does not fit this layout, or was made for another one.

        Layouts may have vectors of the same lengths: 2 × 3 and 3 × 2 weights, or all that is padded alike. θ that the
        library has made is known by the shapes in it; of one computed from it lengths alone are compared.
        """
        if not isinstance(theta, tuple):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"theta must be a tuple of vectors, as init() returns it, got {type(theta).__name__}")
        if strange := [type(vector).__name__ for vector in theta if not is_array(vector)]:
            raise TypeError(f"theta must be a tuple of vectors, as init() returns it, got a {strange[0]} in it")
        given = [tuple(vector.shape) for vector in theta]
        if given != [(n,) for n in self.lengths]:
            raise ValueError(f"theta must hold vectors of lengths {list(self.lengths)}, got shapes {given}")
        for vector, own in zip(theta, self._contents, strict=True):
            entry = _signed.get(id(vector))
            if entry is not None and entry[0]() is vector and [s for _, s in entry[1]] != [s for _, s in own]:
                raise ValueError(f"theta is of another model: it holds {_listed(entry[1])}, this has {_listed(own)}")


def _listed(shapes: _Shapes) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in shapes)
