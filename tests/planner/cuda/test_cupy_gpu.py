"""The CUDA backend's GPU through CuPy and cublasLt: whole steps, and each of its operations."""

from __future__ import annotations

import copy
import gc
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from dlarray_cupy.gpu import CupyGpu
from dlarray_cupy.planned import STAGES, Planned, planned, repeated

import dlarray as dl
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.launch import Grid
from dlarray.planner.cuda.prelude import PRELUDE
from dlarray.training.first_step import first_step
from tests.support.gpu import WatchedGpu, order, to_gpu, to_host
from tests.support.gpu_steps import close, leaves, run

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
LABELS = RNG.integers(0, 4, 40).astype(np.int32)


@pytest.fixture(autouse=True, params=["now", "late"])
def _order(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing depends on when the GPU does its work."""
    with order(request.param):
        yield


@pytest.fixture
def gpu(gpu: WatchedGpu, monkeypatch: pytest.MonkeyPatch) -> WatchedGpu:
    """The GPU that steps use, by whose clock products with epilogues take half the time of anything else."""
    gpu.cost = lambda queued: sum(1 if what[0] == "product" and what[1] else 2 for what in queued)
    monkeypatch.setattr("dlarray_cupy.planned._gpus", {0: gpu})
    return gpu


def network() -> tuple[Any, Any, list[Any]]:
    made = [first_step(dl.mlp(6, 16, 4), np.roll(X, i, 0), LABELS, batch_size=8, dtype="float64") for i in range(3)]
    return made[0][0], made[0][1], [batch for _, _, batch in made]


@pytest.mark.parametrize("stage", STAGES)
def test_a_step_at_every_stage(stage: str, gpu: WatchedGpu):
    step, state, batches = network()
    expected = run(step, copy.deepcopy(state), batches)
    fast = STAGES[stage](step)
    current, found = to_gpu(state), []
    for batch in map(to_gpu, batches):
        current, loss = fast(current, batch)
        found.append(leaves((current, loss)))
    close(found, expected)
    gpu.queued.clear()
    fast(current, to_gpu(batches[0]))
    if isinstance(fast, Planned):
        program = next(iter(fast.on(0).programs.values()))
        assert program is not None
        assert program.recorded == (stage in ("captured", "epilogues"))
        assert any(o.name.startswith("relu") for o in program.tuning.taken) == (stage == "epilogues")
        assert ([what for what in gpu.queued if what != "copy"] == ["graph"]) == program.recorded
    else:
        assert gpu.queued == []


def test_steps_in_one_graph(gpu: WatchedGpu):
    step, state, _ = network()
    order = RNG.permutation(40).astype(np.int32)
    data = (X.astype(np.float64), LABELS, None)
    plain, losses = copy.deepcopy(state), []
    for i in range(5):
        rows = order[i * 8 : i * 8 + 8]
        plain, loss = step(plain, (data[0][rows], LABELS[rows], None))
        losses.append(loss)
    run_ = repeated(planned(step), 2)
    on = to_gpu(data)
    found, values = run_(to_gpu(state), on, to_gpu(order), 0, 8, 5)
    np.testing.assert_allclose(to_host(values), losses, rtol=1e-9)
    close([leaves(found)], [leaves(plain)])
    run_(found, on, to_gpu(order), 0, 8, 4)
    gpu.queued.clear()
    run_(found, on, None, 0, 8, 4)
    assert [what for what in gpu.queued if what != "copy"] == ["graph", "graph"]
    with pytest.raises(ValueError, match="no arrays of CuPy"):
        run_({}, on, None, 0, 8, 4)


def test_one_gpu_for_all_steps(cuda: None, monkeypatch: pytest.MonkeyPatch):
    """As long as one of them uses it."""
    from dlarray_cupy.planned import _gpus

    _gpus.clear()
    step, state, batches = network()
    first, second = planned(step), planned(step)
    for each in (first, second):
        each(to_gpu(state), to_gpu(batches[0]))
    assert first.on(0).gpu is second.on(0).gpu
    del first, second, each
    gc.collect()
    assert not _gpus


def test_a_state_without_arrays_runs_eagerly(cuda: None):
    step = planned(lambda state, batch: (state, 1.0))
    assert step({}, ()) == ({}, 1.0)
    assert step._on == {}, "no GPU is asked for"


def without_products(gpu: CupyGpu, why: str) -> None:
    """Check that a step on this GPU is right, warns, and is no graph."""
    step, state, batches = network()
    expected = run(step, copy.deepcopy(state), batches)
    fast = planned(step)
    with pytest.warns(PlannerWarning, match=f"no graph, because cublasLt is missing: .*{why}"):
        close(run(fast, to_gpu(state), [to_gpu(batch) for batch in batches]), expected)
    program = next(iter(fast.on(0).programs.values()))
    assert program is not None
    assert not program.recorded
    assert fast.on(0).gpu is gpu


def test_where_nvmath_is_missing(cuda: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nvmath.bindings", None)
    gpu = CupyGpu(0)
    monkeypatch.setattr("dlarray_cupy.planned._gpus", {0: gpu})
    without_products(gpu, r'pip install "dlarray\[cuda13\]"')


def test_where_the_library_does_not_load(cuda: None, monkeypatch: pytest.MonkeyPatch):
    def create() -> int:
        raise RuntimeError("libcublasLt.so.12 is not found")

    monkeypatch.setattr("nvmath.bindings.cublasLt.create", create)
    gpu = CupyGpu(0)
    assert gpu.no_products == "RuntimeError: libcublasLt.so.12 is not found"
    monkeypatch.setattr("dlarray_cupy.planned._gpus", {0: gpu})
    without_products(gpu, "libcublasLt")


# Operation by operation


def test_memory_is_zero_and_copies_arrive(gpu: WatchedGpu):
    used = gpu.reserve(1000)
    gpu.write(used.address, np.ones(125))
    address = used.address
    del used  # the pool hands it out again
    memory = gpu.reserve(1000)
    assert memory.address == address
    seen = gpu.view(memory.address, (125,), (8,), np.dtype(np.float64))
    np.testing.assert_array_equal(gpu.to_host(seen), np.zeros(125))
    gpu.write(memory.address, np.arange(10.0)[::2])
    gpu.copy(memory.address + 80, memory.address, 40)
    np.testing.assert_array_equal(gpu.to_host(seen)[:15], [0, 2, 4, 6, 8, 0, 0, 0, 0, 0, 0, 2, 4, 6, 8])


def test_the_host_can_reuse_what_was_written(gpu: WatchedGpu):
    memory, numbers = gpu.reserve(8000), np.arange(1000.0)
    gpu.write(memory.address, numbers)
    numbers[:] = 0
    seen = gpu.view(memory.address, (1000,), (8,), np.dtype(np.float64))
    np.testing.assert_array_equal(gpu.to_host(seen), np.arange(1000.0))


def test_writes_and_copies_keep_their_order_on_a_stream(gpu: WatchedGpu):
    from cupy.cuda import Stream

    with Stream(non_blocking=True):
        memory = gpu.reserve(64)
        gpu.write(memory.address, np.arange(4.0))
        gpu.copy(memory.address + 32, memory.address, 32)
        gpu.write(memory.address, np.zeros(4))
        found = gpu.to_host(gpu.view(memory.address, (8,), (8,), np.dtype(np.float64)))
    np.testing.assert_array_equal(found, [0, 0, 0, 0, 0, 1, 2, 3])


@pytest.mark.parametrize("key", [np.s_[::2, 1:], np.s_[::-1], np.s_[1:1], np.s_[:, ::-2], np.s_[2]])
def test_views(key: Any, gpu: WatchedGpu):
    whole = to_gpu(np.arange(24.0).reshape(4, 6))
    part = whole[key]
    seen = gpu.view(gpu.address_of(part), part.shape, part.strides, part.dtype)
    assert type(seen) is type(whole)
    assert seen.device == whole.device
    np.testing.assert_array_equal(gpu.to_host(seen), gpu.to_host(part))


def test_what_is_contiguous(gpu: WatchedGpu):
    whole = to_gpu(np.arange(24.0).reshape(4, 6))
    assert gpu.in_rows(whole) is whole
    assert gpu.in_rows(whole[1:3]).flags.c_contiguous
    turned = gpu.in_rows(whole.T)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(gpu.to_host(turned), np.arange(24.0).reshape(4, 6).T)
    odd = to_gpu(np.arange(17, dtype=np.uint8))[1:].view(np.float32)
    assert gpu.address_of(odd) % 4
    assert gpu.address_of(gpu.in_rows(odd)) % 4 == 0
    np.testing.assert_array_equal(gpu.to_host(gpu.in_rows(odd)), np.arange(1, 17, dtype=np.uint8).view(np.float32))


@pytest.mark.parametrize("what", ["write", "to_host", "synchronize"])
def test_what_a_graph_cannot_hold_raises(what: str, gpu: WatchedGpu):
    """And the capture is over then, so that the next one can begin."""
    from cupy.cuda import get_current_stream

    memory, array = gpu.reserve(64), to_gpu(np.zeros(3))
    streams: list[Any] = []

    def work() -> None:
        streams.append(get_current_stream())
        works[what]()

    works = {
        "write": lambda: gpu.write(memory.address, np.zeros(3)),
        "to_host": lambda: gpu.to_host(array),
        "synchronize": lambda: get_current_stream().synchronize(),
    }
    with pytest.raises(RuntimeError, match=r"[Cc]aptur"):
        gpu.record(work)
    assert [stream.is_capturing() for stream in streams] == [False]
    gpu.record(lambda: gpu.copy(memory.address, memory.address + 32, 32))()


def test_work_on_the_default_stream_does_not_disturb_a_recording(gpu: WatchedGpu):
    from cupy.cuda import Stream

    memory, array = gpu.reserve(64), to_gpu(np.zeros(3))

    def work() -> None:
        gpu.copy(memory.address + 32, memory.address, 32)
        with Stream.null:  # as another thread would
            array.fill(1)

    gpu.record(work)
    np.testing.assert_array_equal(to_host(array), np.ones(3))


def test_a_graph_runs_on_the_stream_of_its_launch(gpu: WatchedGpu):
    from cupy.cuda import Stream

    memory = gpu.reserve(64)
    gpu.write(memory.address, np.arange(4.0))
    graph = gpu.record(lambda: gpu.copy(memory.address + 32, memory.address, 32))
    seen = gpu.view(memory.address, (8,), (8,), np.dtype(np.float64))
    assert not gpu.to_host(seen)[4:].any(), "recording runs nothing"
    with Stream(non_blocking=True) as stream:
        graph()
        stream.synchronize()
        np.testing.assert_array_equal(gpu.to_host(seen)[4:], np.arange(4.0))


def test_kernels_get_their_argument_by_value(gpu: WatchedGpu):
    text = "struct Head { long long at[2]; };\n"
    text += "KERNEL set(const Head head) { if (LANE == 0) *(long long *)head.at[0] = head.at[1]; }\n"
    memory = gpu.reserve(64)
    (function,) = gpu.compile(PRELUDE + text, ["set"])
    head = np.array([memory.address, 7], np.int64)
    graph = gpu.record(lambda: gpu.launch(function, Grid("set", 1, 32), head))
    head[:] = 0
    graph()
    assert gpu.to_host(gpu.view(memory.address, (1,), (8,), np.dtype(np.int64)))[0] == 7


def test_blocks_and_threads(gpu: WatchedGpu):
    """Each warp of the grid writes its number and how many there are."""
    text = "struct Head { long long *to; };\n"
    text += "KERNEL all(const Head head) { head.to[WARP * 32 + LANE] = WARP + 100 * WARPS; }"
    (function,) = gpu.compile(PRELUDE + text, ["all"])
    memory = gpu.reserve(3 * 64 * 8)
    gpu.launch(function, Grid("all", 3, 64), np.array([memory.address], np.int64))
    found = gpu.to_host(gpu.view(memory.address, (6, 32), (256, 8), np.dtype(np.int64)))
    np.testing.assert_array_equal(found, np.repeat(600 + np.arange(6), 32).reshape(6, 32))


def test_nothing_is_contracted(gpu: WatchedGpu):
    """x x + y is rounded twice, as in NumPy."""
    text = "struct Head { double *a; };\n"
    text += "KERNEL k(const Head head) { if (LANE == 0) head.a[2] = head.a[0] * head.a[0] + head.a[1]; }"
    (function,) = gpu.compile(PRELUDE + text, ["k"])
    memory, x = gpu.reserve(24), 1 + 2.0**-30
    gpu.write(memory.address, np.array([x, -x * x]))
    gpu.launch(function, Grid("k", 1, 32), np.array([memory.address], np.int64))
    assert gpu.to_host(gpu.view(memory.address, (3,), (8,), np.dtype(np.float64)))[2] == 0


def test_its_multiprocessors(gpu: WatchedGpu):
    from cupy.cuda import runtime

    assert gpu.processors == runtime.getDeviceProperties(0)["multiProcessorCount"]


def test_times_are_medians_of_many(gpu: WatchedGpu):
    calls = [0]
    memory, start = gpu.reserve(64), time.perf_counter()

    def work() -> None:
        calls[0] += 1
        gpu.copy(memory.address, memory.address + 32, 8)

    found = CupyGpu.seconds(gpu, work)
    assert calls[0] >= 8
    assert 0 < found * calls[0] < 3 * (time.perf_counter() - start)


@pytest.mark.parametrize(("value", "coarseness"), [("1", 2**13), ("0", 1), (None, 1)])
def test_tf32_follows_cupys_variable(value: str | None, coarseness: int, cuda: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if value is not None:
        monkeypatch.setenv("CUPY_TF32", value)
    gpu = CupyGpu(0)
    assert gpu.coarseness == coarseness
    assert gpu._library is not None
    assert gpu._library._tf32 == (coarseness > 1)


def test_everything_is_given_back(cuda: None):
    from cupy import get_default_memory_pool

    used = get_default_memory_pool().used_bytes
    gc.collect()
    before = used()
    gpu = CupyGpu(0)
    assert gpu._library is not None
    assert used() >= before + gpu._library._workspace[1], "cublasLt may use so much"
    del gpu
    gc.collect()
    assert used() == before
