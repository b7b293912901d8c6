"""The CUDA backend's GPU, end to end on a fake CuPy and a fake cublasLt, and whether the real CuPy has all of it."""

from __future__ import annotations

import copy
import gc
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from dlarray_cupy.gpu import CupyGpu
from dlarray_cupy.planned import STAGES, Planned, planned, repeated

import dlarray as dl
from dlarray.core.trees import map_leaves
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.launch import Grid
from dlarray.training.first_step import first_step
from tests.fakes import cupy as fake_cupy_module
from tests.fakes.cublaslt import ComputeType, FakeLt
from tests.fakes.steps import close, leaves, run
from tests.support import cuda

by_compiler = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6))
LABELS = RNG.integers(0, 4, 40).astype(np.int32)


class QueuedLt(FakeLt):
    """Products are queued on the stream that they are given; algorithms must not be looked for while it captures."""

    machine: Any = None

    def matmul(self, *args: Any) -> None:
        self.machine.queue("product", args[-1], lambda: FakeLt.matmul(self, *args))

    def matmul_algo_get_heuristic(self, *args: Any) -> None:
        self.machine.refuse("a search for algorithms")
        super().matmul_algo_get_heuristic(*args)


@pytest.fixture
def cupy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A fake CuPy instead of the real one, and of nvmath's bindings."""
    found = fake_cupy_module.fake_cupy(folder)
    found.lt = QueuedLt()
    found.lt.machine = found.machine
    nvmath, bindings, cublas = (ModuleType(n) for n in ("nvmath", "nvmath.bindings", "nvmath.bindings.cublas"))
    cublas.__dict__["ComputeType"] = ComputeType
    bindings.__dict__.update(cublas=cublas, cublasLt=found.lt)
    monkeypatch.setitem(sys.modules, "cupy", found)
    monkeypatch.setitem(sys.modules, "nvmath", nvmath)
    monkeypatch.setitem(sys.modules, "nvmath.bindings", bindings)
    monkeypatch.setattr("dlarray_cupy.gpu.WORKSPACE", 4096)
    monkeypatch.setattr("dlarray_cupy.planned._gpus", {})
    return found


def to_gpu(tree: Any, cupy: Any) -> Any:
    """The tree with arrays of CuPy for those of NumPy; an array of CuPy is not copied."""
    numpys = (np.ndarray, np.generic)
    return map_leaves(tree, lambda x: cupy.array(x) if isinstance(x, numpys) and not isinstance(x, cupy.ndarray) else x)


def network(**options: Any) -> tuple[Any, Any, list[Any]]:
    options = {"batch_size": 8, "dtype": "float64", **options}
    made = [first_step(dl.mlp(6, 16, 4), np.roll(X, i, 0), LABELS, **options) for i in range(3)]
    return made[0][0], made[0][1], [batch for _, _, batch in made]


def as_cupy(step: Any, cupy: Any) -> Any:
    """The step with all results as arrays of CuPy: NumPy makes scalars of some."""
    return lambda state, batch: to_gpu(step(state, batch), cupy)


@by_compiler
@pytest.mark.parametrize("stage", STAGES)
def test_a_step_at_every_stage(stage: str, cupy: Any):
    step, state, batches = network()
    expected = run(step, copy.deepcopy(state), batches)
    fast = STAGES[stage](as_cupy(step, cupy))
    given = to_gpu(copy.deepcopy(state), cupy)
    close(run(fast, given, [to_gpu(batch, cupy) for batch in batches]), expected)
    cupy.machine.queued.clear()
    batch = to_gpu(batches[0], cupy)
    if isinstance(fast, Planned):
        program = next(iter(fast.on(0).programs.values()))
        assert program is not None
        assert program.recorded == (stage in ("captured", "epilogues"))
        assert any(o.name.startswith("relu") for o in program.tuning.taken) == (stage == "epilogues")
        current = fast(_state(program), batch)
        queued = [what for what in cupy.machine.queued if what != "copy"]
        assert (queued == ["graph"]) == program.recorded
        assert len(leaves(current)) == len(expected[0])


def _state(program: Any) -> Any:
    from dlarray.core.trees import unflatten

    return unflatten(program.input_structures[0], iter(program.jobs.state))


