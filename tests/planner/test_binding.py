"""Bindings of a plan: refilled batches, trees of every kind, arrays that share memory, calls that fail."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import numpy as np
import pytest

import dlarray as dl
from dlarray.core.array import array_namespace
from dlarray.core.trees import Static, flatten, unflatten
from dlarray.planner import PlannerWarning, accelerate
from dlarray.planner import compile as compile_step
from dlarray.planner.run.tree_code import builder, matcher, reader


def total(state: Any, x: Any) -> Any:
    return state + 0.0, array_namespace(x).sum(x @ state)


# Batches that are refilled in place


@pytest.mark.parametrize("lies", ["in columns", "in rows", "every second"])
def test_a_batch_that_is_refilled_in_place_is_read_again(lies: str) -> None:
    whole = np.zeros((100, 128))
    x = {"in columns": whole.T[:64], "in rows": np.zeros((64, 100)), "every second": whole.T[::2]}[lies]
    fast, state, found = compile_step(total), np.ones((100, 2)), list[float]()
    for i in range(4):
        x[...] = i
        state, loss = fast(state, x)
        found.append(float(loss))
    assert found == [0, 12800, 25600, 38400]


def test_fit_reads_a_buffer_that_its_iterable_refills() -> None:
    def run(compiled: bool) -> list[float]:
        def batches() -> Any:
            r = np.random.default_rng(0)
            x, y = np.zeros((128, 40), order="F"), np.zeros((128, 1))
            for _ in range(5):
                x[...] = r.standard_normal((128, 40))
                y[...] = 2 * x[:, :1]
                yield x, y

        model, rate = dl.MLP(40, [dl.Dense(1)]), dl.GradientDescent(0.05)
        trained = dl.fit(
            model, batches, loss="mse", optimizer=rate, epochs=2, dtype="float64", compile=compiled, progress=False
        )
        return trained.history["loss"]

    np.testing.assert_allclose(run(True), run(False), rtol=1e-12)


# Trees


class Pair(NamedTuple):
    w: Any
    b: Any


@dataclass
class Record:
    w: Any
    b: Any


@dataclass(frozen=True, slots=True)
class Slotted:
    w: Any
    b: Any


KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "dict": lambda w, b: {"w": w, "b": b},
    "OrderedDict": lambda w, b: OrderedDict[str, Any](w=w, b=b),
    "named tuple": Pair,
    "dataclass": Record,
    "frozen, with slots": Slotted,
    "list": lambda w, b: [w, b],
    "nested": lambda w, b: ({"w": (w,)}, Record(1.5, OrderedDict(b=b, n=None))),
}


@pytest.mark.parametrize("name", KINDS)
def test_nests_are_taken_apart_and_put_together(name: str) -> None:
    tree, leaves = KINDS[name](np.ones(2), np.zeros(3)), list[Any]()
    structure = flatten(tree, leaves)
    assert [x.shape for x in leaves] == [(2,), (3,)]
    hash(structure)
    for made in (unflatten(structure, iter(leaves)), builder(structure)(leaves)):
        assert type(made) is type(tree)
        assert flatten(made, again := []) == structure
        assert all(x is y for x, y in zip(again, leaves, strict=True))
        assert matcher(structure, leaves)(made)
        assert reader(structure, leaves)(made) is not None
    assert not matcher(structure, leaves)(KINDS[name](np.ones(2), leaves[1]))
    assert reader(structure, leaves)(KINDS["nested" if name == "list" else "list"](*leaves)) is None


def test_trees_are_taken_apart_and_put_together():
    tree = {"a": (np.ones(1), None), "b": [Pair(np.zeros(2), 3)], "c": (), "d": {}}
    leaves: list[Any] = []
    structure = flatten(tree, leaves)
    assert [a.size for a in leaves] == [1, 2]
    hash(structure)
    for again in (unflatten(structure, iter(leaves)), builder(structure)(leaves)):
        assert again["a"][0] is leaves[0]
        assert again["b"][0] == Pair(leaves[1], 3)
        assert (again["c"], again["d"], again["a"][1]) == ((), {}, None)
    assert flatten({"a": 1}, []) != flatten({"a": 2}, [])


@pytest.mark.parametrize("name", KINDS)
def test_states_of_every_kind_are_planned(name: str) -> None:
    made, runs = KINDS[name], list[int]()

    def step(state: Any, x: Any) -> Any:
        runs.append(1)
        leaves: list[Any] = []
        kinds: tuple[type, ...] = (cast("Any", type(x)), np.ndarray, np.generic)
        structure = flatten(state, leaves, kinds)
        w, b = leaves
        return unflatten(structure, iter([w * 0.5, b + 1.0])), array_namespace(x).sum(w)

    fast, state = compile_step(step), made(np.ones(2), np.zeros(3))
    for _ in range(3):
        state, _ = fast(state, np.ones(2))
    assert list(fast.programs.values()) != [None]
    before = len(runs)
    for i in range(3):
        state, loss = fast(state, np.ones(2))
        assert loss == 2 * 0.5 ** (3 + i)
    assert len(runs) == before
    assert type(state) is type(made(0, 0))


def test_numbers_are_distinguished_by_type_and_sign() -> None:
    values: list[Any] = [0, 0.0, -0.0, False, 1, 1.0, True, float("nan"), "1", None, (1,), 1j, -1j, b"1", int, len]
    for a in values:
        known = matcher(flatten((a,), []), [])
        for b in values:
            assert (Static(a) == Static(b)) is (a is b)
            assert known((b,)) is (a is b)
        assert hash(Static(a)) == hash(Static(a))
    assert Static(float("nan")) == Static(float("nan"))


def test_what_may_change_unseen_has_no_structure_to_go_by() -> None:
    class Settings:
        rate = 0.1

    for value in (Settings(), bytearray(2), {1}, np.ones(2)):
        with pytest.raises(TypeError):
            hash(Static(value))


def test_dicts_are_known_in_their_order() -> None:
    structure = flatten({"a": np.ones(1), "b": np.zeros(1)}, leaves := [])
    assert not matcher(structure, leaves)({"b": leaves[1], "a": leaves[0]})
    assert reader(structure, leaves)({"b": leaves[1], "a": leaves[0]}) is None


# The key of an accelerated function's plan

X = np.arange(6.0).reshape(2, 3)
FIXED: dict[str, tuple[Callable[[Any, Any], Any], list[Any]]] = {
    "a number": (lambda c, x: x * c[0] + c[1], [(np.ones(3), 0.5), (np.ones(3), 7.5)]),
    "its sign": (lambda c, x: x * 0 + np.copysign(1.0, c[0]), [(0.0,), (-0.0,)]),
    "its type": (lambda c, x: x * c[0] + isinstance(c[0], float), [(1,), (1.0,), (True,)]),
    "the order of keys": (
        lambda c, x: x * next(iter(c.values())) + c["b"],
        [{"a": np.full(3, 2.0), "b": np.ones(3)}, {"b": np.ones(3), "a": np.full(3, 2.0)}],
    ),
    "a dtype": (lambda c, x: x * c, [np.ones(3), np.full(3, 2, np.float32)]),
    "a shape": (lambda c, x: x * c, [np.ones(3), np.full((2, 1), 3.0), np.full((1, 3), 2.0)]),
    "an item more": (lambda c, x: x * sum(c), [(np.ones(3),), (np.ones(3), np.ones(3))]),
}


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
@pytest.mark.parametrize("what", FIXED)
def test_what_is_fixed_makes_programs_of_its_own(what: str, executor: str) -> None:
    if executor == "native":
        pytest.importorskip("llvmlite")
    function, ways = FIXED[what]
    fast = accelerate(function, executor)
    for _ in range(3):
        for fixed in ways:
            np.testing.assert_array_equal(fast(fixed, X), function(fixed, X))
    assert len(fast.programs) == len(ways)
    assert None not in fast.programs.values()


def test_a_trained_model_at_weights_of_another_type() -> None:
    r = np.random.default_rng(0)
    x = r.standard_normal((50, 4))
    model = dl.mlp(4, 8, 1, activation="tanh")
    trained = dl.fit(model, x, np.sin(x[:, :1]), epochs=1, dtype="float64", progress=False)
    for _ in range(20):  # until it is compiled
        trained.predict(x)
    expected = trained.predict(x)
    other = trained.at(tuple(v.astype(np.float32) for v in trained.theta), trained.buffers)
    np.testing.assert_allclose(other.predict(x), expected, atol=1e-6)
    np.testing.assert_array_equal(trained.predict(x), expected)


def test_fixed_values_that_can_change_unnoticed_run_eagerly_with_a_warning() -> None:
    class Scale:
        value = 2.0

    scale = Scale()
    fast = accelerate(lambda c, x: x * c[0].value)
    with pytest.warns(PlannerWarning, match="a Scale is not an array, and a change"):
        np.testing.assert_array_equal(fast((scale,), X), 2 * X)
    scale.value = 3.0
    np.testing.assert_array_equal(fast((scale,), X), 3 * X)


def test_states_that_may_change_unseen_run_eagerly_and_say_so() -> None:
    class State:
        def __init__(self, w: np.ndarray) -> None:
            self.w = w

    fast, state = compile_step(lambda s, x: (State(s.w * 0.5), np.sum(s.w))), State(np.ones(3))
    with pytest.warns(PlannerWarning, match="eagerly, uncompiled, because a State is not an array"):
        state, _ = fast(state, X)
    for i in range(3):
        state, loss = fast(state, X)
        assert loss == 3 * 0.5 ** (i + 1)
