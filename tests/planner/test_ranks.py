"""A sum over ranks is a node of the plan: its numbers, where it starts, and where it is waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.planner import compile as compile_step
from dlarray.planner.numpy.ufuncs import ufuncs
from dlarray.planner.run.program import Program
from dlarray.planner.schedule.memory import Location
from dlarray.planner.trace.node import root
from tests.support.rank_steps import PLAIN, examples, over, own_rows, start
from tests.support.recorded_ranks import Formula, Recorder, recorded
from tests.support.thread_ranks import ThreadRanks, on_ranks

EXECUTORS = ["ufuncs", "native"]


def trained(ranks: ThreadRanks, executor: str | None, rows: int, dtype: str = "float64", **options: Any) -> Any:
    """The losses and θ of a few steps, planned or eager, and what the ranks have exchanged."""
    step: Any = over(ranks, **options)
    fast = step if executor is None else compile_step(step, executor)
    state, losses = start(step, dtype), list[Any]()
    for i in range(4):
        state, loss = fast(state, own_rows(ranks, step, examples(rows, i, dtype)))
        losses.append(float(loss))
    if executor is not None:
        assert None not in fast.programs.values()
    return losses, state["theta"][0].copy(), ranks.log


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_plan_has_the_numbers_of_the_eager_step_on_any_number_of_ranks(size: int, executor: str) -> None:
    (alone, theta, _), *_ = on_ranks(1, lambda ranks: trained(ranks, None, 13))
    eager = on_ranks(size, lambda ranks: trained(ranks, None, 13))
    planned = on_ranks(size, lambda ranks: trained(ranks, executor, 13))
    for one, other in zip(eager, planned, strict=True):
        np.testing.assert_allclose(other[0], one[0], rtol=1e-12)
        np.testing.assert_allclose(other[1], one[1], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(other[0], alone, rtol=1e-12)
        np.testing.assert_array_equal(other[1], planned[0][1])
        np.testing.assert_allclose(other[1], theta, rtol=1e-11, atol=1e-13)
        assert other[2] == one[2]


def test_the_first_step_has_the_bits_of_a_later_one() -> None:
    """A run whose plan is made anew at each step has the same bits as one that never stopped."""

    def restarted(ranks: ThreadRanks) -> Any:
        step = over(ranks)
        state, losses = start(step, "float32"), list[float]()
        for i in range(4):
            state, loss = compile_step(step, "native")(state, own_rows(ranks, step, examples(9, i, "float32")))
            losses.append(float(loss))
        return losses, state["theta"][0].copy(), ranks.log

    kept = on_ranks(2, lambda ranks: trained(ranks, "native", 9, dtype="float32"))
    for (losses, theta, log), other in zip(on_ranks(2, restarted), kept, strict=True):
        assert losses == other[0]
        np.testing.assert_array_equal(theta, other[1])
        assert log == other[2]


def test_planned_and_eager_ranks_fit_together() -> None:
    """Ragged rows: each rank has a program of its own; one runs eagerly, and its exchanges are those of the others."""
    executors = (None, "ufuncs", "native")
    found = on_ranks(3, lambda ranks: trained(ranks, executors[ranks.rank], 7))
    assert found[0][2] == found[1][2] == found[2][2]
    for losses, theta, _ in found[1:]:
        assert losses == found[0][0]
        np.testing.assert_array_equal(theta, found[0][1])


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("clip", [False, True])
def test_a_sharded_step_has_the_numbers_of_one_rank(clip: bool, executor: str) -> None:
    optimizer = dl.Clipped(dl.Adam(0.01), dl.clip_by_global_norm, 0.1) if clip else dl.Adam(0.01)
    options: dict[str, Any] = {"layers": PLAIN, "optimizer": optimizer, "shard": True}
    (alone, theta, _), *_ = on_ranks(1, lambda ranks: trained(ranks, None, 13, **options))
    mixed = on_ranks(3, lambda ranks: trained(ranks, (None, executor)[ranks.rank > 0], 13, **options))
    for losses, found, log in mixed:
        np.testing.assert_allclose(losses, alone, rtol=1e-12)
        np.testing.assert_allclose(found, theta, rtol=1e-11, atol=1e-13)
        assert [name for name, _ in log] == ["sum", "scatter_sum", *["gather", "sum"] * clip, "gather"] * 4


# The plan


def test_each_gradient_is_summed_where_it_was_written_and_all_are_waited_for_before_the_optimizer() -> None:
    step, state, batch, _ = recorded(PLAIN)
    plan = Program(step, state, batch, ufuncs).plan
    (whole,) = [unit.outputs[0] for unit in plan.units if unit.op == "concat"]
    starts = [unit.outputs[0] for unit in plan.units if unit.op == "start"]
    assert len(starts) == 7
    for gradient in (node for node in starts if node.shape):
        location = plan.locations[gradient]
        assert (location.kind, location.number) == ("slice", whole.number)
        assert plan.locations[root(gradient.args[0])] == location
    operations = [unit.op for unit in plan.units]
    assert operations[-9:] == ["wait"] * 6 + ["concat", "group", "wait"]


def test_sums_start_in_the_order_of_the_trace_as_soon_as_they_can() -> None:
    step, state, batch, ranks = recorded(PLAIN)
    step(state, batch)
    eager, ranks.events[:] = [e.partition(" ")[2] for e in ranks.events], []
    fast = compile_step(step, "native")
    fast(recorded(PLAIN)[1], batch)
    starts = [e.partition(" ")[2] for e in ranks.events if e.startswith("start")]
    assert starts == eager
    plan = fast.latest().plan
    order = [unit.op for unit in plan.units]
    products = [i for i, unit in enumerate(plan.units) if unit.op == "matmul"]
    first = order.index("start", products[3])
    assert first == products[3] + 1, "the last layer's gradient is summed before the layers below are computed"


# Other steps


def both(step: Any, state: Any, batch: Any, executor: str) -> tuple[list[str], list[str]]:
    """What happens in two steps, eager and planned, whose results must be equal."""
    ranks = step.ranks
    runs: list[tuple[Any, list[str]]] = []
    for run in (step, compile_step(step, executor)):
        ranks.events[:] = []
        own = state.copy(), None
        for _ in range(2):
            own = run(own[0], batch)
        runs.append((own, list(ranks.events)))
    for one, other in zip(runs[0][0], runs[1][0], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-13)
    return runs[0][1], runs[1][1]


def read_again(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    """The rank's own numbers are read after the sum."""
    y = x * state
    total = ranks.sum(y)
    return state + total * y, xp.sum(y)


