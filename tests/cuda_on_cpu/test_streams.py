# SPDX-License-Identifier: BSD-3-Clause
"""Streams and events: what may run when, and what waits for what."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from tests import cuda_on_cpu as emulator

ORDERS = ["now", "late", "main", 1, 2, 3, 4]
FROM_HOST, TO_HOST = 1, 2


def pinned(cupy: Any, n: int, value: float) -> np.ndarray:
    array = np.frombuffer(cupy.cuda.alloc_pinned_memory(4 * n), np.float32, n)
    array[:] = value
    return array


def copy(cupy: Any, target: Any, source: np.ndarray, stream: Any) -> None:
    cupy.cuda.runtime.memcpyAsync(target.data.ptr, source.ctypes.data, source.nbytes, FROM_HOST, stream.ptr)


def test_a_copy_from_pinned_memory_runs_late_and_one_from_other_memory_does_not(cupy: Any):
    for source, arrives in ((pinned(cupy, 4, 1), 2), (np.ones(4, np.float32), 1)):
        target, stream = cupy.zeros(4, np.float32), cupy.cuda.Stream(non_blocking=True)
        cupy.cuda.Device().synchronize()
        with emulator.order("late"):
            copy(cupy, target, source, stream)
            source[:] = 2  # before the copy is done
            stream.synchronize()
        assert target.get().tolist() == [arrives] * 4


@pytest.mark.parametrize("order", ORDERS)
def test_an_event_orders_two_streams(cupy: Any, order: str | int):
    first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
    x = cupy.zeros(4, np.float32)
    cupy.cuda.Device().synchronize()
    with emulator.order(order):
        for _ in range(5):
            for stream, other in ((first, second), (second, first)):
                with stream:
                    x *= 2
                    x += 1
                other.wait_event(stream.record())
        second.synchronize()
        assert x.get(second).tolist() == [2.0**10 - 1] * 4


def test_without_the_event_some_order_shows_the_race(cupy: Any):
    found = set[float]()
    for order in ORDERS:
        first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
        x = cupy.ones(1, np.float32)
        cupy.cuda.Device().synchronize()
        with emulator.order(order):
            with first:
                x += 1
            with second:
                x *= 10
            second.synchronize()
            first.synchronize()
            found.add(float(x[0]))
    assert found == {20.0, 11.0}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("blocking", [True, False])
def test_the_default_stream_waits_for_blocking_streams_only(cupy: Any, order: str | int, blocking: bool):
    stream, source, target = cupy.cuda.Stream(non_blocking=not blocking), pinned(cupy, 4, 3), cupy.zeros(4, np.float32)
    cupy.cuda.Device().synchronize()
    with emulator.order(order):
        copy(cupy, target, source, stream)
        found = target.get()  # on the default stream
        stream.synchronize()
    assert found[0] == 3 if blocking or order == "now" else found[0] in (0, 3)
    if order == "late" and not blocking:
        assert found[0] == 0


def test_a_seed_gives_the_same_order_again(cupy: Any):
    def run(seed: int) -> list[float]:
        streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(3)]
        x = cupy.ones(1, np.float32)
        cupy.cuda.Device().synchronize()
        with emulator.order(seed):
            for i in range(12):
                with streams[i % 3]:
                    x *= 1.5
                    x += i
            cupy.cuda.Device().synchronize()
        return x.tolist()

    assert run(7) == run(7)
    assert len({tuple(run(seed)) for seed in range(5)}) > 1


def test_an_event_is_reached_when_what_is_before_it_is_done(cupy: Any):
    stream, done = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Event()
    x = cupy.zeros(1, np.float32)
    cupy.cuda.Device().synchronize()
    with emulator.order("late"):
        with stream:
            for _ in range(3):
                x += 1
        done.record(stream)
        asked = [done.done]
        while not done.done:  # asking again and again ends
            asked.append(False)
        assert not asked[0]
        assert x.get(stream).tolist() == [3]


def test_time_between_events(cupy: Any):
    first, second = cupy.cuda.Event(), cupy.cuda.Event()
    first.record()
    cupy.ones(10)
    second.record()
    second.synchronize()
    assert 0 < cupy.cuda.get_elapsed_time(first, second) < 10_000
    untimed = cupy.cuda.Event(disable_timing=True)
    untimed.record()
    with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):
        cupy.cuda.get_elapsed_time(first, untimed)
    with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):  # never recorded
        cupy.cuda.get_elapsed_time(first, cupy.cuda.Event())


@pytest.mark.parametrize("order", ["now", "late"])
def test_a_host_function_runs_in_its_place_and_may_not_call_cuda(cupy: Any, order: str):
    stream, source, target = cupy.cuda.Stream(non_blocking=True), pinned(cupy, 1, 5), cupy.zeros(1, np.float32)
    seen: list[Any] = []

    def look(_: object) -> None:
        seen.append(source[0])
        try:
            stream.synchronize()
        except RuntimeError as error:
            seen.append(str(error))

    cupy.cuda.Device().synchronize()
    with emulator.order(order):
        copy(cupy, target, source, stream)
        stream.launch_host_func(look, None)
        cupy.cuda.runtime.memcpyAsync(source.ctypes.data, cupy.full(1, 9, np.float32).data.ptr, 4, TO_HOST, stream.ptr)
        stream.synchronize()
    assert seen == [5, "cudaErrorNotPermitted: operation not permitted"]
    assert source[0] == 9


def test_threads_queue_at_the_same_time(cupy: Any):
    def work(i: int) -> None:
        with cupy.cuda.Stream(non_blocking=True) as stream:
            x = cupy.full(100, i, np.float32)
            for _ in range(50):
                x += 1
            results[i] = x.get(stream)

    results: dict[int, np.ndarray] = {}
    with emulator.order(3):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert {i: set(x.tolist()) for i, x in results.items()} == {i: {i + 50.0} for i in range(4)}


def test_counts(cupy: Any):
    x, stream = cupy.ones(4, np.float32), cupy.cuda.Stream(non_blocking=True)
    y = cupy.empty_like(x)
    before = emulator.counts()
    cupy.add(x, x, out=y)
    y[:] = x
    y.get()
    stream.synchronize()
    after = emulator.counts()
    changed = {name: after[name] - n for name, n in before.items() if after[name] != n}
    assert changed == {"launches": 1, "copies_on_device": 1, "copies_to_host": 1, "waits": changed["waits"]}


def test_a_stream_that_is_destroyed_finishes_its_work(cupy: Any):
    source, target = pinned(cupy, 4, 6), cupy.zeros(4, np.float32)
    cupy.cuda.Device().synchronize()
    with emulator.order("late"):
        stream = cupy.cuda.Stream(non_blocking=True)
        copy(cupy, target, source, stream)
        handle = stream.ptr
        del stream
        with pytest.raises(RuntimeError, match="cudaErrorInvalidResourceHandle"):
            cupy.cuda.runtime.streamSynchronize(handle)
        cupy.cuda.Device().synchronize()
    assert target.get().tolist() == [6] * 4
