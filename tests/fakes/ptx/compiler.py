"""Instructions of PTX compiled to steps of the machine."""

from __future__ import annotations

from tests.fakes.ptx.accesses import Accesses
from tests.fakes.ptx.machine import Block, Code, Frame, Mask, Step, unknown
from tests.fakes.ptx.parser import Instruction
from tests.fakes.ptx.threads import JUMPS, Threads, is_of_warp

__all__ = ["blocks"]


def blocks(code: Code, codes: dict[str, Code]) -> list[Block]:
    """The function's basic blocks: cut where threads diverge or must be together."""
    pieces: list[list[Instruction]] = [[]]
    labels: dict[str, int] = {}
    for item in code.function.code:
        if isinstance(item, str):
            if pieces[-1]:
                pieces.append([])
            labels[item] = len(pieces) - 1
            continue
        if is_of_warp(item) and pieces[-1] and not is_of_warp(pieces[-1][0]):
            pieces.append([])
        pieces[-1].append(item)
        if item.name in JUMPS and not is_of_warp(item):
            pieces.append([])
    compiler = _Compiler(code, labels, codes)
    return [Block(bool(piece) and is_of_warp(piece[0]), [compiler.step(item) for item in piece]) for piece in pieces]


class _Compiler(Accesses, Threads):
    def step(self, instruction: Instruction) -> Step:
        """A function that executes an instruction. Raises NotImplementedError with its text if it is unknown."""
        special = getattr(self, f"_{instruction.name}", None)
        made: Step = special(instruction) if special else self.plain(instruction)
        if instruction.guard is None:
            return made
        if is_of_warp(instruction) or instruction.name in ("call", "bar", "barrier"):
            raise unknown(instruction)
        guard = self.reader(instruction.guard, "pred")

        def guarded(frame: Frame, mask: Mask) -> None:
            chosen = guard(frame) if mask is None else guard(frame) & mask
            if chosen.any():
                made(frame, None if chosen.all() else chosen)

        return guarded

    def _setp(self, instruction: Instruction) -> Step:
        combined = any(part in ("and", "or", "xor") for part in instruction.opcode[2:])
        if len(instruction.operands) != 3 + combined:  # two results
            raise unknown(instruction)
        return self.plain(instruction)