def of_a_view(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    y = xp.stack([x * state, x - state])
    return state + ranks.sum(y.T)[:, 0] + ranks.sum(y[1, :]), xp.sum(y)


def of_the_batch(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return state + ranks.sum(x), xp.sum(ranks.sum(x[::2]))


def of_the_state(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return ranks.sum(state) * 0.1, xp.sum(state * x)


def of_a_sum(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return state * 0.5 + ranks.sum(ranks.sum(x * 0.1)), ranks.sum(xp.sum(ranks.sum(state * 0.1)))


def of_a_constant(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    return state * ranks.sum(xp.ones_like(x)), ranks.sum(xp.sum(x[:0]))


def unused(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    """No result depends on the sum; the other ranks take part in it nevertheless."""
    ranks.sum(x + state)
    return state * 0.5, xp.sum(x)


def twice(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    """Two sums of one array are two exchanges."""
    y = x * state
    return state * 0.5 + ranks.sum(y), xp.sum(ranks.sum(y))


def of_integers(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    positive = ranks.sum(xp.astype(x > 0, xp.int32))
    return state * 0.5 + xp.astype(positive, state.dtype), ranks.sum(xp.sum(positive))


def pieces(ranks: Any, xp: Any, state: Any, x: Any) -> Any:
    """The step of a rank's piece of the state."""
    g = xp.concat([x * 0.5, xp.zeros(0, dtype=x.dtype)])
    piece = ranks.piece(state)
    piece -= 0.1 * ranks.scatter_sum(g * state)
    return ranks.gather(piece, state.shape[0]), xp.sum(g)


FORMULAS = [
    *(read_again, of_a_view, of_the_batch, of_the_state, of_a_sum, of_a_constant, unused, twice, of_integers),
    pieces,
]


@pytest.mark.parametrize("n", [6, 4096], ids=["staged", "in place"])
@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("formula", FORMULAS, ids=lambda f: f.__name__)
def test_an_exchange_can_be_anywhere_in_a_step(formula: Any, executor: str, n: int) -> None:
    r = np.random.default_rng(0)
    eager, planned = both(Formula(Recorder(), formula), r.uniform(0.5, 1, n), r.standard_normal(n), executor)
    starts = [e.replace("start", "sum") for e in planned if not e.startswith("wait")]
    assert starts == eager
    assert sum(e.startswith("wait") for e in planned) == sum(e.startswith("start") for e in planned)


def test_a_piece_of_theta_is_moved_where_it_is_and_gathered_there() -> None:
    program = Program(*recorded(PLAIN, optimizer=dl.Adam(0.01), shard=True)[:3], ufuncs)
    gather = next(unit for unit in program.plan.units if unit.op == "start" and unit.outputs[0].attribute.is_gather)
    (node,) = gather.outputs
    assert program.plan.locations[node] == Location("input", 0)
    assert program.plan.locations[root(node.args[0])] == Location("input", 0, 0)
    assert all(program.plan.is_in_place(i) for i in program.plan.donated)
