"""Statements of a random step: which operands meet in the expressions of tables."""

from __future__ import annotations

import random
from typing import Any

from tests.fuzz import tables
from tests.fuzz.writer import Writer, Written

__all__ = ["writer"]

UNARY = """
    tanh exp sqrt abs log1p expm1 square floor ceil trunc rint sign negative reciprocal sin cos arctan sinh isnan
    isfinite signbit log log2 exp2 cbrt positive absolute fabs isinf logical_not arcsinh log10 degrees spacing
"""
BINARY = """
    maximum minimum hypot arctan2 copysign fmod remainder floor_divide logaddexp power heaviside add subtract
    multiply divide true_divide fmax fmin greater less equal not_equal greater_equal less_equal logical_and
    logical_or logical_xor nextafter float_power mod
"""
OPERATORS = ("+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=")
BITWISE = ("&", "|", "^", "<<", ">>")
REDUCTIONS = """
    sum mean max min prod any all argmax argmin var std count_nonzero cumsum cumprod median ptp
    sum mean max min sum mean max min sum mean max min sum mean max min
"""
DTYPES = "np.float32 np.float64 np.int32 np.int64 np.int8 np.uint8 bool np.float16 float int"
BOUNDS = (("-0.5", "0.75"), ("0", "2.5"), ("-1", "1"), ("0", "None"), ("None", "1.5"))


def _unary(w: Writer) -> str | None:
    a, name = w.pick("fffi"), w.word(UNARY)
    if a is None:
        return None
    if name in ("log", "log2", "log10", "sqrt"):
        return w.expression(f"{w.space()}.{name}({w.space()}.abs({a}) + 0.5)")
    sign = w.r.choice(["-{a}", "abs({a})", "~({a} > 0)", "+{a}"]).format(a=a)
    return w.expression(sign if w.r.random() < 0.2 else f"{w.space()}.{name}({a})")


def _binary(w: Writer) -> str | None:
    a, b = w.two("fffiub")
    if a is None or b is None:
        return None
    if w.r.random() < 0.35:
        return w.expression(f"{w.space()}.{w.word(BINARY)}({a}, {b})")
    op = w.r.choice(OPERATORS)
    apart = op in ("/", "//", "%") and w.r.random() < 0.7
    return w.expression(f"{a} {op} ({b} * 0.5 + 1.3)" if apart else f"{a} {op} {b}")


def _with_number(w: Writer) -> str | None:
    a, c, op = w.pick("ffi"), w.number(), w.r.choice(OPERATORS)
    if a is None:
        return None
    if w.r.random() < 0.2:
        return w.expression(f"{w.space()}.{w.word(BINARY)}({a}, {c})")
    return w.expression(w.r.choice([f"{a} {op} {c}", f"{c} {op} {a}"]))


def _bits(w: Writer) -> str | None:
    a, b = w.two("iub")
    if a is None or b is None:
        return None
    op, right = w.r.choice(BITWISE), w.r.choice([b, "3", "1", "255", f"({b} & 7)"])
    return w.expression(w.r.choice([f"{a} {op} {right}", f"~{a}", f"{a} // {right}", f"{a} % {right}"]))


def _choice(w: Writer) -> str | None:
    a, b = w.two("ffi")
    if a is None or b is None:
        return None
    mask = w.partner(a, "b")
    test = mask if mask is not None and w.r.random() < 0.6 else w.r.choice([f"{a} > {b}", f"{a} <= 0", f"{a} != {b}"])
    c, d = w.number(), w.number()
    left, right = w.r.choice([(a, b), (a, c), (c, b), (c, d), (f"{a} * 2", "-0.0")])
    low, high = w.r.choice([*BOUNDS, (b, "None")])
    clip = w.r.choice(["np.clip({a}, {low}, {high})", "{a}.clip({low}, {high})", "xp.clip({a}, {low}, {high})"])
    chosen = w.r.random() < 0.7
    return w.expression(
        f"{w.space()}.where({test}, {left}, {right})" if chosen else clip.format(a=a, low=low, high=high)
    )


def _reduced(w: Writer) -> str | None:
    a, name = w.pick("fffib"), w.word(REDUCTIONS)
    if a is None:
        return None
    axis = w.axis(a)
    keep = ", keepdims=True" if w.r.random() < 0.35 and name not in ("cumsum", "cumprod") else ""
    if name == "median" or w.r.random() < 0.75:
        return w.expression(f"{w.space()}.{name}({a}, axis={axis}{keep})")
    return w.expression(w.r.choice([f"{a}.{name}({axis}{keep})", f"np.{name}({a}, {axis})", f"{a}.{name}()"]))


