"""What a planned step on a card is bound to: graphs that fail or lie, other states, odd arrays, too little memory."""

from __future__ import annotations

import copy
import ctypes
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.planner import PlannerWarning
from dlarray.planner.cuda.step import on_card
from dlarray.training.first import first_step
from tests.fakes.card import PaperArray, PaperCard, on_paper
from tests.fakes.steps import STAGES, check, close, leaves, papered, program, run
from tests.support import cuda

pytestmark = pytest.mark.skipif(not cuda.have_compiler(), reason="there is no g++")
RNG = np.random.default_rng(0)
X = RNG.normal(size=(24, 7))
LABELS = RNG.integers(0, 4, 24)


def network() -> tuple[Any, Any, list[Any]]:
    model = dl.mlp(7, 16, 12, 4)
    made = [first_step(model, np.roll(X, i, 0), LABELS, batch_size=8, dtype="float64") for i in range(3)]
    return made[0][0], made[0][1], [batch for _, _, batch in made]


# Graphs


def test_a_refused_graph(folder: Path):
    card = PaperCard(folder)
    card.refuses_to_record = "not today"
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because it cannot be recorded: RuntimeError: not today"):
        planned = check(step, state, batches, card)
    assert not program(planned).recorded
    assert "graph" not in card.queued


def test_a_graph_that_is_refused_later(folder: Path):
    card = PaperCard(folder)
    step, state, batches = network()
    planned = check(step, state, batches, card)
    card.refuses_to_record = "no more"
    expected = run(step, copy.deepcopy(state), batches)
    with pytest.warns(PlannerWarning, match="launch by launch, for it cannot be recorded: RuntimeError: no more"):
        close(run(planned, on_paper(state), [on_paper(b) for b in batches]), expected)


