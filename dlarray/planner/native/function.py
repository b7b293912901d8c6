"""A function in LLVM's text: instructions, memory, loops and branches.

Variables are places on the stack; LLVM's pass ``sroa`` makes registers of them. Indices count numbers, not bytes.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from dlarray.planner.native.types import BYTES, STORED, TYPES, literal, vector
from dlarray.planner.native.values import Value

__all__ = ["Function", "Variable"]

Index = Value | int

_SUFFIXES = {dtype: {"float": "f32", "double": "f64"}.get(type_, type_) for dtype, type_ in STORED.items()}
"""How types are written in the names of LLVM's functions."""


class Function:
    """``define <head> { … }``, instruction by instruction; ``head`` is such as ``void @name(ptr %block) nounwind``."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.declared: set[str] = set()
        """The heads of the functions that it calls and that are not defined in the module."""
        self._lines: list[str] = []
        self._variables: list[str] = []
        self._count = 0
        self._label = "entry"

    def text(self, result: str = "ret void") -> str:
        """The whole function, which ends with ``result``."""
        return "\n".join([f"define {self.head} {{", "entry:", *self._variables, *self._lines, f"  {result}", "}", ""])

    def emit(self, instruction: str) -> str:
        """Add an instruction that has a result. Returns the result's name."""
        self._count += 1
        self._lines.append(f"  %v{self._count} = {instruction}")
        return f"%v{self._count}"

    def do(self, instruction: str) -> None:
        """Add an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def declare(self, head: str) -> None:
        """Declare a function of another module or library."""
        self.declared.add(f"declare {head}")

    def constant(self, dtype: str, value: float, lanes: int = 1) -> Value:
        """A Python number as a value."""
        return Value(self, literal(dtype, value), dtype).spread(lanes)

    def index(self, value: Index) -> Value:
        """An int64."""
        return value if isinstance(value, Value) else self.constant("int64", value)

    def count(self, lanes: int) -> Value:
        """The numbers 0, 1, 2, … as int64, one in each lane."""
        return Value(self, f"<{', '.join(f'i64 {n}' for n in range(lanes))}>" if lanes > 1 else "0", "int64", lanes)

    def smaller(self, a: Index, b: Index) -> Value:
        """The smaller of two indices."""
        a, b = self.index(a), self.index(b)
        return (a < b).select(a, b)

    # Memory

    def address(self, base: str, dtype: str, index: Index) -> str:
        """The pointer to a number of an array, by its index."""
        if isinstance(index, int) and not index:
            return base
        return self.emit(f"getelementptr inbounds {STORED[dtype]}, ptr {base}, {self.index(index).typed}")

    def load(self, base: str, dtype: str, index: Index, lanes: int = 1) -> Value:
        """Numbers of an array, from an index on."""
        type_ = vector(STORED[dtype], lanes)
        text = self.emit(f"load {type_}, ptr {self.address(base, dtype, index)}, align {BYTES[dtype]}")
        if dtype == "bool":
            return Value(self, text, "uint8", lanes).differs(0)
        return Value(self, text, dtype, lanes)

    def load_masked(self, base: str, index: Value, mask: Value, dtype: str) -> Value:
        """Numbers of an array in the lanes where the mask is true; 0 in the others, whose memory is not read."""
        stored = "uint8" if dtype == "bool" else dtype
        zero = self.constant(stored, 0, mask.lanes)
        name = f"@llvm.masked.load.v{mask.lanes}{_SUFFIXES[stored]}.p0"
        self.declare(f"{zero.type} {name}(ptr, i32, {mask.type}, {zero.type})")
        arguments = f"ptr {self.address(base, dtype, index)}, i32 {BYTES[dtype]}, {mask.typed}, {zero.typed}"
        made = Value(self, self.emit(f"call {zero.type} {name}({arguments})"), stored, mask.lanes)
        return made.differs(0) if dtype == "bool" else made

    def store_masked(self, base: str, index: Value, mask: Value, value: Value) -> None:
        """Write numbers into an array in the lanes where the mask is true."""
        stored = value.cast("uint8") if value.dtype == "bool" else value
        name = f"@llvm.masked.store.v{mask.lanes}{_SUFFIXES[stored.dtype]}.p0"
        self.declare(f"void {name}({stored.type}, ptr, i32, {mask.type})")
        pointer = self.address(base, value.dtype, index)
        self.do(f"call void {name}({stored.typed}, ptr {pointer}, i32 {BYTES[value.dtype]}, {mask.typed})")

    def load_strided(self, base: str, dtype: str, index: Value, stride: Value, lanes: int) -> Value:
        """Numbers of an array that are ``stride`` numbers apart."""
        result = Value(self, "poison", dtype, lanes)
        pointer = self.address(base, dtype, index)
        for n in range(lanes):
            pointer = self.address(pointer, dtype, stride) if n else pointer
            result = result.with_lane(n, self.load(pointer, dtype, 0))
        return result

    def load_at(self, base: str, dtype: str, indices: Value) -> Value:
        """The number of an array at each index."""
        if indices.lanes == 1:
            return self.load(base, dtype, indices)
        result = Value(self, "poison", dtype, indices.lanes)
        for n in range(indices.lanes):
            result = result.with_lane(n, self.load(base, dtype, indices.lane(n)))
        return result

    def store(self, base: str, index: Index, value: Value) -> None:
        """Write numbers into an array, from an index on."""
        pointer = self.address(base, value.dtype, index)
        stored = value.cast("uint8") if value.dtype == "bool" else value
        self.do(f"store {stored.typed}, ptr {pointer}, align {BYTES[value.dtype]}")

    def store_strided(self, base: str, index: Value, stride: Value, value: Value) -> None:
        """Write the numbers of a vector ``stride`` numbers apart."""
        pointer = self.address(base, value.dtype, index)
        for n in range(value.lanes):
            pointer = self.address(pointer, value.dtype, stride) if n else pointer
            self.store(pointer, 0, value.lane(n))

    def copy(self, target: str, source: str, count: Value) -> None:
        """Copy so many bytes to memory that does not overlap them."""
        self.declare("void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)")
        self.do(f"call void @llvm.memcpy.p0.p0.i64(ptr {target}, ptr {source}, {count.typed}, i1 false)")

    def pointer(self, base: str, index: Index) -> str:
        """A pointer that is an item of an array of 8 bytes each."""
        return self.emit(f"load ptr, ptr {self.address(base, 'int64', index)}, align 8")

    def variable(self, dtype: str, value: float, lanes: int = 1) -> Variable:
        """A variable with a first value, which it gets here."""
        made = Variable(self, self.place(dtype, lanes), dtype, lanes)
        made.set(self.constant(dtype, value, lanes))
        return made

    def place(self, dtype: str, lanes: int) -> str:
        """A pointer to memory on the stack."""
        name = f"%s{len(self._variables)}"
        self._variables.append(f"  {name} = alloca {vector(TYPES[dtype], lanes)}, align 64")
        return name

    # Loops and branches

    @contextmanager
    def loop(self, start: Index, stop: Index, step: int = 1) -> Generator[Value]:
        """``for i in range(start, stop, step)``; gives i."""
        start, stop = self.index(start), self.index(stop)
        k, before = self._next(), self._label
        self.do(f"br label %head{k}")
        self._begin(f"head{k}")
        self.do(f"%i{k} = phi i64 [ {start.text}, %{before} ], [ %next{k}, %latch{k} ]")
        self.do(f"%more{k} = icmp slt i64 %i{k}, {stop.text}")
        self.do(f"br i1 %more{k}, label %body{k}, label %done{k}")
        self._begin(f"body{k}")
        yield Value(self, f"%i{k}", "int64")
        self.do(f"br label %latch{k}")
        self._begin(f"latch{k}")
        self.do(f"%next{k} = add nsw i64 %i{k}, {step}")
        self.do(f"br label %head{k}")
        self._begin(f"done{k}")

    @contextmanager
    def when(self, condition: Value) -> Generator[None]:
        """``if condition:``."""
        k = self._next()
        self.do(f"br i1 {condition.text}, label %then{k}, label %done{k}")
        self._begin(f"then{k}")
        yield
        self.do(f"br label %done{k}")
        self._begin(f"done{k}")

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _begin(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._label = label


class Variable:
    """Memory on the stack for a number or a vector."""

    def __init__(self, function: Function, pointer: str, dtype: str, lanes: int) -> None:
        self.function = function
        self.pointer = pointer
        self.dtype = dtype
        self.lanes = lanes

    def get(self) -> Value:
        type_ = vector(TYPES[self.dtype], self.lanes)
        return Value(
            self.function, self.function.emit(f"load {type_}, ptr {self.pointer}, align 64"), self.dtype, self.lanes
        )

    def set(self, value: Value) -> None:
        self.function.do(f"store {value.spread(self.lanes).typed}, ptr {self.pointer}, align 64")
