"""Instructions of PTX at which threads diverge, and those that they execute together."""

from __future__ import annotations

import numpy as np

from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.machine import DONE, Frame, Mask, Step, unknown
from tests.fakes.ptx.opcodes import only
from tests.fakes.ptx.operands import Operands
from tests.fakes.ptx.parser import Instruction, Name

__all__ = ["JUMPS", "TOGETHER", "Threads", "is_of_warp"]

JUMPS = ("bra", "brx", "ret", "exit", "trap", "bar", "barrier")
TOGETHER = ("shfl", "vote")


def is_of_warp(instruction: Instruction) -> bool:
    """Whether whole warps must execute it."""
    return instruction.name in TOGETHER or instruction.opcode[:2] == ("bar", "warp")


class Threads(Operands):
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
            code = self.codes[function.name]
            formal = [v.name for v in (*code.function.results, *code.function.parameters)]
            given = {to: frame.addresses[name] for to, name in zip(formal, names, strict=True)}
            code.run(frame.launch, np.ones(frame.n, bool) if mask is None else mask, given)

        return call

    # What threads execute together

    def _bar(self, instruction: Instruction) -> Step:
        if is_of_warp(instruction):
            members = self.reader(instruction.operands[0], "b32")

            def turn(frame: Frame, mask: Mask) -> None:
                _whole(members(frame), mask, instruction)
                frame.launch.turns[slice(None) if mask is None else mask] += 1

            return turn
        if len(instruction.operands) != 1 or "sync" not in only(instruction.opcode, "sync cta aligned"):
            raise unknown(instruction)

        def wait(frame: Frame, mask: Mask) -> None:
            frame.launch.waiting[slice(None) if mask is None else mask] = True
            frame.launch.release()

        return wait

    _barrier = _bar

    def _membar(self, instruction: Instruction) -> Step:
        return lambda frame, mask: frame.launch.fence(mask)

    _fence = _membar

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
    """Raises NotImplementedError for a mask of less than a whole warp."""
    if (members[mask if mask is not None and members.size > 1 else slice(None)] != 0xFFFFFFFF).any():
        raise unknown(instruction)
