"""The states and batches that a planned step on a GPU is bound to: other states, odd layouts, too little memory."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core import trees
from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.step import compile_on_gpu
from tests.support.gpu import WatchedGpu, to_gpu, to_host
from tests.support.gpu_steps import STAGES, check, close, leaves, network, program, run

RNG = np.random.default_rng(0)


def test_another_state_is_bound_again(gpu: WatchedGpu):
    step, state, batches = network()
    planned = check(step, state, batches, gpu)
    other = step.init(step.model.init(5, dl.device.resolve("cpu"), "float64"), (), 5, dl.device.resolve("cpu"))
    others = other if set(other) == set(state) else state
    a, b = to_gpu(copy.deepcopy(state)), to_gpu(copy.deepcopy(others))
    expected = [run(step, copy.deepcopy(s), batches) for s in (state, others)]
    found: list[Any] = [[], []]
    bindings = program(planned).bindings
    for batch in batches:  # two runs, step by step in turn
        for i, at in enumerate((a, b)):
            new, loss = planned(at, to_gpu(batch))
            found[i].append(leaves((new, loss)))
            assert new is at or i < 2
    close(found[0], expected[0])
    close(found[1], expected[1])
    assert len(planned.programs) == 1
    assert program(planned).bindings > bindings + 4


def test_a_state_that_is_restored_between(gpu: WatchedGpu):
    """Numbers written into the arrays, as a checkpoint does, count."""
    step, state, batches = network()
    planned = compile_on_gpu(step, gpu)
    given = to_gpu(copy.deepcopy(state))
    first = run(planned, given, [to_gpu(b) for b in batches])
    again = to_gpu(copy.deepcopy(state))
    current, _ = planned(given, to_gpu(batches[0]))
    for x, y in zip(trees.leaves(current), trees.leaves(again), strict=True):
        x[...] = y
    second = run(planned, current, [to_gpu(b) for b in batches])
    for xs, ys in zip(first, second, strict=True):
        assert all(x.tobytes() == y.tobytes() for x, y in zip(xs[1:], ys[1:], strict=True))


def small(state: Any, batch: Any) -> Any:
    a, b = state["a"], state["b"]
    xp = array_namespace(a)
    loss = xp.sum(a * a) + xp.sum(b)
    a -= 0.1 * xp.mean(batch[0], axis=0)
    b += xp.tanh(batch[0][0, ...])
    return {"a": a, "b": b}, loss


def odd(what: str) -> Any:
    """A state whose arrays lie in an odd way."""
    whole = to_gpu(RNG.normal(size=24))
    if what == "every second":
        return {"a": whole[:10:2], "b": whole[10:15]}
    if what == "overlapping":
        return {"a": whole[:5], "b": whole[3:8]}
    if what == "backwards":
        return {"a": whole[4::-1], "b": whole[10:15]}
    if what == "views":
        return {"a": whole[3:8], "b": whole[8:13]}
    raise ValueError(what)


@pytest.mark.parametrize("what", ["every second", "overlapping", "backwards", "views"])
def test_states_that_lie_oddly(what: str, gpu: WatchedGpu):
    batches = [(RNG.normal(size=(3, 5)),) for _ in range(4)]
    made = odd(what)
    bases = {name: to_host(x) for name, x in made.items()}
    shared = to_host(made["a"].base) if what == "overlapping" else None
    plain = {"a": shared[:5], "b": shared[3:8]} if shared is not None else copy.deepcopy(bases)
    expected = run(small, plain, batches)
    planned = compile_on_gpu(small, gpu)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlannerWarning)
        close(run(planned, made, [to_gpu(b) for b in batches]), expected)
    assert len(caught) == (what == "overlapping")
    assert gpu.queued[-1] == ("copy" if what == "views" else gpu.queued[-1])
    if what == "views":
        assert program(planned).recorded


def test_a_batch_in_the_state(gpu: WatchedGpu):
    """A batch that is a view of the state: the eager step reads what it has already written."""
    planned = compile_on_gpu(small, gpu)
    whole = RNG.normal(size=25)
    for i in range(3):
        fake, plain = to_gpu(whole), whole.copy()
        made = [small({"a": w[:5], "b": w[5:10]}, (w[:15].reshape(3, 5),)) for w in (plain,)]
        given = {"a": fake[:5], "b": fake[5:10]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if i == 0 else "error", PlannerWarning)
            found = planned(given, (fake[:15].reshape(3, 5),))
        close([leaves(found)], [leaves(made[0])])


def turned(state: Any, batch: Any) -> Any:
    """Old values become other outputs, some of them transposed."""
    a, b, c = state
    xp = array_namespace(a)
    loss = xp.sum(a * batch[0])
    return (b, a * 0.5 + 1, c.T), loss


def swapped(state: Any, batch: Any) -> Any:
    a, b, c = state
    xp = array_namespace(a)
    return (b, a, c + 1), xp.sum(a * batch[0]) + xp.sum(c)


def same_twice(state: Any, batch: Any) -> Any:
    a, b, c = state
    xp = array_namespace(a)
    new = xp.tanh(a + b)
    return (new, new, c * 1), xp.sum(new * batch[0])


def the_old_loss(state: Any, batch: Any) -> Any:
    """The loss is an old number of the state."""
    a, b, c = state
    xp = array_namespace(a)
    return (a + batch[0], b - 1, xp.tanh(c)), a[0, 0]


def product_turned(state: Any, batch: Any) -> Any:
    a, b, c = state
    xp = array_namespace(a)
    return (xp.tanh(a), b, xp.tanh(a.T @ batch[0]).T), xp.sum(c * c)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("step", [turned, swapped, the_old_loss, product_turned])
def test_values_that_move(step: Any, stage: str, gpu: WatchedGpu):
    state = tuple(RNG.normal(size=(5, 5)) for _ in range(3))
    batches = [(RNG.normal(size=(5, 5)),) for _ in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlannerWarning)
        planned = check(step, state, batches, gpu, STAGES[stage])
    assert None not in planned.programs.values()
    assert all("launch by launch, because no graph can hold" in str(w.message) for w in caught)


def test_a_new_state_with_one_array_twice_is_not_planned(gpu: WatchedGpu):
    """What is written into one of them would be written into the other: only the eager step does that."""
    state = tuple(RNG.normal(size=(5, 5)) for _ in range(3))
    batches = [(RNG.normal(size=(5, 5)),) for _ in range(4)]
    with pytest.warns(PlannerWarning, match="runs eagerly"):
        planned = check(same_twice, state, batches, gpu, STAGES["fused"])
    assert list(planned.programs.values()) == [None]


@pytest.mark.parametrize("kind", ["a view", "not in rows", "backwards"])
def test_batches_that_lie_oddly(kind: str, gpu: WatchedGpu):
    step, state, batches = network()
    planned = check(step, state, batches, gpu)

    def odd(x: np.ndarray) -> Any:
        if kind == "a view":
            whole = to_gpu(np.concatenate([x, x, x]))
            return whole[len(x) : 2 * len(x)]
        if kind == "not in rows":
            whole = to_gpu(np.repeat(x, 2, axis=-1))
            return whole[..., ::2]
        return to_gpu(x[::-1].copy())[::-1]

    given = [(odd(x), odd(t), None) for x, t, _ in batches]
    close(run(planned, to_gpu(copy.deepcopy(state)), given), run(step, copy.deepcopy(state), batches))


def test_trees_that_cannot_be_hashed(gpu: WatchedGpu):
    def step(state: Any, batch: Any) -> Any:
        return {"a": state["a"] + batch[0], "names": state["names"]}, state["a"][0] * 1.0

    state = {"a": np.zeros(3), "names": {"b", "c"}}
    planned = compile_on_gpu(step, gpu)
    with pytest.warns(PlannerWarning, match="unhashable type: 'set'") as said:
        found = run(planned, to_gpu(state), [(to_gpu(np.ones(3)),)] * 3)
    close(found, run(step, state, [(np.ones(3),)] * 3))
    assert len(said) == 1


def test_a_number_that_changes(gpu: WatchedGpu):
    """Each value of a Python number is a program of its own."""

    def step(state: Any, batch: Any) -> Any:
        a, n = state
        return (a + n * batch[0], n + 1), a[0] * 1.0

    planned = check(step, (np.zeros(3), 1), [(np.ones(3),)] * 3, gpu)
    assert len(planned.programs) == 3


def test_a_loss_of_another_library(gpu: WatchedGpu):
    """The eager step returns a number of NumPy, which a plan would put on the GPU."""

    def step(state: Any, batch: Any) -> Any:
        return state + batch[0], np.float64(3)

    planned = compile_on_gpu(step, gpu)
    with pytest.warns(PlannerWarning, match="other kinds of arrays"):
        state, loss = planned(to_gpu(np.zeros(3)), (to_gpu(np.ones(3)),))
    assert type(loss) is np.float64
    np.testing.assert_array_equal(to_host(state), np.ones(3))


def test_too_little_memory(gpu: WatchedGpu):
    from cupy import cuda

    step, state, batches = network()
    planned = compile_on_gpu(step, gpu)
    given, batch = to_gpu(copy.deepcopy(state)), to_gpu(batches[0])
    before = [x.tobytes() for x in leaves(given)]
    pool = cuda.MemoryPool()
    pool.set_limit(4096)
    with cuda.using_allocator(pool.malloc):
        for _ in range(2):
            with pytest.raises(MemoryError, match="Out of memory"):
                planned(given, batch)
            assert [x.tobytes() for x in leaves(given)] == before
        assert planned.programs == {}
        pool.set_limit(2**30)
        close(run(planned, given, [to_gpu(b) for b in batches]), run(step, state, batches))