@by_compiler
def test_steps_in_one_graph(cupy: Any):
    step, state, _ = network()
    order = RNG.permutation(40).astype(np.int32)
    data = (X.astype(np.float64), LABELS, None)
    plain, losses = copy.deepcopy(state), []
    for i in range(5):
        rows = order[i * 8 : i * 8 + 8]
        plain, loss = step(plain, (data[0][rows], LABELS[rows], None))
        losses.append(loss)
    run_ = repeated(planned(as_cupy(step, cupy)), 2)
    given, on = to_gpu(copy.deepcopy(state), cupy), to_gpu(data, cupy)
    found, values = run_(given, on, cupy.array(order), 0, 8, 5)
    np.testing.assert_allclose(values, losses, rtol=1e-9)
    close([leaves(found)], [leaves(plain)])
    run_(found, on, cupy.array(order), 0, 8, 4)
    cupy.machine.queued.clear()
    run_(found, on, None, 0, 8, 4)
    assert [what for what in cupy.machine.queued if what != "copy"] == ["graph", "graph"]
    with pytest.raises(ValueError, match="no arrays of CuPy"):
        run_({}, on, None, 0, 8, 4)


@by_compiler
def test_a_state_without_arrays_runs_eagerly(cupy: Any):
    assert planned(lambda state, batch: (state, 1.0))({}, ()) == ({}, 1.0)


@by_compiler
def test_where_nvmath_is_missing(cupy: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "nvmath", None)
    monkeypatch.setitem(sys.modules, "nvmath.bindings", None)
    step, state, batches = network()
    expected = run(step, copy.deepcopy(state), batches)
    fast = planned(as_cupy(step, cupy))
    with pytest.warns(
        PlannerWarning, match=r'no graph, because cublasLt is missing: .*pip install "dlarray\[cuda13\]"'
    ):
        close(run(fast, to_gpu(state, cupy), [to_gpu(batch, cupy) for batch in batches]), expected)
    program = next(iter(fast.on(0).programs.values()))
    assert program is not None
    assert not program.recorded
    assert "product" not in cupy.machine.queued


@by_compiler
def test_where_the_library_does_not_load(cupy: Any, monkeypatch: pytest.MonkeyPatch):
    def create() -> int:
        raise RuntimeError("libcublasLt.so.12 is not found")

    monkeypatch.setattr(cupy.lt, "create", create)
    gpu = CupyGpu(0)
    assert gpu.no_products == "RuntimeError: libcublasLt.so.12 is not found"
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="libcublasLt"):
        run(planned(as_cupy(step, cupy)), to_gpu(state, cupy), [to_gpu(batch, cupy) for batch in batches])


def test_too_little_memory(cupy: Any):
    cupy.machine.capacity = 4096
    step, state, batches = network()
    given = to_gpu(state, cupy)
    before = [x.tobytes() for x in leaves(given)]
    with pytest.raises(MemoryError, match="Out of memory"):
        planned(as_cupy(step, cupy))(given, to_gpu(batches[0], cupy))
    assert [x.tobytes() for x in leaves(given)] == before


# The GPU by itself


def test_memory_is_zero_and_copies_arrive(cupy: Any):
    gpu = CupyGpu(0)
    memory = gpu.reserve(1000)
    seen = gpu.view(memory.address, (125,), (8,), np.dtype(np.float64))
    np.testing.assert_array_equal(seen, np.zeros(125))
    gpu.write(memory.address, np.arange(10.0)[::2])
    gpu.copy(memory.address + 80, memory.address, 40)
    np.testing.assert_array_equal(gpu.to_host(seen)[:15], [0, 2, 4, 6, 8, 0, 0, 0, 0, 0, 0, 2, 4, 6, 8])


@pytest.mark.parametrize("key", [np.s_[::2, 1:], np.s_[::-1], np.s_[1:1], np.s_[:, ::-2], np.s_[2]])
def test_views(key: Any, cupy: Any):
    gpu, whole = CupyGpu(0), cupy.array(np.arange(24.0).reshape(4, 6))
    part = whole[key]
    seen = gpu.view(gpu.address_of(part), part.shape, part.strides, part.dtype)
    assert type(seen) is cupy.ndarray
    np.testing.assert_array_equal(gpu.to_host(seen), part)


