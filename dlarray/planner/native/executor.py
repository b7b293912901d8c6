"""The executor ``native``: kernels as calls that are joined with their neighbours into native functions."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dlarray.planner.kernel.joining import BatchRead, BoundCall, Joined, Rebindable, StepArrays
from dlarray.planner.kernel.loops import BoundKernel, Call
from dlarray.planner.native.joined import join
from dlarray.planner.native.kernels import KernelCall
from dlarray.planner.native.python import is_understood

__all__ = ["Native", "available", "native"]


def available() -> bool:
    """Whether llvmlite is installed, and this Python is one that native code can work with; it imports nothing."""
    return importlib.util.find_spec("llvmlite") is not None and is_understood()


class _Kernel(KernelCall):
    """A kernel that can also be called alone, as tests do: with its inputs and outputs."""

    def __call__(self, *arrays: np.ndarray) -> None:
        count = len(self.call.inputs)
        call = replace(self.call, inputs=[*arrays[:count]], outputs=[*arrays[count:]])
        for function, args in join([(_Kernel(call), arrays)]).calls:
            function(*args)


class Native:
    """The executor: a function of a call, and a joiner of calls."""

    def __call__(self, call: Call) -> BoundKernel:
        """A kernel as a part of a native step."""
        return BoundKernel([(_Kernel(call), Rebindable([*call.inputs, *call.outputs]))], rebindable=True)

    def join(
        self, calls: Sequence[BoundCall], reads: Sequence[BatchRead], arrays: StepArrays, cuts: Sequence[int] = ()
    ) -> Joined:
        """Calls that follow each other as one native function."""
        return join(calls, reads, arrays, cuts)


native = Native()
