"""Watches what a step does besides array operations: reads of values, transfers, and computing on lazy libraries.

A read is a call by which Python gets a number of an array, such as ``bool(x)``: on an accelerator it waits for the
device, and a lazy library computes for it. Such methods of the array's class are replaced while the block runs, and put
back after it. Of a class that cannot be changed only the backend's own functions are watched.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from dlarray.testing.columns import Column

__all__ = ["READS", "TRANSFERS", "watching"]

READS = ("__bool__", "__float__", "__int__", "__index__", "__complex__", "__array__", "__dlpack__", "item", "tolist")
"""Methods of an array that give its values."""

TRANSFERS = ("to_numpy", "asarray", "to_device", "concat_to_numpy")
"""Functions of a backend that move arrays."""


@contextmanager
def watching(column: Column) -> Generator[list[str]]:
    """A ``with`` block whose list names each read and each transfer in it, with the line that made it.

    Also each computation that the backend reports, see ``Backend.computations``.
    """
    seen: list[str] = []
    kind: type[Any] = column.array([1.0]).__class__
    with ExitStack() as stack:
        for name in TRANSFERS:
            stack.enter_context(_replaced(column.backend, name, seen))
        for name in READS:
            if hasattr(kind, name):
                stack.enter_context(_replaced(kind, name, seen))
        computed = stack.enter_context(column.backend.computations())
        yield seen
    seen += [f"the library computed: {what}" for what in computed]


@contextmanager
def _replaced(owner: Any, name: str, seen: list[str]) -> Generator[None]:
    """While the block runs, calls of this function are listed."""
    original: Callable[..., Any] = getattr(owner, name)
    own: Any = owner.__dict__.get(name)

    def watched(*args: Any, **options: Any) -> Any:
        seen.append(f"{name} in {_caller()}")
        return original(*args, **options)

    try:
        setattr(owner, name, watched)
    except (AttributeError, TypeError):  # a class of C that cannot be changed
        yield
        return
    try:
        yield
    finally:
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _caller() -> str:
    """The last line of code outside this file."""
    frame = next(f for f in reversed(traceback.extract_stack()) if f.filename != __file__)
    return f"{'/'.join(frame.filename.rsplit('/', 2)[-2:])}, line {frame.lineno}"