class Forgetful(PaperCard):
    """A card whose graphs leave out what was queued last."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        whole = super().record(work)
        cells = dict(zip(whole.__code__.co_freevars, whole.__closure__ or (), strict=True))
        del cells["recorded"].cell_contents[-1]
        return whole


def test_a_graph_that_gives_other_numbers(folder: Path):
    card = Forgetful(folder)
    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="launch by launch, because the graph gives other numbers"):
        planned = check(step, state, batches, card)
    assert not program(planned).recorded
    graphs = card.queued.count("graph")
    run(planned, on_paper(state), [on_paper(b) for b in batches])
    assert card.queued.count("graph") == graphs, "it is dropped for good"


def test_a_kernel_that_lies(folder: Path):
    class Lying(PaperCard):
        def launch(self, function: Any, grid: Any, head: np.ndarray) -> None:
            super().launch(function, grid, head)
            if head[0] * head[1] > 100:  # of what is large, the last array is written
                where = int(head[-1])
                self._queue("lie", lambda: ctypes.memset(where, 1, 8))

    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="the step runs eagerly, uncompiled, because output"):
        planned = check(step, state, batches, Lying(folder))
    assert list(planned.programs.values()) == [None]


def test_a_kernel_that_does_not_compile(folder: Path):
    class Failing(PaperCard):
        def compile(self, text: str, names: Any) -> list[Any]:
            raise RuntimeError("error: no such instruction")

    step, state, batches = network()
    with pytest.warns(PlannerWarning, match="its plan fails: RuntimeError: error: no such instruction"):
        check(step, state, batches, Failing(folder))


@pytest.mark.parametrize("name", ["sort", "argsort", "cumulative_sum"])
def test_eager_calls(name: str, folder: Path):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state["a"])
        made = xp.tanh(getattr(xp, name)(state["a"] + batch[0], axis=0) * 0.5)
        return {"a": xp.astype(made, state["a"].dtype)}, xp.sum(xp.abs(made))

    state, batches = {"a": RNG.normal(size=(6, 5))}, [(RNG.normal(size=(6, 5)),) for _ in range(3)]
    with pytest.warns(PlannerWarning, match=f"no graph can hold what the library allocates: {name}"):
        planned = check(step, state, batches, PaperCard(folder))
    assert not program(planned).recorded


def test_no_warning_where_no_graph_is_wanted(folder: Path):
    def step(state: Any, batch: Any) -> Any:
        xp = array_namespace(state)
        return xp.sort(state, axis=0), xp.sum(state)

    check(step, RNG.normal(size=(6, 5)), [()] * 3, PaperCard(folder), STAGES["fused"])


# States


def test_another_state_is_bound_anew(folder: Path):
    step, state, batches = network()
    card = PaperCard(folder)
    planned = check(step, state, batches, card)
    other = step.start(step.model.init(5, dl.device.resolve("cpu"), "float64"), (), 5, dl.device.resolve("cpu"))
    others = other if set(other) == set(state) else state
    a, b = on_paper(copy.deepcopy(state)), on_paper(copy.deepcopy(others))
    expected = [run(step, copy.deepcopy(s), batches) for s in (state, others)]
    found: list[Any] = [[], []]
    bindings = program(planned).bindings
    for batch in batches:  # two walks, step by step in turn
        for i, at in enumerate((a, b)):
            new, loss = planned(at, on_paper(batch))
            found[i].append(leaves((new, loss)))
            assert new is at or i < 2
    close(found[0], expected[0])
    close(found[1], expected[1])
    assert len(planned.programs) == 1
    assert program(planned).bindings > bindings + 4


def test_a_state_that_is_restored_between(folder: Path):
    """Numbers written into the arrays, as a checkpoint does, count."""
    step, state, batches = network()
    planned = on_card(papered(step), PaperCard(folder))
    given = on_paper(copy.deepcopy(state))
    first = run(planned, given, [on_paper(b) for b in batches])
    again = on_paper(copy.deepcopy(state))
    current, _ = planned(given, on_paper(batches[0]))
    to, source = [], []
    from dlarray.core.trees import flatten

    flatten(current, to)
    flatten(again, source)
    for x, y in zip(to, source, strict=True):
        x[...] = y
    second = run(planned, current, [on_paper(b) for b in batches])
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
    whole = on_paper(RNG.normal(size=24))
    if what == "every second":
        return {"a": whole[:10:2], "b": whole[10:15]}
    if what == "overlapping":
        return {"a": whole[:5], "b": whole[3:8]}
    if what == "backwards":
        return {"a": whole[4::-1], "b": whole[10:15]}
    if what == "views":
        return {"a": whole[3:8], "b": whole[8:13]}
    raw = np.zeros(24 * 8 + 1, np.uint8)[1:].view(np.float64).view(PaperArray)
    return {"a": raw[:5], "b": raw[5:10]}


@pytest.mark.parametrize("what", ["every second", "overlapping", "backwards", "views", "not aligned"])
def test_states_that_lie_oddly(what: str, folder: Path):
    batches = [(RNG.normal(size=(3, 5)),) for _ in range(4)]
    made = odd(what)
    bases = {name: np.array(x) for name, x in made.items()}
    shared = np.array(made["a"].base) if what == "overlapping" else None
    plain = {"a": shared[:5], "b": shared[3:8]} if shared is not None else copy.deepcopy(bases)
    expected = run(small, plain, batches)
    card = PaperCard(folder)
    planned = on_card(papered(small), card)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlannerWarning)
        close(run(planned, made, [on_paper(b) for b in batches]), expected)
    assert len(caught) == (what == "overlapping")
    assert card.queued[-1] == ("copy" if what == "views" else card.queued[-1])
    if what == "views":
        assert program(planned).recorded


def test_a_batch_in_the_state(folder: Path):
    """A batch that is a view of the state: the plain step reads what it has already written."""
    card = PaperCard(folder)
    planned = on_card(papered(small), card)
    whole = RNG.normal(size=25)
    for i in range(3):
        paper, plain = on_paper(whole), whole.copy()
        made = [small({"a": w[:5], "b": w[5:10]}, (w[:15].reshape(3, 5),)) for w in (plain,)]
        given = {"a": paper[:5], "b": paper[5:10]}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore" if i == 0 else "error", PlannerWarning)
            found = planned(given, (paper[:15].reshape(3, 5),))
        close([leaves(found)], [leaves(made[0])])


def turned(state: Any, batch: Any) -> Any:
    """Old values leave at other places, some of them turned round."""
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
def test_values_that_move(step: Any, stage: str, folder: Path):
    state = tuple(RNG.normal(size=(5, 5)) for _ in range(3))
    batches = [(RNG.normal(size=(5, 5)),) for _ in range(4)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", PlannerWarning)
        planned = check(step, state, batches, PaperCard(folder), STAGES[stage])
    assert None not in planned.programs.values()
    assert all("launch by launch, because no graph can hold" in str(w.message) for w in caught)


def test_a_new_state_with_one_array_twice_is_not_planned(folder: Path):
    """What is written into one of them would be written into the other: only the plain step does that."""
    state = tuple(RNG.normal(size=(5, 5)) for _ in range(3))
    batches = [(RNG.normal(size=(5, 5)),) for _ in range(4)]
    with pytest.warns(PlannerWarning, match="runs eagerly"):
        planned = check(same_twice, state, batches, PaperCard(folder), STAGES["fused"])
    assert list(planned.programs.values()) == [None]


@pytest.mark.parametrize("kind", ["a view", "not in rows", "not aligned", "backwards"])
def test_batches_that_lie_oddly(kind: str, folder: Path):
    step, state, batches = network()
    planned = check(step, state, batches, PaperCard(folder))

    def odd(x: np.ndarray) -> Any:
        if kind == "a view":
            whole = on_paper(np.concatenate([x, x, x]))
            return whole[len(x) : 2 * len(x)]
        if kind == "not in rows":
            whole = on_paper(np.repeat(x, 2, axis=-1))
            return whole[..., ::2]
        if kind == "backwards":
            return on_paper(x[::-1].copy())[::-1]
        raw = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape).view(PaperArray)
        raw[...] = x
        return raw

    given = [(odd(x), odd(t), None) for x, t, _ in batches]
    close(run(planned, on_paper(copy.deepcopy(state)), given), run(step, copy.deepcopy(state), batches))


def test_trees_that_cannot_be_hashed(folder: Path):
    def step(state: Any, batch: Any) -> Any:
        return {"a": state["a"] + batch[0], "names": state["names"]}, state["a"][0] * 1.0

    state = {"a": np.zeros(3), "names": {"b", "c"}}
    planned = on_card(papered(step), PaperCard(folder))
    with pytest.warns(PlannerWarning, match="unhashable type: 'set'") as said:
        found = run(planned, on_paper(state), [(on_paper(np.ones(3)),)] * 3)
    close(found, run(step, state, [(np.ones(3),)] * 3))
    assert len(said) == 1


def test_a_number_that_changes(folder: Path):
    """Each value of a Python number is a program of its own."""

    def step(state: Any, batch: Any) -> Any:
        a, n = state
        return (a + n * batch[0], n + 1), a[0] * 1.0

    planned = check(step, (np.zeros(3), 1), [(np.ones(3),)] * 3, PaperCard(folder))
    assert len(planned.programs) == 3


def test_a_loss_of_another_library(folder: Path):
    """The plain step gives NumPy's own number, which a plan would put on the card."""

    def step(state: Any, batch: Any) -> Any:
        return state + batch[0], np.float64(3)

    planned = on_card(step, PaperCard(folder))
    with pytest.warns(PlannerWarning, match="other kinds of arrays"):
        state, loss = planned(on_paper(np.zeros(3)), (on_paper(np.ones(3)),))
    assert type(loss) is np.float64
    np.testing.assert_array_equal(state, np.ones(3))


def test_too_little_memory(folder: Path):
    step, state, batches = network()
    card = PaperCard(folder, capacity=4096)
    planned = on_card(papered(step), card)
    given = on_paper(copy.deepcopy(state))
    before = [x.tobytes() for x in leaves(given)]
    for _ in range(2):
        with pytest.raises(MemoryError, match="bytes are asked for"):
            planned(given, on_paper(batches[0]))
        assert [x.tobytes() for x in leaves(given)] == before
    assert planned.programs == {}
    card.capacity = 2**40
    close(run(planned, given, [on_paper(b) for b in batches]), run(step, state, batches))