def test_what_is_contiguous(cupy: Any):
    gpu, whole = CupyGpu(0), cupy.array(np.arange(24.0).reshape(4, 6))
    assert gpu.in_rows(whole) is whole
    assert gpu.in_rows(whole[1:3]).flags.c_contiguous
    turned = gpu.in_rows(whole.T)
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned, whole.T)
    odd = cupy.array(np.arange(17, dtype=np.uint8))[1:].view(np.float32)
    assert gpu.address_of(gpu.in_rows(odd)) % 4 == 0
    np.testing.assert_array_equal(gpu.in_rows(odd), odd)


@pytest.mark.parametrize("what", ["write", "reserve", "empty", "to_host", "synchronize"])
def test_what_a_graph_cannot_hold_raises(what: str, cupy: Any):
    """And the capture is over then, so that the next one can begin."""
    gpu = CupyGpu(0)
    memory, array = gpu.reserve(64), cupy.array(np.zeros(3))
    works = {
        "write": lambda: gpu.write(memory.address, np.zeros(3)),
        "reserve": lambda: gpu.reserve(64),
        "empty": lambda: gpu.empty((3,), np.dtype(np.float32)),
        "to_host": lambda: gpu.to_host(array),
        "synchronize": cupy.cuda.get_current_stream().synchronize,
    }
    with pytest.raises(fake_cupy_module.CaptureError, match="capturing"):
        gpu.record(works[what])
    assert cupy.machine.capturing is None
    gpu.record(lambda: gpu.copy(memory.address, memory.address + 32, 32))()


def test_a_launch_on_another_stream_raises(cupy: Any):
    gpu = CupyGpu(0)
    null = cupy.cuda.get_current_stream()

    def elsewhere() -> None:
        cupy.cuda.runtime.memcpyAsync(0, 0, 0, 3, null.ptr)

    with pytest.raises(fake_cupy_module.CaptureError, match="another stream"):
        gpu.record(elsewhere)


@by_compiler
def test_a_graph_runs_on_the_stream_of_its_launch(cupy: Any):
    gpu = CupyGpu(0)
    memory = gpu.reserve(64)
    gpu.write(memory.address, np.arange(4.0))
    graph = gpu.record(lambda: gpu.copy(memory.address + 32, memory.address, 32))
    seen = gpu.view(memory.address, (8,), (8,), np.dtype(np.float64))
    assert not seen[4:].any(), "recording runs nothing"
    with cupy.cuda.Stream(non_blocking=True):
        graph()
    np.testing.assert_array_equal(seen[4:], np.arange(4.0))


@by_compiler
def test_kernels_get_their_argument_by_value(cupy: Any):
    text = "struct Head { long long at[2]; };\n"
    text += "KERNEL set(const Head head) { if (LANE == 0) *(long long *)head.at[0] = head.at[1]; }\n"
    gpu = CupyGpu(0)
    memory = gpu.reserve(64)
    (function,) = gpu.compile(text, ["set"])
    head = np.array([memory.address, 7], np.int64)
    graph = gpu.record(lambda: gpu.launch(function, Grid("set", 1, 32), head))
    head[:] = 0
    graph()
    assert gpu.to_host(gpu.view(memory.address, (1,), (8,), np.dtype(np.int64)))[0] == 7


def test_times_are_medians_of_many(cupy: Any):
    gpu, calls = CupyGpu(0), [0]
    memory = gpu.reserve(64)

    def work() -> None:
        calls[0] += 1
        gpu.copy(memory.address, memory.address, 8)

    assert gpu.seconds(work) == pytest.approx(1e-3)  # what is queued takes a millisecond each
    assert calls[0] >= 8


@pytest.mark.parametrize(("value", "coarseness"), [("1", 2**13), ("0", 1), (None, 1)])
def test_tf32_follows_cupys_variable(value: str | None, coarseness: int, cupy: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUPY_TF32", raising=False)
    if value is not None:
        monkeypatch.setenv("CUPY_TF32", value)
    assert CupyGpu(0).coarseness == coarseness


def test_everything_is_given_back(cupy: Any):
    gpu = CupyGpu(0)
    assert cupy.lt.live
    del gpu
    gc.collect()
    assert cupy.lt.live == {}
