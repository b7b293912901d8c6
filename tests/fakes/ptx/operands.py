"""Operands of PTX as functions that read and write registers: bits, with the type of the instruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.instructions import meaning
from tests.fakes.ptx.machine import Code, Frame, Mask, Step, unknown
from tests.fakes.ptx.opcodes import DTYPES
from tests.fakes.ptx.parser import Address, Immediate, Instruction, Name, Not, Operand

__all__ = ["Operands"]

Reader = Callable[[Frame], Array]
Writer = Callable[[Frame, Mask, Array], None]


class Operands:
    """Operands in the code of one function, which can name its labels and other functions."""

    def __init__(self, code: Code, labels: dict[str, int], codes: dict[str, Code]) -> None:
        self.code, self.labels, self.codes = code, labels, codes

    def reader(self, operand: Operand, kind: str) -> Reader:
        dtype = DTYPES[kind]
        if isinstance(operand, Not):
            plain = self.reader(operand.name, "pred")
            return lambda frame: ~plain(frame)
        if isinstance(operand, Immediate):
            constant = _constant(operand, dtype)
            return lambda frame: constant
        if not isinstance(operand, Name):
            raise NotImplementedError(f"this operand of PTX: {operand}")
        name = operand.name
        if name in self.code.slots:
            slot, raw = self.code.slots[name], self.code.dtypes[self.code.slots[name]]
            if raw == dtype:
                return lambda frame: frame.registers[slot]
            if raw.itemsize == dtype.itemsize and raw.kind != "b":
                return lambda frame: frame.registers[slot].view(dtype)
            if raw.itemsize < dtype.itemsize or "b" in (raw.kind, dtype.kind) or "f" in (raw.kind, dtype.kind):
                raise ValueError(f"{name} of {raw} as {dtype}")
            return lambda frame: frame.registers[slot].astype(dtype)
        if name.startswith("%"):
            return lambda frame: frame.launch.special[name].astype(dtype)
        return lambda frame: frame.addresses[name].astype(dtype)

    def writer(self, operand: Operand, kind: str) -> Writer:
        if operand == Name("_"):
            return lambda frame, mask, value: None
        if not isinstance(operand, Name) or operand.name not in self.code.slots:
            raise NotImplementedError(f"writing to this operand of PTX: {operand}")
        slot, dtype = self.code.slots[operand.name], DTYPES[kind]
        raw = self.code.dtypes[slot]
        if raw.itemsize < dtype.itemsize or (raw.kind == "b") != (dtype.kind == "b"):
            raise ValueError(f"{dtype} into {operand.name} of {raw}")
        if raw.itemsize > dtype.itemsize and "f" in (raw.kind, dtype.kind):
            raise ValueError(f"{dtype} into {operand.name} of {raw}")

        def write(frame: Frame, mask: Mask, value: Array) -> None:
            assert value.dtype == dtype, (operand, value.dtype, dtype)
            value = value.view(raw) if raw.itemsize == dtype.itemsize else value.astype(raw)
            if mask is not None:
                frame.registers[slot] = np.where(mask, value, frame.registers[slot])
            else:
                frame.registers[slot] = value if value.shape == (frame.n,) else np.broadcast_to(value, frame.n).copy()

        return write

    def address(self, operand: Operand) -> Reader:
        assert isinstance(operand, Address)
        base, offset = operand.base, np.uint64(operand.offset % 2**64)
        if isinstance(base, Name) and base.name in self.code.slots:
            wide = self.code.dtypes[self.code.slots[base.name]].itemsize == 8
            read = self.reader(base, "u64" if wide else "u32")
            return lambda frame: read(frame).astype(np.uint64) + offset
        read = self.reader(base, "u64")
        return lambda frame: read(frame) + offset

    def plain(self, instruction: Instruction) -> Step:
        to, sources, function = meaning(instruction.opcode)
        target, *operands = instruction.operands
        if len(operands) != len(sources):
            raise unknown(instruction)
        write = self.writer(target, to)
        reads = [self.reader(o, kind) for o, kind in zip(operands, sources, strict=True)]
        if len(reads) == 2:
            first, second = reads
            return lambda frame, mask: write(frame, mask, function(first(frame), second(frame)))
        return lambda frame, mask: write(frame, mask, function(*(read(frame) for read in reads)))


def _constant(operand: Immediate, dtype: np.dtype[Any]) -> Array:
    bits = 8 * dtype.itemsize
    if dtype.kind == "b":
        return np.array([bool(operand.value)])
    if (operand.float_bits and operand.float_bits != bits) or (dtype.kind == "f" and not operand.float_bits):
        raise NotImplementedError(f"this constant of PTX as {dtype}: {operand}")
    return np.array([operand.value % 2**bits], f"u{dtype.itemsize}").view(dtype)
