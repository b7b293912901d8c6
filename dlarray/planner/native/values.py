"""Values of a function in LLVM's text: one number, or a vector of numbers of one dtype, with Python's operators.

Each operator adds one instruction to the function. A Python number as operand is a constant of the value's dtype. A
number and a vector give a vector. Comparisons have methods (``equals``), because ``==`` compares Python objects.
"""

from __future__ import annotations

from typing import Protocol

from dlarray.planner.native.types import BYTES, TYPES, vector

__all__ = ["Instructions", "Number", "Value"]

_FLOAT = {"<": "olt", "<=": "ole", ">": "ogt", ">=": "oge", "==": "oeq", "!=": "une"}
_INTEGER = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}


class Instructions(Protocol):
    """What values need of the function that they belong to."""

    def emit(self, instruction: str) -> str:
        """Add an instruction that has a result. Returns the result's name."""
        ...

    def declare(self, head: str) -> None:
        """Declare a function of another module or library."""
        ...

    def constant(self, dtype: str, value: float, lanes: int = 1) -> Value:
        """A Python number as a value."""
        ...


class Value:
    """A value: its text in the function, its dtype, and the number of its lanes."""

    __slots__ = ("dtype", "function", "lanes", "text")

    def __init__(self, function: Instructions, text: str, dtype: str, lanes: int = 1) -> None:
        self.function = function
        self.text = text
        self.dtype = dtype
        self.lanes = lanes

    @property
    def type(self) -> str:
        """The type of LLVM."""
        return vector(TYPES[self.dtype], self.lanes)

    @property
    def typed(self) -> str:
        """The type and the text, as instructions take operands."""
        return f"{self.type} {self.text}"

    @property
    def is_float(self) -> bool:
        return self.dtype.startswith("float")

    @property
    def is_signed(self) -> bool:
        return self.dtype.startswith("int")

    # Arithmetic

    def __add__(self, other: Number) -> Value:
        return self._binary("fadd" if self.is_float else "add", other)

    def __sub__(self, other: Number) -> Value:
        return self._binary("fsub" if self.is_float else "sub", other)

    def __mul__(self, other: Number) -> Value:
        return self._binary("fmul" if self.is_float else "mul", other)

    def __truediv__(self, other: Number) -> Value:
        return self._binary("fdiv" if self.is_float else "sdiv" if self.is_signed else "udiv", other)

    def __radd__(self, other: Number) -> Value:
        return self.like(other) + self

    def __rsub__(self, other: Number) -> Value:
        return self.like(other) - self

    def __rmul__(self, other: Number) -> Value:
        return self.like(other) * self

    def __rtruediv__(self, other: Number) -> Value:
        return self.like(other) / self

    def __neg__(self) -> Value:
        return self._made(f"fneg {self.typed}") if self.is_float else 0 - self

    def __abs__(self) -> Value:
        if self.is_float:
            return self.intrinsic("fabs")
        return (self < 0).select(-self, self) if self.is_signed else self

    def __and__(self, other: Number) -> Value:
        return self._binary("and", other)

    def __or__(self, other: Number) -> Value:
        return self._binary("or", other)

    def __xor__(self, other: Number) -> Value:
        return self._binary("xor", other)

    def __lshift__(self, other: Number) -> Value:
        return self._binary("shl", other)

    def __rshift__(self, other: Number) -> Value:
        return self._binary("ashr" if self.is_signed else "lshr", other)

    # Comparisons: a NaN is unequal to everything

    def __lt__(self, other: Number) -> Value:
        return self.compared("<", other)

    def __le__(self, other: Number) -> Value:
        return self.compared("<=", other)

    def __gt__(self, other: Number) -> Value:
        return self.compared(">", other)

    def __ge__(self, other: Number) -> Value:
        return self.compared(">=", other)

    def equals(self, other: Number) -> Value:
        return self.compared("==", other)

    def differs(self, other: Number) -> Value:
        return self.compared("!=", other)

    def compared(self, sign: str, other: Number) -> Value:
        """A bool by one of Python's signs of comparison."""
        if self.is_float:
            return self._binary(f"fcmp {_FLOAT[sign]}", other, "bool")
        signed = "" if sign in ("==", "!=") else "s" if self.is_signed else "u"
        return self._binary(f"icmp {signed}{_INTEGER[sign]}", other, "bool")

    def select(self, yes: Value, no: Number) -> Value:
        """For a bool: ``yes`` where it is true, else ``no``."""
        lanes = max(self.lanes, yes.lanes, no.lanes if isinstance(no, Value) else 1)
        condition, yes, no = self.spread(lanes), yes.spread(lanes), yes.like(no).spread(lanes)
        return yes._made(f"select {condition.typed}, {yes.typed}, {no.typed}")

    # Conversions

    def like(self, other: Number) -> Value:
        """The other operand of an operation with this value: a Python number has its dtype."""
        return other if isinstance(other, Value) else self.function.constant(self.dtype, other)

    def spread(self, lanes: int) -> Value:
        """One number in all lanes of a vector."""
        if lanes == self.lanes:
            return self
        type_ = vector(TYPES[self.dtype], lanes)
        if not self.text.startswith("%"):
            return Value(self.function, f"splat ({self.typed})", self.dtype, lanes)
        first = self.function.emit(f"insertelement {type_} poison, {self.typed}, i64 0")
        mask = f"{vector('i32', lanes)} zeroinitializer"
        return self._made(f"shufflevector {type_} {first}, {type_} poison, {mask}", lanes=lanes)

    def cast(self, dtype: str) -> Value:
        """C's conversion, defined for all numbers."""
        given, wide = self.dtype, BYTES[dtype] > BYTES[self.dtype]
        if dtype == given:
            return self
        if dtype == "bool":
            return self.differs(0)
        if given == "bool":
            code = "uitofp" if dtype.startswith("float") else "zext"
        elif self.is_float and dtype.startswith("float"):
            code = "fpext" if wide else "fptrunc"
        elif self.is_float:
            return self._to_integer(dtype)
        elif dtype.startswith("float"):
            code = "sitofp" if self.is_signed else "uitofp"
        elif BYTES[dtype] == BYTES[given]:
            return Value(self.function, self.text, dtype, self.lanes)
        else:
            code = ("sext" if self.is_signed else "zext") if wide else "trunc"
        return self._converted(code, dtype)

    def _to_integer(self, dtype: str) -> Value:
        """As NumPy on x86: what no int32 or int64 can hold becomes the smallest one; small types are its lowest bits.

        LLVM's own conversion is undefined there.
        """
        if BYTES[dtype] < 4:
            return self.cast("int32").cast(dtype)
        signed, half = dtype.removeprefix("u"), 2.0 ** (8 * BYTES[dtype] - 1)
        if dtype != signed:
            upper = (self - half).cast(signed) ^ -int(half)
            return (self >= half).select(upper, self.cast(signed)).cast(dtype)
        return ((self >= -half) & (self < half)).select(self._converted("fptosi", dtype), -int(half))

    def bits(self, dtype: str) -> Value:
        """The same bits, read as another dtype of the same width."""
        if TYPES[dtype] == TYPES[self.dtype]:
            return Value(self.function, self.text, dtype, self.lanes)
        return self._converted("bitcast", dtype)

    def _converted(self, code: str, dtype: str) -> Value:
        return self._made(f"{code} {self.typed} to {vector(TYPES[dtype], self.lanes)}", dtype)

    # Lanes

    def lane(self, number: int) -> Value:
        """One number of a vector."""
        return self._made(f"extractelement {self.typed}, i64 {number}", lanes=1)

    def with_lane(self, number: int, value: Value) -> Value:
        """The vector with another number in one lane."""
        return self._made(f"insertelement {self.typed}, {value.typed}, i64 {number}")

    def half(self, upper: bool) -> Value:
        """The lower or the upper half of the lanes."""
        lanes = self.lanes // 2
        if lanes == 1:
            return self.lane(int(upper))
        numbers = ", ".join(f"i32 {n + lanes * upper}" for n in range(lanes))
        return self._made(f"shufflevector {self.typed}, {self.type} poison, <{lanes} x i32> <{numbers}>", lanes=lanes)

    # Instructions

    def intrinsic(self, name: str) -> Value:
        """One of LLVM's own functions of one number, lane by lane."""
        suffix = {"float32": "f32", "float64": "f64"}[self.dtype]
        full = f"@llvm.{name}.{f'v{self.lanes}' if self.lanes > 1 else ''}{suffix}"
        self.function.declare(f"{self.type} {full}({self.type})")
        return self._made(f"call {self.type} {full}({self.typed})")

    def library(self, name: str, *others: Value) -> Value:
        """A function of the C library, lane by lane: ``name`` with "f" at the end for float32.

        ``nobuiltin``, because LLVM would join sin and cos to a function that not every library has.
        """
        full = f"@{name}{'f' if self.dtype == 'float32' else ''}"
        lanes = max(x.lanes for x in (self, *others))
        operands = [x.spread(lanes) for x in (self, *others)]
        one = TYPES[self.dtype]
        attributes = "nobuiltin nounwind willreturn memory(none)"
        self.function.declare(f"{one} {full}({', '.join([one] * len(operands))}) {attributes}")
        if lanes == 1:
            return self._made(f"call {one} {full}({', '.join(x.typed for x in operands)})")
        result = Value(self.function, "poison", self.dtype, lanes)
        for n in range(lanes):
            first, *rest = (x.lane(n) for x in operands)
            result = result.with_lane(n, first.library(name, *rest))
        return result

    def _binary(self, code: str, other: Number, dtype: str | None = None) -> Value:
        right = self.like(other)
        lanes = max(self.lanes, right.lanes)
        left, right = self.spread(lanes), right.spread(lanes)
        assert left.dtype == right.dtype, (left.dtype, right.dtype, code)
        return left._made(f"{code} {left.typed}, {right.text}", dtype)

    def _made(self, instruction: str, dtype: str | None = None, lanes: int | None = None) -> Value:
        text = self.function.emit(instruction)
        return Value(self.function, text, dtype or self.dtype, lanes or self.lanes)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


Number = Value | float | int
"""An operand: a value, or a Python number."""
