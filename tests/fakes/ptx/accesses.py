"""Instructions of PTX that access memory, and those that move bits and addresses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.machine import Frame, Mask, Step, unknown
from tests.fakes.ptx.opcodes import DTYPES, kinds_of, only
from tests.fakes.ptx.operands import Operands
from tests.fakes.ptx.parser import Instruction, Name

__all__ = ["Accesses"]

_SPACES = ("global", "shared", "local", "param", "const")
_CACHING = "nc ca cg cs lu cv wb wt volatile weak relaxed acquire release cta gpu sys v2 v4"
_CACHING += " L1 no_allocate evict_first evict_last evict_unchanged evict_normal L2 64B 128B 256B"


class Accesses(Operands):
    def _mov(self, instruction: Instruction) -> Step:
        target, source = instruction.operands
        (kind,) = kinds_of(instruction.opcode)
        if isinstance(source, tuple):
            part = f"b{int(kind[1:]) // len(source)}"
            reads, write = [self.reader(o, part) for o in source], self.writer(target, kind)

            def pack(frame: Frame, mask: Mask) -> None:
                parts = np.broadcast_arrays(*(read(frame) for read in reads))
                write(frame, mask, np.stack(parts, -1).view(DTYPES[kind])[:, 0])

            return pack
        if isinstance(target, tuple):
            part = f"b{int(kind[1:]) // len(target)}"
            read, writes = self.reader(source, kind), [self.writer(o, part) for o in target]

            def unpack(frame: Frame, mask: Mask) -> None:
                parts = np.ascontiguousarray(read(frame)).view(DTYPES[part]).reshape(-1, len(writes))
                for i, write in enumerate(writes):
                    write(frame, mask, parts[:, i].copy())

            return unpack
        return self.plain(instruction)

    def _cvta(self, instruction: Instruction) -> Step:
        found = only(instruction.opcode, "to " + " ".join(_SPACES))
        target, source = instruction.operands
        read, write = self.reader(source, "u64"), self.writer(target, "u64")
        if "shared" not in found:
            return lambda frame, mask: write(frame, mask, read(frame))
        inward = "to" in found

        def convert(frame: Frame, mask: Mask) -> None:
            assert frame.shared is not None
            write(frame, mask, read(frame) - frame.shared if inward else read(frame) + frame.shared)

        return convert

    # Memory

    def _space(self, instruction: Instruction, more: str = "") -> tuple[str, int]:
        found = only(instruction.opcode, " ".join((*_SPACES, _CACHING, more)))
        space = next((s for s in _SPACES if s in found), "")
        return space, 4 if "v4" in found else 2 if "v2" in found else 1

    def _ld(self, instruction: Instruction) -> Step:
        space, count = self._space(instruction)
        (kind,) = kinds_of(instruction.opcode)
        targets, source = instruction.operands
        writes = [self.writer(t, kind) for t in (targets if isinstance(targets, tuple) else (targets,))]
        if len(writes) != count:
            raise unknown(instruction)
        address, dtype = self.address(source), DTYPES[kind]

        def load(frame: Frame, mask: Mask) -> None:
            at = _real(frame, space, address(frame), dtype.itemsize * count)
            everyone = mask is None or at.size == 1
            memory, who = frame.launch.memory, frame.launch.who(mask)
            found = memory.read(space, at if everyone else at[mask], dtype, count, who)
            for write, values in zip(writes, found, strict=True):
                if not everyone:
                    full = np.zeros(frame.n, dtype)
                    full[mask] = values
                    values = full
                write(frame, mask, values)

        return load

    _ldu = _ld

    def _st(self, instruction: Instruction) -> Step:
        space, count = self._space(instruction)
        (kind,) = kinds_of(instruction.opcode)
        target, sources = instruction.operands
        reads = [self.reader(s, kind) for s in (sources if isinstance(sources, tuple) else (sources,))]
        if len(reads) != count:
            raise unknown(instruction)
        address, size = self.address(target), DTYPES[kind].itemsize * count

        def store(frame: Frame, mask: Mask) -> None:
            at = np.broadcast_to(_real(frame, space, address(frame), size), frame.n)
            values = [np.broadcast_to(read(frame), frame.n) for read in reads]
            if mask is not None:
                at, values = at[mask], [value[mask] for value in values]
            frame.launch.memory.write(space, at, values, frame.launch.who(mask))

        return store

    def _atom(self, instruction: Instruction) -> Step:
        """One thread after the other, in their order."""
        space, _ = self._space(instruction, " ".join(_ATOMS))
        (kind,) = kinds_of(instruction.opcode)
        function = _ATOMS[next(part for part in instruction.opcode[1:] if part in _ATOMS)]
        target, source, *operands = instruction.operands
        write, address = self.writer(target, kind), self.address(source)
        reads = [self.reader(o, kind) for o in operands]

        def change(frame: Frame, mask: Mask) -> None:
            at = np.broadcast_to(_real(frame, space, address(frame), DTYPES[kind].itemsize), frame.n)
            values = [np.broadcast_to(read(frame), frame.n) for read in reads]
            found = np.zeros(frame.n, DTYPES[kind])
            memory = frame.launch.memory
            for i in frame.launch.thread if mask is None else np.flatnonzero(mask):
                found[i] = memory.read(space, at[i : i + 1], DTYPES[kind], 1, None)[0, 0]
                new = np.asarray(function(found[i], *(value[i] for value in values)), DTYPES[kind])
                memory.write(space, at[i : i + 1], [new.reshape(1)], None)
                frame.launch.publish(int(i))
            write(frame, mask, found)

        return change

    def _red(self, instruction: Instruction) -> Step:
        operands = (Name("_"), *instruction.operands)
        return self._atom(Instruction(instruction.opcode, operands, instruction.guard, instruction.line))


def _real(frame: Frame, space: str, at: Array, size: int) -> Array:
    """Addresses of the host; those of shared memory count from the start of the block's own."""
    if space != "shared":
        return at
    assert frame.shared is not None
    if (at > np.uint64(frame.shared_bytes - size)).any():
        raise IndexError(f"an access of {size} bytes outside the {frame.shared_bytes} that a block shares")
    return frame.shared + at


_ATOMS: dict[str, Callable[..., Any]] = {
    "add": lambda old, b: old + b,
    "min": min,
    "max": max,
    "exch": lambda old, b: b,
    "cas": lambda old, b, c: c if old == b else old,
    "inc": lambda old, b: 0 if old >= b else old + 1,
    "dec": lambda old, b: b if old == 0 or old > b else old - 1,
    "and": lambda old, b: old & b,
    "or": lambda old, b: old | b,
    "xor": lambda old, b: old ^ b,
}
