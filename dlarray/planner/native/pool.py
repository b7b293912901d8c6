"""OpenBLAS's own threads, on which native code may compute something else between two products.

A thread of our own would compete with OpenBLAS's, which spin for a while after each product, and would gain nothing.
``gotoblas_pthread`` calls a function with several arguments on several threads at once. OpenBLAS uses it in no product,
but exports it. It starts the threads again if they have ended, as they have after a fork.
"""

from __future__ import annotations

import ctypes
import re
import sys
from ctypes import CFUNCTYPE, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from threading import Thread

from dlarray.planner.native.blas import addresses, libraries

__all__ = ["Pool", "find", "known", "pool", "untested", "works"]

TESTED = range(27, 32)
"""The versions 0.3.x that are used: those in the wheels of NumPy 2.1 to 2.4."""
NAMES = ("scipy_openblas_{}64_", "openblas_{}64_", "scipy_openblas_{}", "openblas_{}")
PATIENCE = 2.0
"""The seconds in which the first call must return."""
PTHREADS = 1
"""What openblas_get_parallel returns where its threads are its own; 0 means none, 2 those of OpenMP."""


@dataclass(frozen=True)
class Pool:
    """Addresses of functions of OpenBLAS.

    Native code must ask ``threads`` before every call of ``run``: a limit may have been set since, and in a process
    with only one thread ``run`` would wait for another for ever.
    """

    run: int
    """``int run(int count, void (*f)(void *), char *first, int stride)`` calls f(first + i stride) for each i < count,
    the first on the calling thread and every other on a thread of its own, and returns when all have returned."""
    threads: int
    """``int threads(void)``: how many threads OpenBLAS uses at the moment."""


def pool() -> Pool | None:
    """The pool, tested; None where there is none, or where it has only one thread at the moment."""
    found = untested()
    return found if found and works(found) else None


def untested() -> Pool | None:
    """The same, perhaps not tested yet. After the test a thread of OpenBLAS waits actively for some 80 ms."""
    found = find()
    return found if found and CFUNCTYPE(c_int)(found.threads)() >= 2 else None


@cache
def find() -> Pool | None:
    """The pool of NumPy's OpenBLAS, not tried yet; None for versions and systems on which it was not tested."""
    if sys.platform != "linux":
        return None
    for library in libraries():
        for name in NAMES:
            words = ("get_config", "get_parallel", "get_num_threads")
            found = addresses(library, [*(name.format(word) for word in words), "gotoblas_pthread"])
            if found:
                config, parallel, threads, run = found
                usable = known(CFUNCTYPE(c_char_p)(config)()) and CFUNCTYPE(c_int)(parallel)() == PTHREADS
                return Pool(run, threads) if usable else None
    return None


def known(configuration: bytes) -> bool:
    """Whether OpenBLAS says that it is a version whose pool was tested."""
    found = re.match(rb"OpenBLAS 0\.3\.(\d+)\b", configuration)
    return found is not None and int(found[1]) in TESTED


@cache
def works(found: Pool) -> bool:
    """Whether two threads call a function of the C library with their own arguments, and come back."""
    clock = ctypes.cast(ctypes.CDLL(None).time, c_void_p)  # stores the seconds since 1970 where its argument points to
    seconds = (c_int64 * 4)()
    run = CFUNCTYPE(c_int, c_int, c_void_p, c_void_p, c_int)(found.run)
    caller = Thread(target=run, args=(2, clock, ctypes.addressof(seconds), 16), daemon=True)
    caller.start()
    caller.join(PATIENCE)
    return not caller.is_alive() and [n > 0 for n in seconds] == [True, False, True, False]
