"""K steps as one graph on a fake GPU are the same steps one by one, bit for bit."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import compile_on_gpu
from dlarray.training.first_step import first_step
from tests.fakes.gpu import FakeGpu, to_fake
from tests.fakes.steps import leaves, with_fake_arrays
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")
RNG = np.random.default_rng(0)
EXAMPLES, BATCH = 50, 5
X = RNG.normal(size=(EXAMPLES, 6))
LABELS = RNG.integers(0, 3, EXAMPLES).astype(np.int32)
WEIGHT = RNG.uniform(0.5, 2, EXAMPLES)
ORDER = RNG.permutation(EXAMPLES).astype(np.int32)


class Training:
    """The same steps twice: together on one GPU, and one by one on another."""

    def __init__(self, step: Any, state: Any, gpu: FakeGpu, steps: int = 4) -> None:
        self.gpu = gpu
        self.together = Repeated(compile_on_gpu(with_fake_arrays(step), gpu), steps)
        self.single = compile_on_gpu(with_fake_arrays(step), FakeGpu(gpu.folder))
        self.state, self.apart = to_fake(copy.deepcopy(state)), to_fake(copy.deepcopy(state))

    def go(self, data: Any, order: Any, start: int, count: int, batch: int = BATCH) -> np.ndarray:
        """Take some steps both ways: the losses."""
        given, at = to_fake(data), None if order is None else to_fake(order)
        self.state, losses = self.together(self.state, given, at, start, batch, count)
        expected: list[Any] = []
        for i in range(count):
            rows = np.arange(start + i * batch, start + (i + 1) * batch)
            rows = rows if order is None else order[rows]
            part = to_fake(tuple(None if x is None else x[rows] for x in data))
            self.apart, loss = self.single(self.apart, part)
            expected.append(np.array(loss))
        found = np.array(losses)
        assert found.dtype == expected[0].dtype
        assert found.tobytes() == np.array(expected).tobytes()
        for a, b in zip(leaves(self.state), leaves(self.apart), strict=True):
            assert a.tobytes() == b.tobytes()
        return found


def network(dtype: str = "float32", weight: Any = None, **options: Any) -> tuple[Any, Any, Any]:
    model = dl.mlp(6, 16, 3, dropout=options.pop("dropout", 0.0))
    step, state, _ = first_step(model, X, LABELS, batch_size=BATCH, dtype=dtype, weight=weight, **options)
    return step, state, (X.astype(dtype), LABELS, None if weight is None else weight.astype(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("count", [1, 2, 4, 5, 9, 10])
def test_a_run(count: int, ordered: bool, dtype: str, folder: Path):
    step, state, data = network(dtype)
    training = Training(step, state, FakeGpu(folder))
    for _ in range(3):
        training.go(data, ORDER if ordered else None, 0, count)


def test_what_is_queued(folder: Path):
    """After the first call, which checks them, only graphs are queued."""
    step, state, data = network()
    gpu = FakeGpu(folder)
    training = Training(step, state, gpu)
    for _ in range(2):
        training.go(data, ORDER, 0, 10)
    gpu.queued.clear()
    training.go(data, ORDER, 0, 10)
    assert gpu.queued == ["graph"] * 3
    gpu.queued.clear()
    training.go(data, ORDER, 20, 4)
    assert gpu.queued == ["graph"]


@pytest.mark.parametrize("options", [
    {"weight": WEIGHT},
    {"dropout": 0.3},
    {"accumulate": 2},
    {"optimizer": dl.Clipped(dl.Momentum(), dl.clip_by_global_norm, 0.1)},
])  # fmt: skip
def test_other_steps(options: dict[str, Any], folder: Path):
    step, state, data = network(**options)
    training = Training(step, state, FakeGpu(folder))
    for start in (0, 10):
        training.go(data, ORDER, start, 8)


def test_other_data_and_another_order(folder: Path):
    step, state, data = network()
    gpu = FakeGpu(folder)
    training = Training(step, state, gpu)
    training.go(data, ORDER, 0, 9)
    training.go(data, ORDER, 0, 8)
    records = gpu.records
    other = (data[0][::-1] * 2, (LABELS + 1) % 3, None)
    for order in (ORDER[::-1].copy(), None, ORDER):
        training.go(other, order, 10, 8)
    assert gpu.records == records, "the same graphs serve for all of it"
    training.go(tuple(None if x is None else x[:30] for x in data), None, 10, 4)
    assert gpu.records == records


def test_another_state(folder: Path):
    step, state, data = network()
    training = Training(step, state, FakeGpu(folder))
    training.go(data, ORDER, 0, 10)
    training.state, training.apart = to_fake(copy.deepcopy(state)), to_fake(copy.deepcopy(state))
    first = training.go(data, ORDER, 0, 10)
    training.state, training.apart = to_fake(copy.deepcopy(state)), to_fake(copy.deepcopy(state))
    np.testing.assert_array_equal(training.go(data, ORDER, 0, 10), first)


def test_other_batch_sizes(folder: Path):
    step, state, data = network()
    training = Training(step, state, FakeGpu(folder))
    for batch in (5, 3, 5, 3, 5):
        training.go(data, ORDER, 0, 8, batch)


def of_bytes(state: Any, batch: Any) -> Any:
    """A step over pictures of bytes, short numbers, a flag for each example, and what is wider than a word."""
    pictures, shorts, flags, points = batch
    xp = array_namespace(pictures)
    x = xp.astype(pictures, state.dtype) / 255
    weight = xp.astype(flags, state.dtype) + xp.astype(shorts, state.dtype) / 100
    loss = xp.sum(xp.sum(x * state, axis=1) * weight) + xp.sum(points * points)
    return state - 0.01 * xp.sum(x * xp.reshape(weight, (-1, 1)), axis=0), loss


@pytest.mark.parametrize("aligned", [True, False])
def test_examples_of_odd_widths(aligned: bool, folder: Path):
    data = (
        RNG.integers(0, 256, (EXAMPLES, 7)).astype(np.uint8),
        RNG.integers(-99, 99, EXAMPLES).astype(np.int16),
        RNG.random(EXAMPLES) < 0.5,
        RNG.normal(size=(EXAMPLES, 2, 3)),
    )
    training = Training(of_bytes, RNG.normal(size=7), FakeGpu(folder), 3)
    if not aligned:  # the pictures begin at an odd address
        gpu = training.gpu
        gpu.in_rows = lambda x, fine=gpu.in_rows: _shifted(x) if x.dtype == np.uint8 and x.ndim == 2 else fine(x)  # type: ignore[method-assign,misc]
    for start in (0, 5):
        training.go(data, ORDER, start, 8)


KEPT: list[Any] = []


def _shifted(x: Any) -> Any:
    if x.ctypes.data % 2:
        return x
    raw = np.zeros(x.nbytes + 1, np.uint8).view(type(x))
    KEPT.append(raw)
    raw[1:].reshape(x.shape)[...] = x
    return raw[1:].reshape(x.shape)


def test_a_state_that_changes_its_tree(folder: Path):
    def counting(state: Any, batch: Any) -> Any:
        a, n = state
        xp = array_namespace(a)
        return (a + n * xp.sum(batch[0], axis=0), n + 1), xp.sum(a)

    Training(counting, (np.zeros(6), 1), FakeGpu(folder)).go((X,), ORDER, 0, 6)


def test_a_loss_that_is_a_number_of_the_batch(folder: Path):
    """The next batch is fetched to its memory."""

    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return state + xp.sum(batch[0], axis=0), batch[0][0, 0]

    training = Training(step, np.zeros(6), FakeGpu(folder))
    training.go((X,), ORDER, 0, 10)
    training.go((X,), None, 0, 10)


def test_without_graphs(folder: Path):
    step, state, data = network()
    training = Training(step, state, FakeGpu(folder))
    training.together = Repeated(compile_on_gpu(with_fake_arrays(step), training.gpu, Settings(graph=False)), 4)
    training.go(data, ORDER, 0, 10)
    assert training.gpu.records == 0


def test_bad_input(folder: Path):
    step, state, data = network()
    repeat = Repeated(compile_on_gpu(with_fake_arrays(step), FakeGpu(folder)), 4)
    given = to_fake(state), to_fake(data)
    with pytest.raises(TypeError, match="order must be an int32 vector, got int64"):
        repeat(*given, to_fake(ORDER.astype(np.int64)), 0, BATCH, 3)
    for order, start, count in ((ORDER, 0, 11), (None, 5, 10), (ORDER[:9], 0, 2), (None, -5, 2)):
        with pytest.raises(ValueError, match="examples, not enough for"):
            repeat(*given, None if order is None else to_fake(order), start, BATCH, count)
    with pytest.raises(ValueError, match="examples, not enough for"):
        repeat(given[0], to_fake((X, LABELS[:20], None)), None, 0, BATCH, 2)
