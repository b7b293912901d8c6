"""The instructions of a random program: each makes a value from earlier values, and can be planned.

An instruction takes its operands by numbers that are reduced to what fits, so a program stays valid when instructions
are dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

__all__ = ["INSTRUCTIONS", "Choices", "Values", "is_float", "pick"]

Values = list[Any]
Choices = tuple[int, ...]


class Sizes(Protocol):
    """The interface of a program for its instructions."""

    @property
    def rows(self) -> int: ...
    @property
    def cols(self) -> int: ...
    @property
    def dtype(self) -> str: ...


def is_float(v: Any) -> bool:
    return v.dtype.kind == "f"


def is_bool(v: Any) -> bool:
    return v.dtype.kind == "b"


def is_integer(v: Any) -> bool:
    return v.dtype.kind == "i"


def is_matrix(v: Any) -> bool:
    return is_float(v) and v.ndim == 2


def pick(values: Values, choice: int, fits: Callable[[Any], bool]) -> Any:
    fitting = [v for v in values if fits(v)]
    return fitting[choice % len(fitting)] if fitting else None


def partner(values: Values, choice: int, a: Any, fits: Callable[[Any], bool]) -> Any:
    """A value that can be broadcast with a."""

    def meets(v: Any) -> bool:
        try:
            shape = np.broadcast_shapes(v.shape, a.shape)
        except ValueError:
            return False
        return fits(v) and v.dtype == a.dtype and np.prod(shape) <= 5000

    return pick(values, choice, meets)


Instruction = Callable[[Any, Values, Choices, Sizes], Any]
INSTRUCTIONS: dict[str, Instruction] = {}


def _instruction(f: Instruction) -> Instruction:
    INSTRUCTIONS[f.__name__] = f
    return f


@_instruction
def unary(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_float)
    forms: list[Callable[[Any], Any]] = [
        xp.tanh,
        lambda a: xp.exp(-xp.abs(a)),
        lambda a: xp.sqrt(xp.abs(a)),
        lambda a: xp.log1p(xp.abs(a)),
        lambda a: xp.expm1(xp.minimum(a, 1.0)),
        lambda a: -a,
        xp.sign,
        xp.floor,
        lambda a: xp.square(xp.tanh(a)),
        lambda a: 1 / (1 + xp.abs(a)),
        lambda a: xp.clip(a, -0.5, 0.75),
        lambda a: xp.maximum(a, 0.0),
        lambda a: 2.5 - a * 0.5,
        lambda a: xp.tanh(a) ** 2,
        lambda a: xp.pow(xp.abs(a), 1.5) / 3,  # not the operator, which has another power for NumPy's scalars
    ]
    return forms[c[1] % len(forms)](a)


@_instruction
def binary(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_float)
    b = partner(values, c[1], a, is_float)
    forms: list[Callable[[Any, Any], Any]] = [
        lambda a, b: a + b,
        lambda a, b: a - b,
        lambda a, b: xp.tanh(a) * b,
        lambda a, b: a / (1 + xp.abs(b)),
        xp.maximum,
        xp.minimum,
        lambda a, b: xp.where(a > b, a, 0.5 * b),
        lambda a, b: xp.where(a > b, a, 0.0),
        lambda a, b: xp.where(a <= b, 0.0, b),
        lambda a, b: xp.astype(a != b, a.dtype),
    ]
    return forms[c[2] % len(forms)](a, b)


@_instruction
def compare(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_float)
    return [lambda a: a > 0.1, lambda a: xp.isfinite(a), lambda a: a <= 0, lambda a: ~(a == 0)][c[1] % 4](a)


@_instruction
def logical(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_bool)
    b = partner(values, c[1], a, is_bool)
    return [lambda a, b: a & b, lambda a, b: a | ~b, xp.logical_xor, lambda a, b: xp.logical_and(a, xp.logical_not(b))][
        c[2] % 4
    ](a, b)


@_instruction
def masked(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_bool)
    forms = [lambda a: xp.astype(a, xp.float32), lambda a: xp.where(a, 1.0, 0.25), lambda a: xp.astype(a, xp.int32)]
    return xp.astype(forms[c[1] % 3](a), getattr(xp, program.dtype))


@_instruction
def count(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    labels, n = values[2], program.cols
    forms: list[Callable[[], Any]] = [
        lambda: xp.reshape(labels, (-1, 1)) == xp.arange(n, dtype=labels.dtype),
        lambda: (
            xp.reshape((xp.arange(program.rows * n, dtype=xp.int32) ^ (labels[:1] + 7)) * 40503 >> 3, (program.rows, n))
            & 255
        ),
        lambda: labels * 3 + 1,
        lambda: values[6] * 2 + 1,
        lambda: xp.reshape(values[6], (1,)) ^ 12345,
    ]
    if program.rows == 0 and c[0] % 5 == 1:
        return None
    return forms[c[0] % 5]()


@_instruction
def bits(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_integer)
    b = partner(values, c[1], a, is_integer)
    forms = [
        lambda a, b: a ^ b,
        lambda a, b: (a & 1023) + b,
        lambda a, b: (a >> 2) | 1,
        lambda a, b: a < b,
        lambda a, b: -a,
    ]
    return forms[c[2] % 5](a, b)


@_instruction
def to_float(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_integer)
    return xp.astype(a & 15, getattr(xp, program.dtype)) / 16


@_instruction
def reduce(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_float)
    name = ["sum", "mean", "sum", "max", "min"][c[1] % 5]
    axes = [None, *range(-a.ndim, a.ndim)]
    axis = axes[c[2] % len(axes)]
    if 0 in a.shape and name != "sum":
        return None
    return getattr(xp, name)(a, axis=axis, keepdims=bool(c[3] % 2)) / max(program.cols, 1)


@_instruction
def view(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], lambda v: v.ndim > 0)
    n = a.shape[-1]
    forms: list[Callable[[], Any]] = [
        lambda: a[0] if a.shape[0] else None,
        lambda: a[..., : max(n - 1, 0)],
        lambda: a[::2],
        lambda: a[..., ::-1],
        lambda: xp.permute_dims(a, tuple(reversed(range(a.ndim)))),
        lambda: xp.reshape(a, (-1,)),
        lambda: xp.reshape(a, (a.shape[-1], a.shape[0]) if a.ndim == 2 else (1, -1)),
        lambda: xp.expand_dims(a, axis=c[2] % (a.ndim + 1)),
        lambda: a[..., 0:1],
        lambda: a[(0,) * a.ndim] if 0 not in a.shape else None,
        lambda: xp.reshape(a, (*a.shape, 1)),
        lambda: a[1:, ...],
    ]
    return forms[c[1] % len(forms)]()


@_instruction
def product(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_matrix)
    b = pick(values, c[1], lambda v: is_matrix(v) and v.dtype == a.dtype and v.shape[0] in a.shape)
    if b is None:
        return None
    return 0.3 * ((a if b.shape[0] == a.shape[1] else a.T) @ b)


@_instruction
def in_place(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    a = pick(values, c[0], is_float)
    b = partner(values, c[1], a, is_float)
    y = a + 0.0
    if np.broadcast_shapes(a.shape, b.shape) != a.shape:
        return None
    y *= 0.7
    if c[2] % 3 == 0:
        old = y + 0
        y += b
        return y - 0.5 * old
    if c[2] % 3 == 1:
        y -= b
        y /= 1 + xp.abs(a)
    else:
        y += b
    return y


@_instruction
def alias(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    """Written under one name, read under another: the planner must refuse or do the same as NumPy."""
    if c[2] % 12:
        return None
    a = pick(values, c[0], lambda v: is_float(v) and v.ndim > 0)
    y = a * 1.5
    part = y[:1]
    if c[1] % 2:
        part += 1.0
        return y + 0
    y += 1.0
    return part * 2


@_instruction
def rows_again(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    """Like softmax: a value is reduced by rows and then read again, perhaps with its own operands."""
    a = pick(values, c[0], lambda v: is_matrix(v) and 0 not in v.shape)
    if a is None:
        return None
    b = xp.exp(a - xp.max(a, axis=-1, keepdims=True))
    b /= xp.sum(b, axis=-1, keepdims=True)
    return b * a if c[1] % 2 else b


@_instruction
def joined(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    parts = [xp.reshape(pick(values, i, lambda v: v.dtype == program.dtype), (-1,)) for i in c[:3]]
    if c[3] % 2:
        parts.append(xp.zeros(5, dtype=getattr(xp, program.dtype)))
    whole = xp.concat(parts)
    return whole if whole.shape[0] <= 5000 else None


@_instruction
def unknown(xp: Any, values: Values, c: Choices, program: Sizes) -> Any:
    """Operations that the planner leaves to NumPy."""
    a = pick(values, c[0], lambda v: is_float(v) and v.ndim > 0)
    if 0 in a.shape:
        return None
    forms: list[Callable[[], Any]] = [
        lambda: xp.cumulative_sum(a, axis=0),
        lambda: xp.sort(a, axis=-1),
        lambda: xp.var(a),
        lambda: xp.take(a, values[2] % a.shape[0], axis=0),
        lambda: xp.flip(a, axis=0),
        lambda: xp.stack([a, a * 2])[1],
        lambda: xp.astype(xp.argmax(a, axis=-1), xp.int32) & 3,
        lambda: xp.sum(xp.broadcast_to(a, (2, *a.shape)), axis=0),
    ]
    made = forms[c[1] % len(forms)]()
    return made if made.size <= 5000 else None
