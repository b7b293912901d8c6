"""``accelerate``: a planned function of fixed arrays and a new one, compared with the function itself."""

from __future__ import annotations

import gc
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from dlarray.core.array import array_namespace
from dlarray.core.layer import Layer
from dlarray.core.registry import classes
from dlarray.device.backend import Backend, get
from dlarray.layers import Dense, Embedding
from dlarray.model import MLP, mlp
from dlarray.planner import PlannerWarning, accelerate
from dlarray.planner.native import executor as native_executor
from dlarray.planner.run.refusals import MAX_PROGRAMS
from dlarray.planner.run.replay import STAGED
from tests.planner.test_library import default
from tests.support.threads import at_once

pytest.importorskip("llvmlite", reason='pip install "dlarray[fast]"')

EXECUTORS = ["ufuncs", "native"]
W = np.random.default_rng(0).standard_normal((6, 5))
B = np.linspace(-1, 1, 5)


def network(fixed: Any, x: Any) -> Any:
    w, (b,) = fixed
    xp = array_namespace(x)
    return xp.tanh(x @ w + b)


def rows(n: int, width: int = 6, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, width))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("n", [1, 7, 1 + STAGED // 48])
def test_it_agrees_as_the_inputs_move(executor: str, n: int):
    fast, fixed = accelerate(network, executor), (W, (B,))
    xs = [rows(n, seed=i) for i in range(5)]
    results = [fast(fixed, x) for x in xs]
    for x, y in zip(xs, results, strict=True):  # a later call writes into no earlier result
        np.testing.assert_allclose(y, np.tanh(x @ W + B), rtol=1e-13, atol=1e-15)
    assert len(fast.programs) == 1
    assert None not in fast.programs.values()


LAYERS = [c for c in classes(Layer).values() if c.__module__.startswith("dlarray") and c.__name__ != "Chain"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", LAYERS, ids=lambda c: c.__name__)
def test_every_layer_predicts_alike(kind: type[Layer], dtype: str):
    layers = [Embedding(5, 3), Dense(6), "relu", Dense(4)] if kind is Embedding else [Dense(8), default(kind), Dense(4)]
    model = MLP(6, layers)  # pyright: ignore[reportArgumentType]
    theta, buffers = model.init(0, "cpu", dtype), model.init_buffers("cpu", dtype)
    x = np.random.default_rng(0).integers(0, 5, (7, 6)).astype("int32" if kind is Embedding else dtype)

    def plain(point: Any, x: Any) -> Any:
        return model.predict(point[0], x, point[1])

    fast = accelerate(plain)
    for _ in range(3):
        y, expected = fast((theta, buffers), x), plain((theta, buffers), x)
        assert y.dtype == expected.dtype
        np.testing.assert_allclose(y, expected, rtol=0, atol=1e-13 if dtype == "float64" else 1e-6)
    assert None not in fast.programs.values()


# The fixed arrays


def test_numbers_written_into_what_is_fixed_count_and_other_arrays_are_bound_anew():
    fast, w, x = accelerate(network), W.copy(), rows(3)
    fixed = (w, (B,))
    for scale in (1.0, 2.0, 3.0):
        w[...] = scale * W
        np.testing.assert_allclose(fast(fixed, x), np.tanh(x @ (scale * W) + B), rtol=1e-13)
    np.testing.assert_allclose(fast((-W, (B,)), x), np.tanh(x @ -W + B), rtol=1e-13)
    np.testing.assert_allclose(fast((-W, (2 * B,)), x), np.tanh(x @ -W + 2 * B), rtol=1e-13)
    np.testing.assert_allclose(fast(fixed, x), np.tanh(x @ w + B), rtol=1e-13)


def test_a_dict_may_hold_other_arrays_at_the_next_call():
    fast, fixed, x = accelerate(lambda p, x: x @ p["w"]), {"w": W}, rows(3)
    for scale in (1.0, 2.0, 3.0):
        fixed["w"] = scale * W
        np.testing.assert_allclose(fast(fixed, x), x @ (scale * W), rtol=1e-13)


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("n", [2, 500])
def test_a_call_of_numpy_between_kernels_and_a_product(executor: str, n: int):
    def function(fixed: Any, x: Any) -> Any:
        return np.cumsum(x @ fixed[0] + 1.0, axis=1)[:, ::-1] * 2.0

    fast, fixed = accelerate(function, executor), (W,)
    for seed in range(4):
        x = rows(n, seed=seed)
        np.testing.assert_allclose(fast(fixed, x), function(fixed, x), rtol=1e-12, atol=1e-12)
    assert None not in fast.programs.values()


@pytest.mark.parametrize("executor", EXECUTORS)
def test_another_fixed_tree_is_not_taken_for_the_latest_one(executor: str):
    def function(fixed: Any, x: Any) -> Any:
        return x * 2 if fixed is None else x @ fixed["w"] if isinstance(fixed, dict) else network(fixed, x)

    fast, first, second = accelerate(function, executor), (W, (B,)), (2 * W, (-B,))
    changing = {"w": W}
    xs = [rows(3), rows(5), np.asfortranarray(rows(3)), rows(3).astype(np.float32)]
    for i in range(4):
        changing["w"] = (i + 1.0) * W
        for x in xs:
            for fixed in (first, None, second, changing, first):
                for _ in range(2):
                    np.testing.assert_allclose(fast(fixed, x), function(fixed, x), rtol=1e-5)
    assert len(fast.programs) == 9
    assert None not in fast.programs.values()
    with pytest.raises(TypeError):
        fast(first, [[1.0]] * 3)


def test_nothing_is_consumed():
    fast, w, b, x = accelerate(network), W.copy(), B.copy(), rows(4)
    before = x.copy()
    for array in (w, b, x):
        array.flags.writeable = False
    for _ in range(3):
        y = fast((w, (b,)), x)
        assert y.flags.writeable
        y[...] = np.nan  # the result is the caller's
    np.testing.assert_array_equal(w, W)
    np.testing.assert_array_equal(b, B)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("function", [lambda w, x: x, lambda w, x: w, lambda w, x: x.T, lambda w, x: x[1:, :]])
def test_what_comes_out_is_new_even_where_it_is_what_went_in(function: Callable[..., Any]):
    fast, w, x = accelerate(function), W.copy(), rows(4)
    fast(w, x)
    y = fast(w, x)
    np.testing.assert_array_equal(y, function(w, x))
    assert not np.shares_memory(y, x)
    assert not np.shares_memory(y, w)


def test_a_tree_may_come_out():
    fast, x = accelerate(lambda w, x: {"y": x @ w, "all": (x, array_namespace(x).sum(x))}), rows(4)
    for _ in range(3):
        result = fast(W, x)
        np.testing.assert_array_equal(result["y"], x @ W)
        np.testing.assert_array_equal(result["all"][0], x)
        assert result["all"][1] == np.sum(x)


# The new array


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("n", [4, 1 + STAGED // 48])
@pytest.mark.parametrize(
    "function",
    [
        lambda w, x: x @ w,
        lambda w, x: (2 * x + 1) @ w,
        lambda w, x: (x @ w) * array_namespace(x).sum(x, axis=1, keepdims=True),
        lambda w, x: (x.T @ (x @ w)) + 0 * w,
        lambda w, x: x[1:3, :] @ w,
    ],
    ids=["a product", "a kernel first", "both", "a view of it", "a part of it"],
)
def test_inputs_may_lie_anyhow(executor: str, n: int, function: Callable[..., Any]):
    fast, x = accelerate(function, executor), rows(n)
    wide = rows(2 * n, 12, seed=2)
    ways: list[np.ndarray] = [
        x,
        np.asfortranarray(x),
        wide[::2, ::2],
        wide[-n:][::-1, :6],
        np.broadcast_to(x[:1], x.shape),
    ]
    crooked = np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    crooked[...] = x
    for _ in range(2):
        for way in [*ways, crooked]:
            np.testing.assert_allclose(fast(W, way), function(W, np.array(way)), rtol=1e-12, atol=1e-13)
    assert len(fast.programs) == 1
    assert None not in fast.programs.values()


class Own(np.ndarray):
    """A user's array class, whose operations can differ from NumPy's."""


def test_other_arrays_and_types_run_eagerly():
    fast, x = accelerate(network), rows(3)
    fixed = (W, (B,))
    expected = network(fixed, x)
    assert type(fast(fixed, x.view(Own))) is Own
    swapped = x.astype(x.dtype.newbyteorder())
    for _ in range(3):
        np.testing.assert_allclose(fast(fixed, swapped), expected, rtol=1e-13)
        np.testing.assert_allclose(fast((np.asfortranarray(W), (B,)), x), expected, rtol=1e-13)
    for _ in range(3):  # planned by now, and then called with arrays that cannot be bound
        np.testing.assert_allclose(fast(fixed, x), expected, rtol=1e-13)
        np.testing.assert_allclose(fast((np.asfortranarray(W), (B,)), x), expected, rtol=1e-13)
    assert len(fast.programs) == 1


def test_each_dtype_has_its_program():
    fast = accelerate(lambda w, x: x * 2 + 1)
    for dtype in ("float32", "float64", "float32", "float64"):
        y = fast((), rows(3).astype(dtype))
        assert y.dtype == dtype
    assert len(fast.programs) == 2


@pytest.mark.slow
@pytest.mark.parametrize("n", [4, 1 + STAGED // 48])
@pytest.mark.parametrize("function", [lambda w, x: x @ w, lambda w, x: (2 * x) @ w], ids=["product", "kernel"])
def test_inputs_are_not_kept_alive(n: int, function: Callable[..., Any]):
    fast = accelerate(function, "native")
    for _ in range(3):
        x = rows(n)
        fast(W, x)
        alive = weakref.ref(x)
        del x
        gc.collect()
        assert alive() is None


@pytest.mark.parametrize("check", [True, False])
def test_any_number_of_shapes_without_a_word(check: bool):
    fast = accelerate(network, check=check)
    for n in [*range(1, MAX_PROGRAMS + 20), *range(1, MAX_PROGRAMS + 20)]:
        x = rows(n)
        np.testing.assert_allclose(fast((W, (B,)), x), np.tanh(x @ W + B), rtol=1e-13)
    assert len(fast.programs) == MAX_PROGRAMS


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("function", [network, lambda f, x: network(f, 2 * x)], ids=["product first", "kernel first"])
def test_its_memory_is_free_without_the_garbage_collector(executor: str, function: Callable[..., Any]):
    fast, fixed = accelerate(function, executor), (W, (B,))
    for _ in range(3):
        fast(fixed, rows(3))
    binding = weakref.ref(next(program for program in fast.programs.values() if program).idle[0])
    gc.disable()
    try:
        del fast
        assert binding() is None
    finally:
        gc.enable()


# Threads


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("function", [network, lambda f, x: network(f, 2 * x)], ids=["product first", "kernel first"])
def test_threads_do_not_disturb_each_other(executor: str, function: Callable[..., Any]):
    fast, fixed = accelerate(function, executor), (W, (B,))
    xs = [rows(n, seed=n) for n in (1, 60, 60, 500, 500, 500)]
    expected = [function(fixed, x) for x in xs]
    wrong = []

    def work(k: int) -> None:
        for i in range(150):
            x, right = xs[(i + k) % 6], expected[(i + k) % 6]
            if not np.allclose(fast(fixed, x), right, rtol=1e-12, atol=1e-14):
                wrong.append((k, i))

    at_once(work)
    assert not wrong
    for x, right in zip(xs, expected, strict=True):  # a thread runs eagerly while another one plans
        np.testing.assert_allclose(fast(fixed, x), right, rtol=1e-12, atol=1e-14)
    assert len(fast.programs) == 3
    assert all(fast.programs.values())


# Functions that cannot be planned


def test_a_branch_on_values_falls_back_loudly_and_once():
    fast = accelerate(lambda w, x: x @ w if x[0, 0] > 0 else -x @ w)
    x = np.abs(rows(2))
    with pytest.warns(PlannerWarning, match="runs eagerly, uncompiled, because it cannot be traced"):
        np.testing.assert_array_equal(fast(W, x), x @ W)
    for y in (x, -x):
        np.testing.assert_array_equal(fast(W, y), x @ W)


def test_a_plan_that_differs_is_refused_loudly():
    fast = accelerate(lambda w, x: x @ w * (2.0 if isinstance(x, np.ndarray) else 2.1))
    x = rows(2)
    with pytest.warns(PlannerWarning, match="differs from the plan's"):
        fast(W, x)
    np.testing.assert_array_equal(fast(W, x), x @ W * 2.0)
    assert list(fast.programs.values()) == [None]


def test_unknown_executors_are_refused():
    with pytest.raises(ValueError, match="executor.*ufuncs"):
        accelerate(network, executor="ufunc")


# Backends


def test_a_backend_need_not_have_any():
    assert Backend().accelerate(network) is network


def test_jax_donates_nothing():
    jax = pytest.importorskip("jax")
    model = mlp(6, 5, 3)
    theta = model.init(0, "jax")
    fast = get("jax").accelerate(model.predict)
    x = jax.numpy.asarray(rows(4).astype(np.float32))
    for _ in range(2):
        np.testing.assert_allclose(fast(theta, x), model.predict(theta, x), rtol=2e-6, atol=1e-7)
    assert not any(vector.is_deleted() for vector in theta)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fast(theta, x)


@pytest.mark.skipif(not native_executor.available(), reason="there is no llvmlite")
@pytest.mark.parametrize(
    "function",
    [
        lambda w, x: np.maximum(x @ w, 0.0),
        lambda w, x: x @ w,
        lambda w, x: (np.exp(x) @ w).T,
        lambda w, x: (x @ w)[::-1],
        lambda w, x: np.concatenate([np.ravel(x @ w), np.zeros(3000)]),
        lambda w, x: np.exp(np.exp(-np.abs(x)) @ w - 1.0),
    ],
    ids=["a kernel", "a product", "transposed", "reversed", "a part that is constant", "with buffers before it"],
)
def test_a_large_result_stays_when_the_next_one_is_computed(function: Any) -> None:
    draw = np.random.default_rng(0)
    w, fast = draw.standard_normal((30, 30)), accelerate(function, "native")
    xs = [draw.standard_normal((400, 30)) for _ in range(5)]
    found = [fast(w, x) for x in xs]
    for x, y in zip(xs, found, strict=True):
        np.testing.assert_allclose(y, function(w, x), rtol=1e-11, atol=1e-11)
    assert len({y.ctypes.data for y in found}) == len(xs)
    assert all(y.flags.writeable for y in found)
