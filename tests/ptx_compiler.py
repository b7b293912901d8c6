"""Instructions of PTX made into steps of the machine: operands, memory, jumps, and what threads do together."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.ptx_arithmetic import Array
from tests.ptx_instructions import DTYPES, kinds_of, meaning, only
from tests.ptx_machine import DONE, Block, Frame, Mask, Step, unknown
from tests.ptx_parser import Address, Immediate, Instruction, Name, Not, Operand

if TYPE_CHECKING:
    from tests.ptx_machine import Code

__all__ = ["blocks"]

Reader = Callable[[Frame], Array]
Writer = Callable[[Frame, Mask, Array], None]

_SPACES = ("global", "shared", "local", "param", "const")
_CACHING = "nc ca cg cs lu cv wb wt volatile weak relaxed acquire release cta gpu sys v2 v4"
_CACHING += " L1 no_allocate evict_first evict_last evict_unchanged evict_normal L2 64B 128B 256B"
_JUMPS = ("bra", "brx", "ret", "exit", "trap", "bar", "barrier")
_TOGETHER = ("shfl", "vote")
_FENCES = ("membar", "fence")


def blocks(code: Code) -> list[Block]:
    """The function's code, cut where threads come together or part."""
    made = [Block()]
    labels: dict[str, int] = {}
    waiting: list[tuple[Block, Instruction]] = []
    for item in code.function.code:
        if isinstance(item, str):
            if made[-1].steps:
                made.append(Block())
            labels[item] = len(made) - 1
            continue
        if (item.name in _TOGETHER or item.opcode[:2] == ("bar", "warp")) and not made[-1].together:
            if made[-1].steps:
                made.append(Block())
            made[-1].together = True
        made[-1].steps.append(_nothing)
        waiting.append((made[-1], item))
        if item.name in _JUMPS and item.opcode[:2] != ("bar", "warp"):
            made.append(Block())
    for block in made:
        block.steps.clear()
    compiler = _Compiler(code, labels)
    for block, item in waiting:
        block.steps.append(compiler.step(item))
    return made


def _nothing(frame: Frame, mask: Mask) -> None:
    pass


def _chosen(mask: Mask, condition: Array) -> Array:
    return condition if mask is None else condition & mask


