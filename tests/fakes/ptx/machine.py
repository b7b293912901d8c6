"""A machine that executes PTX: all threads of a grid at once, each instruction an operation on an array of threads.

Threads with the smallest program counter go first, so threads that diverged at a branch converge again. Threads wait
at shuffles for their whole warp and at barriers for their whole block; if no thread can go on, that is an error.
Registers hold bits, which each instruction reads by its types. Uninitialised registers and memory are filled with a
pattern.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.fakes.ptx.arithmetic import Array
from tests.fakes.ptx.memory import Memory, Who
from tests.fakes.ptx.opcodes import DTYPES
from tests.fakes.ptx.parser import Function, Instruction

__all__ = ["DONE", "Block", "Code", "Frame", "Launch", "Mask", "Step", "unknown"]

DONE = 2**60
MOST_BLOCKS = 10**5
"""More basic blocks than a kernel of a test executes."""

Mask = Array | None
"""The threads that execute an instruction; None: all."""
Step = Callable[["Frame", Mask], None]


@dataclass
class Block:
    """Instructions that are executed one after the other; only the last one jumps."""

    together: bool = False
    """Whether whole warps must execute it together."""
    steps: list[Step] = field(default_factory=list)


class Launch:
    """One run of a kernel."""

    def __init__(self, memory: Memory, blocks: int, threads: int) -> None:
        if threads % 32:
            raise ValueError(f"blocks are of whole warps, got {threads} threads")
        self.memory, self.blocks, self.threads = memory, blocks, threads
        self.n = blocks * threads
        self.thread = np.arange(self.n)
        self.block = self.thread // threads
        one, zero = np.ones(1, np.uint32), np.zeros(1, np.uint32)
        self.special: dict[str, Array] = {
            "%tid.x": (self.thread % threads).astype(np.uint32),
            "%ntid.x": np.array([threads], np.uint32),
            "%ctaid.x": self.block.astype(np.uint32),
            "%nctaid.x": np.array([blocks], np.uint32),
            "%laneid": (self.thread % 32).astype(np.uint32),
            **{f"%{name}.{axis}": zero for name in ("tid", "ctaid") for axis in "yz"},
            **{f"%{name}.{axis}": one for name in ("ntid", "nctaid") for axis in "yz"},
        }
        self.waiting = np.zeros(self.n, bool)
        self.ended = np.zeros(self.n, bool)
        self.epoch = np.zeros(self.n, np.int64)
        self.turns = np.zeros(self.n, np.int64)
        self.executed = 0
        self.clock = 0
        self.fenced = np.full(self.n, -1)
        """The barriers that each thread's block had passed at its last fence."""
        self.published: dict[int, list[int]] = {}
        self.known = np.full((3, blocks), -1)
        """The number, the thread, and the barriers passed, of each block's last atomic operation."""
        self.seen = np.full(self.n, -1)

    def who(self, mask: Mask) -> Who:
        everyone = Who(self.thread, self.block, self.epoch.copy(), self.turns.copy(), self.seen.copy(), self.clock)
        return everyone if mask is None else everyone[mask]

    def fence(self, mask: Mask) -> None:
        """After a fence a thread sees its block's last atomic operation, if it is its own or from before a barrier."""
        here = slice(None) if mask is None else mask
        number, thread, epoch = self.known[:, self.block]
        sees = np.where((thread == self.thread) | (epoch < self.epoch), number, self.seen)
        self.fenced[here], self.seen[here] = self.epoch[here], sees[here]

    def publish(self, thread: int) -> None:
        """An atomic operation: writes of its block before a fence and a barrier are visible to later ones."""
        self.clock += 1
        block = int(self.block[thread])
        mine = slice(block * self.threads, (block + 1) * self.threads)
        self.known[:, block] = self.clock, thread, self.epoch[thread]
        apart = (self.thread[mine] == thread) | (self.fenced[mine] < self.epoch[thread])
        if (apart & (self.fenced[mine] >= 0)).all():
            self.published.setdefault(block, []).append(self.clock)

    def release(self) -> bool:
        """Release the blocks whose threads all wait or have ended. Returns whether there were any."""
        arrived = (self.waiting | self.ended).reshape(self.blocks, self.threads).all(1)
        free = np.repeat(arrived, self.threads) & self.waiting
        self.epoch += np.repeat(free.reshape(self.blocks, self.threads).any(1), self.threads)
        self.waiting &= ~free
        return bool(free.any())


