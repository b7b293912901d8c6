"""K steps as one graph are the same steps one by one, bit for bit."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.planner.cuda.program import Settings
from dlarray.planner.cuda.repeated import Repeated
from dlarray.planner.cuda.step import compile_on_gpu
from dlarray.training.first_step import first_step
from tests.support.gpu import WatchedGpu, to_gpu, to_host
from tests.support.gpu_steps import leaves

RNG = np.random.default_rng(0)
EXAMPLES, BATCH = 50, 5
X = RNG.normal(size=(EXAMPLES, 6))
LABELS = RNG.integers(0, 3, EXAMPLES).astype(np.int32)
WEIGHT = RNG.uniform(0.5, 2, EXAMPLES)
ORDER = RNG.permutation(EXAMPLES).astype(np.int32)


class Training:
    """The same steps twice: together on one GPU, and one by one on another."""

    def __init__(self, step: Any, state: Any, gpu: WatchedGpu, steps: int = 4) -> None:
        self.gpu = gpu
        self.together = Repeated(compile_on_gpu(step, gpu), steps)
        self.single = compile_on_gpu(step, WatchedGpu())
        self.state, self.apart = to_gpu(copy.deepcopy(state)), to_gpu(copy.deepcopy(state))

    def go(self, data: Any, order: Any, start: int, count: int, batch: int = BATCH) -> np.ndarray:
        """Take some steps both ways: the losses."""
        given, at = to_gpu(data), None if order is None else to_gpu(order)
        self.state, losses = self.together(self.state, given, at, start, batch, count)
        expected: list[Any] = []
        for i in range(count):
            rows = np.arange(start + i * batch, start + (i + 1) * batch)
            rows = rows if order is None else order[rows]
            part = to_gpu(tuple(None if x is None else x[rows] for x in data))
            self.apart, loss = self.single(self.apart, part)
            expected.append(to_host(loss))
        found = to_host(losses)
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
def test_a_run(count: int, ordered: bool, dtype: str, gpu: WatchedGpu):
    step, state, data = network(dtype)
    training = Training(step, state, gpu)
    for _ in range(3):
        training.go(data, ORDER if ordered else None, 0, count)


def test_what_is_queued(gpu: WatchedGpu):
    """After the first call, which checks them, only graphs are queued."""
    step, state, data = network()
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
def test_other_steps(options: dict[str, Any], gpu: WatchedGpu):
    step, state, data = network(**options)
    training = Training(step, state, gpu)
    for start in (0, 10):
        training.go(data, ORDER, start, 8)


def test_other_data_and_another_order(gpu: WatchedGpu):
    step, state, data = network()
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


def test_another_state(gpu: WatchedGpu):
    step, state, data = network()
    training = Training(step, state, gpu)
    training.go(data, ORDER, 0, 10)
    training.state, training.apart = to_gpu(copy.deepcopy(state)), to_gpu(copy.deepcopy(state))
    first = training.go(data, ORDER, 0, 10)
    training.state, training.apart = to_gpu(copy.deepcopy(state)), to_gpu(copy.deepcopy(state))
    np.testing.assert_array_equal(training.go(data, ORDER, 0, 10), first)


def test_other_batch_sizes(gpu: WatchedGpu):
    step, state, data = network()
    training = Training(step, state, gpu)
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


def shifted(x: np.ndarray) -> Any:
    """An array of bytes on the GPU at an odd address."""
    return to_gpu(np.append(np.uint8(0), x.ravel()))[1:].reshape(x.shape)


@pytest.mark.parametrize("aligned", [True, False])
def test_examples_of_odd_widths(aligned: bool, gpu: WatchedGpu):
    data = (
        RNG.integers(0, 256, (EXAMPLES, 7)).astype(np.uint8),
        RNG.integers(-99, 99, EXAMPLES).astype(np.int16),
        RNG.random(EXAMPLES) < 0.5,
        RNG.normal(size=(EXAMPLES, 2, 3)),
    )
    training = Training(of_bytes, RNG.normal(size=7), gpu, 3)
    given = data if aligned else (shifted(data[0]), *data[1:])
    for start in (0, 5):
        training.go(given, ORDER, start, 8)


def test_a_state_that_changes_its_tree(gpu: WatchedGpu):
    def counting(state: Any, batch: Any) -> Any:
        a, n = state
        xp = array_namespace(a)
        return (a + n * xp.sum(batch[0], axis=0), n + 1), xp.sum(a)

    Training(counting, (np.zeros(6), 1), gpu).go((X,), ORDER, 0, 6)


def test_a_loss_that_is_a_number_of_the_batch(gpu: WatchedGpu):
    """The next batch is fetched to its memory."""

    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return state + xp.sum(batch[0], axis=0), batch[0][0, 0]

    training = Training(step, np.zeros(6), gpu)
    training.go((X,), ORDER, 0, 10)
    training.go((X,), None, 0, 10)


def test_without_graphs(gpu: WatchedGpu):
    step, state, data = network()
    training = Training(step, state, gpu)
    training.together = Repeated(compile_on_gpu(step, training.gpu, Settings(graph=False)), 4)
    training.go(data, ORDER, 0, 10)
    assert training.gpu.records == 0


def test_bad_input(gpu: WatchedGpu):
    step, state, data = network()
    repeat = Repeated(compile_on_gpu(step, gpu), 4)
    given = to_gpu(state), to_gpu(data)
    with pytest.raises(TypeError, match="order must be an int32 vector, got int64"):
        repeat(*given, to_gpu(ORDER.astype(np.int64)), 0, BATCH, 3)
    for order, start, count in ((ORDER, 0, 11), (None, 5, 10), (ORDER[:9], 0, 2), (None, -5, 2)):
        with pytest.raises(ValueError, match="examples, not enough for"):
            repeat(*given, None if order is None else to_gpu(order), start, BATCH, count)
    with pytest.raises(ValueError, match="examples, not enough for"):
        repeat(given[0], to_gpu((X, LABELS[:20], None)), None, 0, BATCH, 2)
