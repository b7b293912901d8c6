"""Parses PTX to functions, variables and instructions: only the parts of the language that nvrtc prints.

Source: NVIDIA, Parallel Thread Execution ISA, version 8.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Address", "Function", "Immediate", "Instruction", "Module", "Name", "Not", "Operand", "Variable", "parse"]

SIZES = {f"{kind}{bits}": bits // 8 for kind in "busf" for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class Name:
    """A register, a special register, a label, a function, or a variable, whose value is its address."""

    name: str


@dataclass(frozen=True)
class Immediate:
    """An integer, or the bits of a floating-point number of so many bits."""

    value: int
    float_bits: int = 0


@dataclass(frozen=True)
class Address:
    base: Name | Immediate
    offset: int


@dataclass(frozen=True)
class Not:
    """A negated predicate."""

    name: Name


Operand = Name | Immediate | Address | Not | tuple["Operand", ...]


@dataclass(frozen=True)
class Instruction:
    opcode: tuple[str, ...]
    """The parts between the dots."""
    operands: tuple[Operand, ...]
    guard: Name | Not | None
    line: str

    @property
    def name(self) -> str:
        return self.opcode[0]


@dataclass(frozen=True)
class Variable:
    space: str
    name: str
    align: int
    size: int
    content: bytes | None = None


@dataclass
class Function:
    name: str
    entry: bool
    results: list[Variable]
    parameters: list[Variable]
    registers: dict[str, str] = field(default_factory=dict)
    """The type of each register."""
    variables: list[Variable] = field(default_factory=list)
    tables: dict[str, list[str]] = field(default_factory=dict)
    """The labels of each ``.branchtargets``."""
    code: list[Instruction | str] = field(default_factory=list)
    """Instructions and the labels between them."""


@dataclass
class Module:
    functions: dict[str, Function] = field(default_factory=dict)
    variables: list[Variable] = field(default_factory=list)


_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_FUNCTION = re.compile(r"\.(entry|func)\s*(?:\(([^)]*)\)\s*)?([\w$]+)\s*(?:\(([^)]*)\))?")
_VARIABLE = re.compile(
    r"\.(param|local|shared|global|const)\s+(?:\.align\s+(\d+)\s+)?\.([busf]\d+)\s+([\w$%]+)(?:\[(\d*)\])?"
    r"(?:\s*=\s*\{?([^}]*)\}?)?\s*$",
    re.DOTALL,
)
_REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.+)", re.DOTALL)
_LABEL = re.compile(r"\s*([\w$]+)\s*:(?!:)\s*(\.branchtargets[^;]*;)?")
_DIRECTIVES = ("version", "target", "address_size", "file", "loc", "pragma")
_FLOAT = re.compile(r"0[fF]([0-9A-Fa-f]{8})|0[dD]([0-9A-Fa-f]{16})")
_INTEGER = re.compile(r"[+-]?(0[xX][0-9A-Fa-f]+|\d+)U?")


def parse(text: str) -> Module:
    """Raises NotImplementedError at an unknown part."""
    module = Module()
    text = _COMMENT.sub("", text).replace("\0", "")
    text = re.sub(r"^\s*\.(version|target|address_size)\b[^\n]*$", "", text, flags=re.MULTILINE)
    place = 0
    while found := re.compile(r"\s*(?=\S)").match(text, place):
        place = found.end()
        head = text[place : re.compile(r"[;{=]|$").search(text, place).start()]  # type: ignore[union-attr]
        if (function := _FUNCTION.search(head)) is not None:
            made = _function(function)
            place += len(head)
            if text[place] == "{":
                end = _closing(text, place)
                _body(made, text[place + 1 : end])
                module.functions[made.name] = made
                place = end
            place += 1
        else:
            end = text.index(";", place)
            module.variables.append(_variable(text[place:end]))
            place = end + 1
    return module


def _closing(text: str, place: int) -> int:
    depth = 0
    for found in re.compile(r"[{}]").finditer(text, place):
        depth += 1 if found[0] == "{" else -1
        if not depth:
            return found.start()
    raise ValueError("a brace is never closed")


def _function(found: re.Match[str]) -> Function:
    results, parameters = (
        [_variable(part) for part in (group or "").split(",") if part.strip()] for group in (found[2], found[4])
    )
    return Function(found[3], found[1] == "entry", results, parameters)


def _variable(text: str) -> Variable:
    text = re.sub(r"\.(visible|weak|extern|common|ptr\s*\.\w+|ptr)\b", "", text).strip()
    found = _VARIABLE.match(re.sub(r"\.align\s+(\d+)\s+(\.[busf]\d+)", r".align \1 \2", text))
    if found is None:
        raise NotImplementedError(f"this PTX: {text}")
    space, align, kind, name, count, content = found.groups()
    size = SIZES[kind] * int(count or 1)
    values = None
    if content is not None:
        numbers = [int(n, 0) % 2 ** (8 * SIZES[kind]) for n in content.split(",")]
        values = b"".join(n.to_bytes(SIZES[kind], "little") for n in numbers).ljust(size, b"\0")
    return Variable(space, name, int(align or SIZES[kind]), size, values)


def _body(function: Function, text: str) -> None:
    for statement in _statements(text):
        if statement.endswith(":"):
            function.code.append(statement[:-1])
        elif statement.startswith(".reg"):
            _registers(function, statement)
        elif (found := re.match(r"([\w$]+)\s*:\s*\.branchtargets\s+(.*)", statement, re.DOTALL)) is not None:
            function.tables[found[1]] = [name.strip() for name in found[2].split(",")]
        elif re.match(r"\.(local|shared|param)\b", statement):
            function.variables.append(_variable(statement))
        elif not statement.startswith(tuple(f".{name}" for name in _DIRECTIVES)):
            function.code.append(_instruction(statement))


def _statements(text: str) -> Iterator[str]:
    """Statements without their semicolon, and labels with their colon; braces are dropped."""
    place = 0
    while place < len(text):
        if text[place] in "{}" or text[place].isspace():
            place += 1
        elif (label := _LABEL.match(text, place)) is not None:
            yield label[0].rstrip(";") if label[2] else f"{label[1]}:"
            place = label.end()
        else:
            end = text.index(";", place)
            yield " ".join(text[place:end].split())
            place = end + 1


def _registers(function: Function, statement: str) -> None:
    found = _REGISTERS.match(statement)
    assert found is not None
    for part in found[2].split(","):
        name, _, count = part.strip().rstrip(">").partition("<")
        for one in [f"{name}{n}" for n in range(int(count))] if count else [name]:
            if function.registers.setdefault(one, found[1]) != found[1]:
                raise NotImplementedError(f"two registers {one} of different types")


def _instruction(statement: str) -> Instruction:
    rest, guard = statement, None
    if (found := re.match(r"@(!?)(%\w+)\s+", statement)) is not None:
        guard = Not(Name(found[2])) if found[1] else Name(found[2])
        rest = statement[found.end() :]
    opcode, _, operands = rest.partition(" ")
    if "[" in opcode or "(" in opcode:
        raise NotImplementedError(f"this PTX: {statement}")
    return Instruction(tuple(re.split(r"\.|::", opcode)), tuple(map(_operand, _split(operands))), guard, statement)


def _split(text: str) -> Iterator[str]:
    """The parts between commas outside of braces, brackets and parentheses; ``p|q`` are two."""
    depth, start = 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "([{") - (letter in ")]}")
        if letter in ",|" and not depth:
            yield text[start:place].strip()
            start = place + 1
    if text[start:].strip():
        yield text[start:].strip()


def _operand(text: str) -> Operand:
    if text[0] in "{(":
        return tuple(map(_operand, _split(text[1:-1])))
    if text[0] == "[":
        base, sign, offset = re.fullmatch(r"([^+]+?)\s*(?:(\+)\s*(.+))?", text[1:-1].strip()).groups()  # type: ignore
        found = _operand(base)
        assert isinstance(found, (Name, Immediate))
        return Address(found, int(offset, 0) if sign else 0)
    if text[0] == "!":
        return Not(Name(text[1:].strip()))
    if (found := _FLOAT.fullmatch(text)) is not None:
        return Immediate(int(found[1] or found[2], 16), 32 if found[1] else 64)
    if _INTEGER.fullmatch(text) is not None:
        return Immediate(int(text.rstrip("U"), 0))
    if re.fullmatch(r"[\w$%.]+", text) is None:
        raise NotImplementedError(f"this operand of PTX: {text}")
    return Name(text)
