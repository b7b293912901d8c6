# SPDX-License-Identifier: BSD-3-Clause
"""Capturing streams as graphs, what is forbidden meanwhile, and replaying graphs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

ORDERS = ["now", "late", "main", 1, 2, 3, 4, 5]
GLOBAL, THREAD_LOCAL, RELAXED = 0, 1, 2


def stream(cupy: Any) -> Any:
    return cupy.cuda.Stream(non_blocking=True)


def capture(cupy: Any, work: Callable[[], object]) -> Any:
    with stream(cupy) as s:
        s.begin_capture()
        try:
            work()
        finally:
            graph = s.end_capture()
    return graph


def fork(cupy: Any, x: Any, y: Any, joined: bool = True) -> None:
    """Two branches: one triples x, the other adds 1 to y."""
    main, other = cupy.cuda.get_current_stream(), stream(cupy)
    other.wait_event(main.record())
    x *= 3
    with other:
        y += 1
    if joined:
        main.wait_event(other.record())


def ended_with(s: Any, error: str) -> None:
    with pytest.raises(RuntimeError, match=error):
        s.end_capture()
    assert not s.is_capturing()


@pytest.mark.parametrize("order", ORDERS)
def test_a_replay_computes_what_was_captured(cupy: Any, order: str | int):
    x, y = cupy.ones(4, np.float32), cupy.zeros(4, np.float32)

    def work() -> None:
        fork(cupy, x, y)
        x.__iadd__(y)

    graph = capture(cupy, work)
    assert x[0] == 1  # capturing computes nothing
    with emulator.order(order), stream(cupy) as s:
        graph.launch()
        graph.launch()
        s.synchronize()
        assert x.get(s).tolist() == [14] * 4  # 3 · 1 + 1 = 4; 3 · 4 + 2 = 14


def test_branches_run_in_any_order(cupy: Any):
    """Both branches write the same numbers, which is a race: the orders of replays show it."""
    x = cupy.ones(1, np.float32)
    graph = capture(cupy, lambda: fork(cupy, x, x))
    found: set[float] = set()
    for order in ORDERS:
        x[:] = 1
        cupy.cuda.Device().synchronize()
        with emulator.order(order), stream(cupy) as s:
            graph.launch()
            s.synchronize()
            found.add(float(x.get(s)[0]))
    assert found == {4.0, 6.0}


def test_arguments_are_those_of_the_capture(cupy: Any):
    x, number = cupy.zeros(4, np.float32), np.full(1, 2, np.float32)
    fill = cupy.RawKernel('extern "C" __global__ void fill(float *x, float v) { x[threadIdx.x] += v; }', "fill")
    graph = capture(cupy, lambda: fill((1,), (4,), (x, number[0])))
    number[0] = 100
    graph.launch()
    assert x.get().tolist() == [2] * 4


def test_a_launch_that_is_queued_outlives_its_graph(cupy: Any):
    x = cupy.zeros(4, np.float32)
    graph = capture(cupy, lambda: x.__iadd__(1))
    cupy.cuda.Device().synchronize()
    with emulator.order("late"), stream(cupy) as s:
        graph.launch()
        del graph
        s.synchronize()
        assert x.get(s).tolist() == [1] * 4


def test_a_graph_within_a_graph(cupy: Any):
    x = cupy.ones(4, np.float32)
    inner = capture(cupy, lambda: x.__imul__(2))

    def work() -> None:
        inner.launch()
        x.__iadd__(1)
        inner.launch()

    capture(cupy, work).launch()
    assert x.get().tolist() == [6] * 4


def test_a_fork_must_be_joined(cupy: Any):
    x, y = cupy.ones(4, np.float32), cupy.zeros(4, np.float32)
    s = stream(cupy)
    with s:
        s.begin_capture()
        fork(cupy, x, y, joined=False)
        ended_with(s, "cudaErrorStreamCaptureUnjoined")


WAITING: dict[str, Callable[[Any, Any], object]] = {
    "synchronize": lambda cupy, s: s.synchronize(),
    "device": lambda cupy, s: cupy.cuda.Device().synchronize(),
    "malloc": lambda cupy, s: cupy.cuda.runtime.malloc(10),
    "pinned": lambda cupy, s: cupy.cuda.alloc_pinned_memory(1 << 22),
    "memcpy": lambda cupy, s: cupy.cuda.runtime.memcpy(cupy.zeros(1).data.ptr, np.zeros(1).ctypes.data, 8, 1),
    "another stream": lambda cupy, s: cupy.cuda.Stream(non_blocking=True).synchronize(),
}


@pytest.mark.parametrize("call", WAITING.values(), ids=WAITING)
def test_calls_that_wait_break_the_capture(cupy: Any, call: Callable[[Any, Any], object]):
    x, s = cupy.zeros(4, np.float32), stream(cupy)
    x += 1  # loads the kernel, which waits too
    with s:
        s.begin_capture(GLOBAL)
        x += 1
        with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
            call(cupy, s)
        with pytest.raises(RuntimeError, match="STREAM_CAPTURE_INVALIDATED"):
            x += 1
        ended_with(s, "cudaErrorStreamCaptureInvalidated")


def test_asking_breaks_the_capture(cupy: Any):
    s = stream(cupy)
    s.begin_capture()
    assert not s.done
    ended_with(s, "cudaErrorStreamCaptureInvalidated")


def test_a_relaxed_capture_allows_what_cannot_harm_it(cupy: Any):
    s = stream(cupy)
    s.begin_capture(RELAXED)  # which is CuPy's default
    cupy.cuda.runtime.free(cupy.cuda.runtime.malloc(10))
    s.end_capture()


def test_captured_events_are_not_for_the_host(cupy: Any):
    s, event = stream(cupy), cupy.cuda.Event()
    with s:
        s.begin_capture()
        event.record()
        with pytest.raises(RuntimeError, match="cudaErrorCapturedEvent"):
            event.synchronize()
        ended_with(s, "cudaErrorStreamCaptureInvalidated")
    with pytest.raises(RuntimeError, match="cudaErrorCapturedEvent"):  # also later
        stream(cupy).wait_event(event)


def test_captures_do_not_depend_on_each_other_or_on_other_work(cupy: Any):
    first, second, before = stream(cupy), stream(cupy), cupy.cuda.Event()
    before.record(second)
    first.begin_capture()
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureIsolation"):
        first.wait_event(before)
    ended_with(first, "cudaErrorStreamCaptureInvalidated")
    first.begin_capture()
    second.begin_capture()
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureMerge"):
        second.wait_event(first.record())
    ended_with(first, "cudaErrorStreamCaptureInvalidated")
    ended_with(second, "cudaErrorStreamCaptureInvalidated")


def test_the_default_stream_may_not_wait_for_a_captured_one(cupy: Any):
    x, s = cupy.zeros(4, np.float32), cupy.cuda.Stream()  # a blocking one
    s.begin_capture()
    with pytest.raises(RuntimeError, match="STREAM_CAPTURE_IMPLICIT"):
        x += 1
    ended_with(s, "cudaErrorStreamCaptureInvalidated")
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnsupported"):
        cupy.cuda.runtime.streamBeginCapture(0)


def test_the_stream_that_began_ends(cupy: Any):
    s, other = stream(cupy), stream(cupy)
    s.begin_capture()
    other.wait_event(s.record())
    with pytest.raises(RuntimeError, match="cudaErrorStreamCaptureUnmatched"):
        other.end_capture()
    ended_with(s, "cudaErrorStreamCaptureInvalidated")
    with pytest.raises(RuntimeError, match="cudaErrorIllegalState"):
        s.end_capture()


def in_thread(call: Callable[[], object]) -> str:
    """The error of a call in another thread, or ''."""
    errors = [""]

    def run() -> None:
        try:
            call()
        except RuntimeError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    return errors[-1]


@pytest.mark.parametrize("mode", [GLOBAL, THREAD_LOCAL, RELAXED])
def test_what_threads_may_do_meanwhile(cupy: Any, mode: int):
    s = stream(cupy)

    def allocate() -> None:
        cupy.cuda.runtime.free(cupy.cuda.runtime.malloc(10))

    s.begin_capture(mode)
    assert ("WrongThread" in in_thread(s.end_capture)) == (mode != RELAXED)
    if mode == RELAXED:
        return
    assert ("StreamCaptureUnsupported" in in_thread(allocate)) == (mode == GLOBAL)
    if mode == GLOBAL:
        ended_with(s, "cudaErrorStreamCaptureInvalidated")
    else:
        s.end_capture()


def test_the_graph_can_be_printed(cupy: Any):
    x, y = cupy.ones(4, np.float32), cupy.zeros(4, np.float32)
    graph = capture(cupy, lambda: fork(cupy, x, y))
    text = graph.debug_dot_str()
    assert text.startswith("digraph")
    assert text.count("label=") == 2
    assert "->" not in text


def test_a_capture_allocates_nothing_in_the_order_of_the_stream(cupy: Any, capfd: pytest.CaptureFixture[str]):
    s = stream(cupy)
    s.begin_capture()
    with pytest.raises(RuntimeError, match="not emulated: allocating memory in a captured stream"):
        cupy.cuda.runtime.mallocAsync(10, s.ptr)
    s.end_capture()
    assert "captured stream" in capfd.readouterr().err