class _Compiler:
    def __init__(self, code: Code, labels: dict[str, int]) -> None:
        self.code, self.labels = code, labels

    # Operands

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

    # Instructions

    def step(self, instruction: Instruction) -> Step:
        """Raises NotImplementedError by the instruction's text."""
        special = getattr(self, f"_{instruction.name}", None)
        if instruction.name in _FENCES:
            return lambda frame, mask: frame.launch.fence(mask)
        made: Step = special(instruction) if special else self._plain(instruction)
        if instruction.guard is None:
            return made
        if instruction.name in _TOGETHER or instruction.name in ("call", "bar", "barrier"):
            raise unknown(instruction)
        guard = self.reader(instruction.guard, "pred")

        def guarded(frame: Frame, mask: Mask) -> None:
            chosen = _chosen(mask, guard(frame))
            if chosen.any():
                made(frame, None if chosen.all() else chosen)

        return guarded

    def _plain(self, instruction: Instruction) -> Step:
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
        return self._plain(instruction)

    def _setp(self, instruction: Instruction) -> Step:
        combined = any(part in ("and", "or", "xor") for part in instruction.opcode[2:])
        if len(instruction.operands) != 3 + combined:  # two results
            raise unknown(instruction)
        return self._plain(instruction)

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

    # Jumps

    def _bra(self, instruction: Instruction) -> Step:
        (label,) = instruction.operands
        assert isinstance(label, Name)
        place = self.labels[label.name]

        def jump(frame: Frame, mask: Mask) -> None:
            frame.pc[slice(None) if mask is None else mask] = place

        return jump

    def _brx(self, instruction: Instruction) -> Step:
        index, table = instruction.operands
        assert isinstance(table, Name)
        read = self.reader(index, "u32")
        places = np.array([self.labels[name] for name in self.code.function.tables[table.name]])

        def jump(frame: Frame, mask: Mask) -> None:
            here = slice(None) if mask is None else mask
            frame.pc[here] = places[read(frame)[here]]

        return jump

    def _ret(self, instruction: Instruction) -> Step:
        entry = self.code.function.entry
        if instruction.name == "exit" and not entry:
            raise unknown(instruction)

        def leave(frame: Frame, mask: Mask) -> None:
            here = slice(None) if mask is None else mask
            frame.pc[here] = DONE
            if entry:
                frame.launch.ended[here] = True

        return leave

    _exit = _ret

    def _trap(self, instruction: Instruction) -> Step:
        def stop(frame: Frame, mask: Mask) -> None:
            raise RuntimeError(f"{self.code.function.name} executes a trap")

        return stop

    def _call(self, instruction: Instruction) -> Step:
        results, function, arguments = (
            instruction.operands if isinstance(instruction.operands[0], tuple) else ((), *instruction.operands)
        )
        assert isinstance(function, Name)
        names = [o.name for o in (*results, *arguments) if isinstance(o, Name)]  # type: ignore[misc]

        def call(frame: Frame, mask: Mask) -> None:
            code = self.code.program.codes[function.name]
            formal = [v.name for v in (*code.function.results, *code.function.parameters)]
            given = {to: frame.addresses[name] for to, name in zip(formal, names, strict=True)}
            code.run(frame.launch, np.ones(frame.n, bool) if mask is None else mask, given)

        return call

    # What threads do together

    def _bar(self, instruction: Instruction) -> Step:
        if instruction.opcode[:2] == ("bar", "warp"):
            return _nothing
        if len(instruction.operands) != 1 or "sync" not in only(instruction.opcode, "sync cta aligned"):
            raise unknown(instruction)

        def wait(frame: Frame, mask: Mask) -> None:
            frame.launch.waiting[slice(None) if mask is None else mask] = True
            frame.launch.release()

        return wait

    _barrier = _bar

    def _shfl(self, instruction: Instruction) -> Step:
        (how,) = only(instruction.opcode, "sync up down bfly idx") - {"sync"}
        *targets, source, by, clamp, members = instruction.operands
        write, present = self.writer(targets[0], "b32"), None
        if len(targets) == 2:
            present = self.writer(targets[1], "pred")
        reads = [self.reader(o, kind) for o, kind in ((source, "b32"), (by, "u32"), (clamp, "u32"), (members, "b32"))]

        def shuffle(frame: Frame, mask: Mask) -> None:
            value, b, c, everyone = (read(frame) for read in reads)
            _whole(everyone, mask, instruction)
            lane = frame.launch.thread % 32
            b, most, segment = b.astype(np.int64) & 31, c.astype(np.int64) & 31, c.astype(np.int64) >> 8 & 31
            first, last = lane & segment, (lane & segment) | (most & ~segment)
            place = {"up": lane - b, "down": lane + b, "bfly": lane ^ b, "idx": first | (b & ~segment)}[how]
            valid = place >= last if how == "up" else place <= last
            place = np.where(valid, place, lane) + frame.launch.thread - lane
            write(frame, mask, np.broadcast_to(value, frame.n)[place])
            if present is not None:
                present(frame, mask, valid)

        return shuffle

    def _vote(self, instruction: Instruction) -> Step:
        (how,) = only(instruction.opcode, "sync all any uni ballot") - {"sync"}
        target, source, members = instruction.operands
        write = self.writer(target, "b32" if how == "ballot" else "pred")
        read, who = self.reader(source, "pred"), self.reader(members, "b32")

        def vote(frame: Frame, mask: Mask) -> None:
            _whole(who(frame), mask, instruction)
            given = np.broadcast_to(read(frame), frame.n).reshape(-1, 32)
            if how == "ballot":
                each = (given.astype(np.uint64) << np.arange(32, dtype=np.uint64)).sum(1).astype(np.uint32)
            elif how == "uni":
                each = given.all(1) | ~given.any(1)
            else:
                each = given.all(1) if how == "all" else given.any(1)
            write(frame, mask, np.repeat(each, 32))

        return vote


def _whole(members: Array, mask: Mask, instruction: Instruction) -> None:
    """Only whole warps are known."""
    if (members[mask if mask is not None and members.size > 1 else slice(None)] != 0xFFFFFFFF).any():
        raise unknown(instruction)


def _real(frame: Frame, space: str, at: Array, size: int) -> Array:
    """Addresses of the host; those of shared memory count from the start of the block's own."""
    if space != "shared":
        return at
    assert frame.shared is not None
    if (at > np.uint64(frame.shared_bytes - size)).any():
        raise IndexError(f"an access of {size} bytes outside the {frame.shared_bytes} that a block shares")
    return frame.shared + at


def _constant(operand: Immediate, dtype: np.dtype[Any]) -> Array:
    bits = 8 * dtype.itemsize
    if dtype.kind == "b":
        return np.array([bool(operand.value)])
    if (operand.float_bits and operand.float_bits != bits) or (dtype.kind == "f" and not operand.float_bits):
        raise NotImplementedError(f"this constant of PTX as {dtype}: {operand}")
    return np.array([operand.value % 2**bits], f"u{dtype.itemsize}").view(dtype)


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
