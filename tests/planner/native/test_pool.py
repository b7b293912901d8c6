"""OpenBLAS's own threads run native code."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from ctypes import CFUNCTYPE, c_int
from typing import Any

import pytest

from dlarray.planner.native import pool as module
from dlarray.planner.native.pool import Pool, find, known, pool, works
from tests.support.process import python

FOUND = find()
needs_pool = pytest.mark.skipif(FOUND is None, reason="NumPy has no OpenBLAS whose threads are known")
PROGRAM = """
import ctypes, os
import llvmlite.binding as llvm
import numpy as np
from dlarray.planner.native.pool import pool

# Both arguments point to a counter. Each thread adds 1 and waits for the other, but not for ever.
TEXT = '''
define void @meet(ptr %argument) {
entry:
  %counter = load ptr, ptr %argument
  %before = atomicrmw add ptr %counter, i64 1 seq_cst
  br label %wait
wait:
  %i = phi i64 [0, %entry], [%j, %wait]
  %j = add i64 %i, 1
  %count = load atomic i64, ptr %counter seq_cst, align 8
  %met = icmp sge i64 %count, 2
  %tired = icmp sgt i64 %i, 4000000000
  %done = or i1 %met, %tired
  br i1 %done, label %end, label %wait
end:
  %answer = getelementptr i64, ptr %argument, i64 1
  store i64 %count, ptr %answer
  ret void
}'''
llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
machine = llvm.Target.from_default_triple().create_target_machine()
engine = llvm.create_mcjit_compiler(llvm.parse_assembly(TEXT), machine)
engine.finalize_object()
meet = engine.get_function_address("meet")

def together(found):
    counter = (ctypes.c_int64 * 1)()
    arguments = (ctypes.c_int64 * 4)(ctypes.addressof(counter), 0, ctypes.addressof(counter), 0)
    run = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(found.run)
    run(2, meet, ctypes.addressof(arguments), 16)
    assert list(arguments)[1::2] == [2, 2], list(arguments)

def product():
    a = np.random.default_rng(0).random((300, 300))
    assert np.allclose((a @ a)[0], (a[:1] @ a)[0])
"""


def run(program: str, threads: int = 2) -> str:
    return python(PROGRAM + program, OPENBLAS_NUM_THREADS=str(threads))


def test_the_wheels_of_numpy_have_a_pool_on_linux():
    import numpy as np

    built: Any = np.show_config(mode="dicts")
    blas = built["Build Dependencies"]["blas"]
    if sys.platform != "linux" or blas["name"] != "scipy-openblas":
        pytest.skip("NumPy is not from a wheel for Linux")
    assert (FOUND is not None) == known(f"OpenBLAS {blas['version']}".encode())
    if FOUND is not None:
        assert 1 <= CFUNCTYPE(c_int)(FOUND.threads)() <= 64


@needs_pool
def test_two_threads_work_at_once():
    pytest.importorskip("llvmlite")
    assert run("product()\nfor _ in range(100):\n    together(pool())\nproduct()\nprint('done')") == "done"


@needs_pool
def test_one_thread_is_no_pool():
    pytest.importorskip("llvmlite")
    assert run("print(pool())", threads=1) == "None"


@needs_pool
def test_a_limit_is_seen_when_it_is_set():
    pytest.importorskip("llvmlite")
    pytest.importorskip("threadpoolctl")
    program = """
from threadpoolctl import threadpool_limits
found = pool()
ask = ctypes.CFUNCTYPE(ctypes.c_int)(found.threads)
seen = [ask(), pool() is found]
with threadpool_limits(1):
    seen += [ask(), pool()]
together(found)
print(*seen, ask(), pool() is found)
"""
    assert run(program) == "2 True 1 None 2 True"


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python warns of a fork where there are threads
found = pool()
together(found)
product()
child = os.fork()
if child == 0:
    code = 1
    try:
        together(pool())
        product()
        together(found)
        code = 0
    finally:
        os._exit(code)
assert os.waitpid(child, 0)[1] == 0
together(found)
product()
print("done")
"""
PROCESSES = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
import multiprocessing
def job(i):
    together(pool())
    product()
    return i
if __name__ == "__main__":
    job(0)
    with multiprocessing.get_context("fork").Pool(2) as workers:
        print(*workers.map(job, range(4)))
    job(0)
"""


@needs_pool
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize(("program", "expected"), [(FORK, "done"), (PROCESSES, "0 1 2 3")])
def test_a_forked_process_has_threads_of_its_own(program: str, expected: str):
    pytest.importorskip("llvmlite")
    assert run(program) == expected


@needs_pool
def test_threads_of_python_share_the_pool():
    pytest.importorskip("llvmlite")
    program = """
from concurrent.futures import ThreadPoolExecutor
def job(i):
    for _ in range(20):
        product()
        done = (ctypes.c_int64 * 4)()
        run = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(pool().run)
        run(2, ctypes.cast(ctypes.CDLL(None).time, ctypes.c_void_p), ctypes.addressof(done), 16)
        assert done[0] and done[2]
    return i
with ThreadPoolExecutor(4) as threads:
    print(*threads.map(job, range(8)))
"""
    assert run(program) == "0 1 2 3 4 5 6 7"


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (b"OpenBLAS 0.3.31.188.0  USE64BITINT DYNAMIC_ARCH NO_AFFINITY SkylakeX MAX_THREADS=64", True),
        (b"OpenBLAS 0.3.27  USE64BITINT DYNAMIC_ARCH NO_AFFINITY Haswell MAX_THREADS=64", True),
        (b"OpenBLAS 0.3.30.dev DYNAMIC_ARCH", True),
        (b"OpenBLAS 0.3.3 DYNAMIC_ARCH", False),
        (b"OpenBLAS 0.3.99 DYNAMIC_ARCH", False),
        (b"OpenBLAS 0.4.27", False),
        (b"OpenBLAS 1.0.31", False),
        (b"", False),
    ],
)
def test_only_tested_versions_are_used(configuration: bytes, expected: bool):
    assert known(configuration) is expected


@needs_pool
@pytest.mark.parametrize(
    ("name", "value"),
    [("TESTED", range(1000, 1001)), ("PTHREADS", 2), ("NAMES", ("no_such_{}",))],
)
def test_what_is_not_known_is_no_pool(name: str, value: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, name, value)
    assert find.__wrapped__() is None


def test_other_systems_have_no_pool(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert find.__wrapped__() is None
    monkeypatch.setattr(module, "find", find.__wrapped__)
    assert pool() is None


def address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


RUN = CFUNCTYPE(c_int, c_int, ctypes.c_void_p, ctypes.c_void_p, c_int)


@pytest.mark.parametrize("writes", [(), (0,), (2,), (0, 1), (0, 1, 2, 3)])
def test_a_pool_that_calls_otherwise_is_not_used(writes: tuple[int, ...]):
    def wrong(count: int, function: int, first: int, stride: int) -> int:
        for i in writes:
            ctypes.c_int64.from_address(first + 8 * i).value = 1
        return 0

    function = RUN(wrong)
    assert not works.__wrapped__(Pool(address(function), 0))


def test_a_pool_that_does_not_come_back_is_not_used(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    def late(count: int, function: int, first: int, stride: int) -> int:
        time.sleep(0.5)
        return 0

    function = RUN(late)
    assert not works.__wrapped__(Pool(address(function), 0))
    time.sleep(0.6)  # until its thread has ended
