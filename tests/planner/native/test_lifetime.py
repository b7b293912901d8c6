"""The code of native steps: what shares it, how long it lives, and what happens to it in threads and processes."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import weakref
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlarray.planner import compile as compile_step
from dlarray.planner.native import module
from tests.support.native_steps import batch, close, entry, module_of, start, started, step
from tests.support.process import python
from tests.support.threads import at_once

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')


def test_a_new_state_and_a_new_batch_size_have_the_same_code() -> None:
    one, two = started(start()), started(start())
    first = module_of(one)
    assert module_of(two) is first
    other = start()
    for _ in range(2):
        one(other, batch())
    assert module_of(one) is first
    for rows in (24, 40):  # as the first: loops over rows, and the same number of numbers beyond full vectors
        assert module_of(started(start(), batch(rows))) is first
    assert module_of(started(start("float64"), batch(dtype="float64"))) is not first


def test_threads_share_the_code_and_have_states_of_their_own() -> None:
    compiled = compile_step(step, "native")
    expected = start()
    for seed in range(300):
        expected, _ = step(expected, batch(seed=seed % 7))
    found: list[Any] = []
    modules: list[Any] = []

    def work(k: int) -> None:
        bound = compiled.bind(start())
        for seed in range(300):
            bound(batch(seed=seed % 7))
        modules.append(module_of(compiled))
        found.append(bound.state)

    at_once(work)
    assert len({id(module) for module in modules}) == 1
    assert len(found) == 6
    for state in found:
        np.testing.assert_equal(state, found[0])
        close((state, 0.0), (expected, 0.0), 1e-4)


# How long the code lives


def test_code_and_memory_are_freed_with_the_compiled_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """By counting references alone: no cycle keeps them. The eight latest modules stay."""
    module._latest.clear()
    monkeypatch.setattr(module, "_latest", deque(maxlen=1))
    gc.collect()
    gc.disable()
    try:
        compiled = started(start())
        bound = compiled.bind(start())
        for _ in range(3):
            bound(batch())
        kept = [weakref.ref(module_of(compiled)), weakref.ref(entry(compiled).__self__)]
        assert all(ref() is not None for ref in kept)
        del compiled
        assert kept[0]() is not None  # by the bound step
        del bound
        assert kept[0]() is not None  # as the latest module
        assert kept[1]() is None
        started(start("float64"), batch(dtype="float64"))
        assert kept[0]() is None
    finally:
        gc.enable()


def test_an_entry_keeps_code_and_memory_alive() -> None:
    state, plain = start(), start()
    enter = entry(started(state))
    gc.collect()
    others = [started(start(), batch(rows)) for rows in (3, 5, 17)]
    for seed in range(3):
        assert enter(*batch(seed=seed))
    for seed in (0, 0, 0, 1, 2):
        plain, _ = step(plain, batch(seed=seed))
    close((state, 0.0), (plain, 0.0), 1e-4)
    del others


def test_memory_does_not_grow_with_steps_that_are_compiled_and_dropped() -> None:
    code = """
import resource
from dlarray.planner.native import module
from tests.support.native_steps import batch, start, started

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def compiled_and_dropped(times):
    for _ in range(times):
        started(start(), batch(17))
        module._latest.clear()

compiled_and_dropped(20)
before = peak()
compiled_and_dropped(80)
print(peak() - before)
"""
    if sys.platform != "linux":
        pytest.skip("ru_maxrss is in KiB on Linux")
    assert float(python(code)) < 4  # MiB


# Files


def test_training_writes_no_file(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    folder.mkdir()
    code = """
import os
os.chdir(os.environ["HOME"])
import numpy as np
import dlarray
from dlarray.planner import fastest
x = np.random.default_rng(0).normal(size=(640, 6)).astype(np.float32)
trained = dlarray.fit(dlarray.mlp(6, 9, 3, activation="gelu"), x, np.arange(640) % 3, epochs=2, progress=False)
for _ in range(20):
    trained.predict(x)
print(fastest())
"""
    nowhere = {name: "" for name in os.environ if name.startswith(("XDG_", "LLVM"))}
    variables = {"HOME": str(home), "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1", **nowhere}
    assert python(code, **variables) == "native"
    assert sorted(tmp_path.rglob("*")) == sorted([home, folder])


# Threads and processes


def test_other_threads_run_during_a_step() -> None:
    """The interpreter switches threads only where one waits: so the counter counts only if the step lets it."""
    state = {"w": np.zeros((600, 500)), "m": np.zeros((600, 500)), "n": np.zeros((), np.int32)}
    given = np.ones((800, 600)), np.ones((800, 500))
    enter = entry(started(state, given))
    counted, stop = [0], threading.Event()

    def count() -> None:
        while not stop.is_set():
            counted[0] += 1
            time.sleep(0)

    interval = sys.getswitchinterval()
    thread = threading.Thread(target=count)
    sys.setswitchinterval(30)
    try:
        thread.start()
        before = counted[0]
        assert enter(*given)
        during = counted[0] - before
    finally:
        stop.set()
        sys.setswitchinterval(interval)
        thread.join()
    assert during > 100


def test_a_thread_may_be_in_a_step_when_the_process_ends() -> None:
    code = """
import threading, time
import numpy as np
from tests.support.native_steps import batch, entry, start, started
enter, given = entry(started(start(), batch(2000))), batch(2000)

def forever():
    while True:
        enter(*given)

threading.Thread(target=forever, daemon=True).start()
time.sleep(0.2)
print("end")
"""
    for _ in range(3):
        assert python(code) == "end"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_of_a_fork_goes_on_with_the_step() -> None:
    code = """
import os, sys
import numpy as np
from tests.support.native_steps import batch, entry, module_of, start, started
state = start()
compiled = started(state)
before, first = {name: array.copy() for name, array in state.items()}, module_of(compiled)

def more():
    for seed in range(5):
        compiled(state, batch(seed=seed))
        compiled(other, batch(17, seed))  # new code, made after the fork
    return b"".join(a.tobytes() for s in (state, other) for a in s.values())

other = start()
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    os.write(writer, more())
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print(os.read(reader, 100_000) == more())
"""
    assert python(code) == "True"


def test_a_process_that_is_forked_trains_with_openblas_threads() -> None:
    """OpenBLAS ends its threads before a fork and starts them again when they are needed."""
    code = """
import os, sys
import numpy as np
from tests.support.native_steps import entry, started
state = {"w": np.ones((300, 200)), "m": np.zeros((300, 200)), "n": np.zeros((), np.int32)}
given = np.full((300, 300), 0.01), np.ones((300, 200))
compiled = started(state, given)
reader, writer = os.pipe()
if (child := os.fork()) == 0:
    state, loss = compiled(state, given)
    os.write(writer, loss.tobytes() + state["w"].tobytes()[:64])
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
state, loss = compiled(state, given)
print(os.read(reader, 1000) == loss.tobytes() + state["w"].tobytes()[:64])
"""
    assert python(code, OPENBLAS_NUM_THREADS="2", OMP_NUM_THREADS="2") == "True"
