"""The instructions of PTX that compute on registers: the types of their operands, and a function of arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.fakes.ptx import arithmetic
from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.opcodes import DTYPES, Meaning, finished, kinds_of, only, rounding

__all__ = ["meaning"]


def meaning(opcode: tuple[str, ...]) -> Meaning:
    """Raises NotImplementedError by the instruction's name."""
    kinds = kinds_of(opcode)
    build = _BUILD.get(opcode[0])
    if build is None or not kinds:
        raise NotImplementedError(f"this instruction of PTX: {'.'.join(opcode)}")
    return build(opcode, kinds)


def _floats(opcode: Sequence[str], kind: str, singles: Callable[..., Array], doubles: Callable[..., Array], n: int):
    if kind == "f64":
        only(opcode, "rn")
        return Meaning(kind, [kind] * n, doubles)
    found = only(opcode, "rn rz rm rp ftz sat")
    how = rounding(found)
    return Meaning(kind, [kind] * n, finished(found, lambda *args: singles(*args, how)))


def _add(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    if kinds[0][0] == "f":
        return _floats(opcode, kinds[0], arithmetic.add_single, np.add, 2)
    only(opcode)
    return Meaning(kinds[0], kinds * 2, np.add)


def _subtract(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    if kinds[0][0] == "f":
        return _floats(
            opcode, kinds[0], lambda a, b, how: arithmetic.add_single(a, np.negative(b), how), np.subtract, 2
        )
    only(opcode)
    return Meaning(kinds[0], kinds * 2, np.subtract)


_PRODUCTS: dict[str, Callable[..., Array]] = {
    "lo": np.multiply,
    "hi": arithmetic.high_product,
    "wide": arithmetic.wide_product,
}


def _multiply(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    kind = kinds[0]
    if kind[0] == "f":
        return _floats(opcode, kind, arithmetic.mul_single, np.multiply, 2)
    (which,) = only(opcode, "lo hi wide")
    return Meaning(_wide(kind) if which == "wide" else kind, [kind] * 2, _PRODUCTS[which])


def _wide(kind: str) -> str:
    return f"{kind[0]}{2 * int(kind[1:])}"


def _multiply_add(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    kind = kinds[0]
    if kind[0] == "f":
        return _floats(opcode, kind, arithmetic.fma_single, arithmetic.fma_double, 3)
    (which,) = only(opcode, "lo hi wide")
    to = _wide(kind) if which == "wide" else kind
    product = _PRODUCTS[which]
    return Meaning(to, [kind, kind, to], lambda a, b, c: product(a, b) + c)


def _divide(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    found = only(opcode, "rn full approx ftz" if kinds[0] == "f32" else "rn" if kinds[0] == "f64" else "")
    whole = kinds[0][0] != "f"
    return Meaning(kinds[0], kinds * 2, arithmetic.quotient if whole else finished(found, np.divide))


def _remainder(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], kinds * 2, arithmetic.remainder)


def _of_one(single: Callable[..., Array], double: Callable[..., Array] | None = None, approximate: bool = True):
    """A function of a float, which NumPy knows: to the last bit with .rn, by NumPy's value with .approx."""

    def build(opcode: Sequence[str], kinds: list[str]) -> Meaning:
        found = only(opcode, "rn approx ftz")
        if kinds == ["f64"] and "approx" in found:
            if double is None:
                raise NotImplementedError(f"this instruction of PTX: {'.'.join(opcode)}")
            return Meaning("f64", kinds, double)
        if "rn" in found and approximate:
            raise NotImplementedError(f"this instruction of PTX: {'.'.join(opcode)}")
        return Meaning(kinds[0], kinds, finished(found, single))

    return build


def _absolute(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    return Meaning(kinds[0], kinds, finished(only(opcode, "ftz"), np.abs))


def _negative(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    return Meaning(kinds[0], kinds, finished(only(opcode, "ftz"), np.negative))


def _extremum(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    least = opcode[0] == "min"
    if kinds[0][0] != "f":
        only(opcode)
        return Meaning(kinds[0], kinds * 2, np.minimum if least else np.maximum)
    found = only(opcode, "ftz NaN")
    return Meaning(kinds[0], kinds * 2, finished(found, lambda a, b: arithmetic.extremum(a, b, least, "NaN" in found)))


def _copysign(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], kinds * 2, lambda sign, size: np.copysign(size, sign))


_TESTS: dict[str, Callable[[Array], Array]] = {
    "finite": np.isfinite,
    "infinite": np.isinf,
    "number": lambda x: ~np.isnan(x),
    "notanumber": np.isnan,
    "normal": lambda x: np.isfinite(x) & (abs(x) >= np.finfo(x.dtype).tiny),
    "subnormal": lambda x: (x != 0) & (abs(x) < np.finfo(x.dtype).tiny),
}


def _tested(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    (which,) = only(opcode, " ".join(_TESTS))
    return Meaning("pred", kinds, _TESTS[which])


def _bitwise(function: Callable[..., Array], n: int) -> Callable[[Sequence[str], list[str]], Meaning]:
    def build(opcode: Sequence[str], kinds: list[str]) -> Meaning:
        only(opcode)
        return Meaning(kinds[0], kinds * n, function)

    return build


def _counting(function: Callable[[Array], Array]) -> Callable[[Sequence[str], list[str]], Meaning]:
    def build(opcode: Sequence[str], kinds: list[str]) -> Meaning:
        only(opcode)
        return Meaning("u32", kinds, function)

    return build


def _shift(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    left = opcode[0] == "shl"
    return Meaning(kinds[0], [kinds[0], "u32"], arithmetic.shifted_left if left else arithmetic.shifted_right)


def _funnel(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    found = only(opcode, "l r wrap clamp")
    left, clamp = "l" in found, "clamp" in found
    return Meaning("b32", ["b32"] * 3, lambda a, b, n: arithmetic.funnel(a, b, n, left, clamp))


def _logic(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning("b32", ["b32"] * 4, lambda a, b, c, table: arithmetic.any_logic(a, b, c, int(table[0])))


def _extracted(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], [kinds[0], "u32", "u32"], arithmetic.field_extracted)


def _inserted(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], [kinds[0], kinds[0], "u32", "u32"], arithmetic.field_inserted)


def _permuted(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning("b32", ["b32"] * 3, arithmetic.permuted)


def _selected(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], [kinds[0], kinds[0], "pred"], lambda a, b, p: np.where(p, a, b))


def _converted(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    found = only(opcode, "rn rz rm rp rni rzi rmi rpi ftz sat")
    if len(kinds) != 2:
        raise NotImplementedError(f"this instruction of PTX: {'.'.join(opcode)}")
    to, given = kinds
    how = next((part for part in opcode[1:] if part[0] == "r"), "")
    flush = "ftz" in found

    def convert(x: Array) -> Array:
        x = arithmetic.flushed(x) if flush and given == "f32" else x
        result = arithmetic.converted(x, DTYPES[to], how, "sat" in found)
        return arithmetic.flushed(result) if flush and to == "f32" else result

    return Meaning(to, [given], convert)


def _moved(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    only(opcode)
    return Meaning(kinds[0], kinds, lambda a: a)


_ORDERED: dict[str, Callable[[Array, Array], Array]] = {
    "eq": np.equal,
    "ne": lambda a, b: (a < b) | (a > b),
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
_UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}
_COMBINED: dict[str, Callable[..., Array]] = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


def _comparison(name: str, floats: bool) -> Callable[[Array, Array], Array]:
    if not floats:
        return np.not_equal if name == "ne" else _ORDERED[_UNSIGNED.get(name, name)]
    if name in ("num", "nan"):
        return lambda a, b: (np.isnan(a) | np.isnan(b)) == (name == "nan")
    if name.endswith("u"):
        return lambda a, b: _ORDERED[name[:-1]](a, b) | np.isnan(a) | np.isnan(b)
    return _ORDERED[name]


def _compared(opcode: Sequence[str], kinds: list[str]) -> Meaning:
    names = [*_ORDERED, *_UNSIGNED, *(f"{name}u" for name in _ORDERED), "num", "nan"]
    found = only(opcode, " ".join([*names, *_COMBINED, "ftz"]))
    compare = finished(found & {"ftz"}, lambda a, b: a)  # flushes what is compared
    function = _comparison(opcode[1], kinds[0][0] == "f")
    combine = next((_COMBINED[part] for part in opcode[2:] if part in _COMBINED), None)
    if "ftz" in found:
        plain = function
        function = lambda a, b: plain(compare(a, b), compare(b, a))  # noqa: E731
    if combine is None:
        return Meaning("pred", kinds * 2, function)
    return Meaning("pred", [*kinds * 2, "pred"], lambda a, b, p: combine(function(a, b), p))


_BUILD: dict[str, Callable[[Sequence[str], list[str]], Meaning]] = {
    "add": _add,
    "sub": _subtract,
    "mul": _multiply,
    "mad": _multiply_add,
    "fma": _multiply_add,
    "div": _divide,
    "rem": _remainder,
    "abs": _absolute,
    "neg": _negative,
    "min": _extremum,
    "max": _extremum,
    "copysign": _copysign,
    "testp": _tested,
    "sqrt": _of_one(np.sqrt, approximate=False),
    "rcp": _of_one(lambda x: x.dtype.type(1) / x, arithmetic.reciprocal_of_high_word, approximate=False),
    "rsqrt": _of_one(lambda x: x.dtype.type(1) / np.sqrt(x), arithmetic.rsqrt_of_high_word),
    "ex2": _of_one(np.exp2),
    "lg2": _of_one(np.log2),
    "sin": _of_one(np.sin),
    "cos": _of_one(np.cos),
    "tanh": _of_one(np.tanh),
    "and": _bitwise(np.bitwise_and, 2),
    "or": _bitwise(np.bitwise_or, 2),
    "xor": _bitwise(np.bitwise_xor, 2),
    "not": _bitwise(np.invert, 1),
    "popc": _counting(arithmetic.counted),
    "clz": _counting(arithmetic.leading_zeros),
    "brev": _bitwise(arithmetic.reversed_bits, 1),
    "shl": _shift,
    "shr": _shift,
    "shf": _funnel,
    "lop3": _logic,
    "bfe": _extracted,
    "bfi": _inserted,
    "prmt": _permuted,
    "selp": _selected,
    "setp": _compared,
    "cvt": _converted,
    "mov": _moved,
}