def _reduced_typed(w: Writer) -> str | None:
    a, dtype = w.pick("fib"), w.word("np.float32 np.float64 np.int32 np.int64")
    name = w.r.choice(["sum", "mean", "prod"])
    return a and w.expression(f"{w.space()}.{name}({a}, axis={w.axis(a)}, dtype={dtype})")


def _normalised(w: Writer) -> str | None:
    a = w.array("f")
    over = w.r.choice(tables.OVER)
    return a and w.expression(w.r.choice(tables.NORMALISED).replace("{over}", over).format(a=a))


def _constant(w: Writer) -> str | None:
    a = w.array("fib", axes=0)
    reduced = w.r.choice(["{0}", "{0}", "np.sum({0})", "np.sum({0}, axis=-1)", "np.max({0}, axis=0)", "np.mean({0})"])
    return a and w.expression(reduced.format(w.form(tables.CONSTANTS, a)))


def _product(w: Writer) -> str | None:
    a = w.array("ffffi")
    b = None if a is None else w.pick("ffffi", lambda v: v.ndim >= 1 and w.shape(a)[-1] in v.shape)
    return None if a is None or b is None else w.expression(w.form(tables.PRODUCTS, a, b))


def _cast(w: Writer) -> str | None:
    a, dtype = w.pick("fiub"), w.word(DTYPES)
    forms = [f"{a}.astype({dtype})", f"xp.astype({a}, np.dtype({dtype}))", f"{a}.astype({dtype}, copy=False)"]
    return a and w.expression(w.r.choice(forms))


def _view(w: Writer) -> str | None:
    a = w.array("fffib")
    return a and w.expression(w.form(tables.VIEWS, a))


def _reshaped(w: Writer) -> str | None:
    a = w.array("fffib")
    return a and w.expression(w.form(tables.RESHAPED, a))


def _arranged(w: Writer) -> str | None:
    a = w.array("fffi")
    b = None if a is None else w.pick("fffi", lambda v: v.shape == w.shape(a))
    return None if a is None or b is None else w.expression(w.form(tables.ARRANGED, a, b))


def _indexed(w: Writer) -> str | None:
    a = w.array("fffi")
    return a and w.expression(w.form(tables.INDEXED, a))


def _nested(w: Writer) -> str | None:
    a, b = w.two("f")
    return None if a is None or b is None else w.form(tables.NESTED, a, b)


def _written(w: Writer) -> str | None:
    """A fresh array, written in place."""
    a, b = w.two("fffi")
    if a is None or b is None:
        return None
    y, op = w.name(), w.word("+= -= *= += -= *= /= //= %= **= &= |=")
    what = w.r.choice([b, w.number(), f"np.mean({b})", f"{b} * 0.5"])
    return f"{y} = {w.form(tables.FRESH, a)}\n{y} {op} {what}"


def _aliased(w: Writer) -> str | None:
    """One array under two names, one of them written: NumPy rebinds scalars and writes into 0-d arrays."""
    a, b = w.two("fffi")
    if a is None or b is None:
        return None
    y, z, op = w.name(), w.name(), w.word("+= -= *=")
    view = w.r.choice(tables.ALIASED).replace("{y}", y)
    what = w.r.choice(
        [f"np.mean({b})", "1", "0.1", "c0", b, "0.3", "np.mean(t) * 0.1", "np.mean(b) * 0.1", f"np.mean({z})"]
    )
    return f"{y} = {w.form(tables.FRESH, a)}\n{z} = {y}{view}\n{w.r.choice([y, z])} {op} {what}"


def _assigned(w: Writer) -> str | None:
    a = w.array("f")
    b = None if a is None else w.pick("f", lambda v: v.shape == w.shape(a))
    return None if a is None or b is None else w.form(tables.ASSIGNED, a, b)


def _by_value(w: Writer) -> str | None:
    a = w.pick("f")
    return a and w.form(tables.BY_VALUE, a)


FORMS: list[tuple[int, Written]] = [
    (8, _unary),
    (10, _binary),
    (8, _with_number),
    (3, _bits),
    (5, _choice),
    (9, _reduced),
    (2, _normalised),
    (3, _constant),
    (5, _product),
    (2, _cast),
    (2, _nested),
    (7, _view),
    (6, _reshaped),
    (5, _arranged),
    (4, _indexed),
    (4, _written),
    (5, _aliased),
]
RARE: list[tuple[int, Written]] = [(2, _assigned), (2, _by_value), (2, _reduced_typed)]
"""Statements that often cannot be planned: only some programs have them, so that most can be planned."""


def writer(r: random.Random, samples: list[dict[str, Any]]) -> Writer:
    """A writer that prefers some kinds of statements, different ones in each program."""
    forms = [(weight * r.choice([0, 1, 1, 1, 4]), form) for weight, form in FORMS]
    forms += [(weight * (r.random() < 0.12), form) for weight, form in RARE]
    return Writer(r, samples, [*forms, (1, _unary)])