class Frame:
    """The registers and variables of a function that is executed."""

    def __init__(self, code: Code, launch: Launch, addresses: dict[str, Array]) -> None:
        self.launch, self.n = launch, launch.n
        self.registers = [_unset(dtype, launch.n) for dtype in code.dtypes]
        self.addresses = addresses
        self.pc = np.zeros(launch.n, np.int64)
        self.shared: Array | None = None
        """The address of the shared memory of each thread's block."""
        self.shared_bytes = 0


def _unset(dtype: np.dtype[Any], n: int) -> Array:
    return np.full(n * dtype.itemsize, 0x40 if dtype.kind != "b" else 1, np.uint8).view(dtype)


@dataclass
class Code:
    """A function ready to be executed."""

    function: Function
    tables: dict[str, Array]
    """The address of each variable of the module."""
    blocks: list[Block] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = self.function.registers
        self.slots = {name: i for i, name in enumerate(names)}
        self.dtypes = [DTYPES[kind] for kind in names.values()]

    def run(self, launch: Launch, mask: Array, given: dict[str, Array]) -> None:
        """Execute it for some threads until they have all returned."""
        memory = launch.memory
        frame = Frame(self, launch, {**self.tables, **given})
        mine: list[int] = []
        self._place(frame, memory, mine)
        frame.pc = np.where(mask, 0, DONE)
        parked = np.zeros(launch.n, bool)
        while self._step(frame, parked):
            launch.executed += 1
            if launch.executed > MOST_BLOCKS:
                raise RuntimeError(f"{self.function.name} does not end")
        for start in mine:
            memory.forbid(start)

    def _place(self, frame: Frame, memory: Memory, mine: list[int]) -> None:
        """Allocate the variables of each thread, and those that a block shares."""
        launch, shared = frame.launch, 0
        for v in self.function.variables:
            if v.space == "shared":
                shared = -(-shared // v.align) * v.align
                frame.addresses[v.name] = np.array([shared], np.uint64)
                shared += v.size
                continue
            stride = -(-v.size // 16) * 16
            start = memory.allocate(stride * launch.n, v.space).ctypes.data
            frame.addresses[v.name] = (start + stride * launch.thread).astype(np.uint64)
            mine.append(start)
        if shared:
            frame.shared_bytes, stride = shared, -(-shared // 128) * 128
            start = memory.allocate(stride * launch.blocks, "shared").ctypes.data
            frame.shared = (start + stride * launch.block).astype(np.uint64)
            mine.append(start)

    def _step(self, frame: Frame, parked: Array) -> bool:
        launch = frame.launch
        able = np.where(launch.waiting | parked, DONE, frame.pc)
        current = int(able.min())
        if current == DONE:
            if (frame.pc == DONE).all():
                return False
            if launch.release():
                return True
            raise RuntimeError(f"{self.function.name}: threads wait for threads that never come")
        mask = (frame.pc == current) & ~launch.waiting
        block = self.blocks[current]
        if block.together:
            whole = np.repeat(mask.reshape(-1, 32).all(1), 32)
            parked |= mask & ~whole
            mask &= whole
            parked &= ~mask
            if not mask.any():
                return True
        frame.pc[mask] = current + 1
        given = None if mask.all() else mask
        for step in block.steps:
            step(frame, given)
        return True


def unknown(instruction: Instruction) -> NotImplementedError:
    return NotImplementedError(f"this instruction of PTX: {instruction.line}")
