"""Optimizers that keep their state in bfloat16, on every device, planned and in training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.core.array import array_namespace
from dlarray.core.bfloat16 import decode, encode
from dlarray.optimizers import Adam, AdamW, BFloat16State, Clipped, Momentum, Optimizer, RMSprop, clip_by_global_norm
from dlarray.planner import compile as plan
from tests.book.test_bfloat16 import upper_half

OPTIMIZERS: dict[str, Optimizer] = {
    "momentum": Momentum(0.02),
    "rmsprop": RMSprop(0.02, momentum=0.5, centered=True),  # three averages
    "adam": Adam(0.05),
    "adamw": AdamW(0.05),
    "clipped": Clipped(Adam(0.05), clip_by_global_norm, 1.0),
}
START = np.linspace(-2, 2, 192)


def descend(optimizer: Optimizer, theta: Any, steps: int, mask: Any = None) -> tuple[Any, Any]:
    """Down ½ Σ c θ²."""
    xp = array_namespace(theta)
    state = optimizer.init(theta, mask)
    for _ in range(steps):
        (theta,), (state,) = optimizer.step_all((theta,), (xp.sin(theta) + 0.1 * theta,), (state,))
    return theta, state


@pytest.mark.parametrize("word", ["rmsprop", "clipped"])
def test_a_compact_optimizer_descends_as_the_plain_one(on: Any, word: str) -> None:
    plain = OPTIMIZERS[word]
    theta, state = descend(BFloat16State(plain), on.target.asarray(on.host(START)), 60)
    wide = descend(plain, on.target.asarray(on.host(START)), 60)[0]
    assert on.numpy(theta).dtype == on.dtype
    wide, last = on.numpy(wide), on.numpy(theta)
    assert np.linalg.norm(wide) < 0.6 * np.linalg.norm(START)
    assert np.linalg.norm(last - wide) < 0.05 * np.linalg.norm(wide - START)
    xp = array_namespace(theta)
    kept = {name: x for name, x in state.items() if name != "t"}
    assert kept
    assert all(x.dtype == xp.int16 for x in kept.values())
    assert int(on.numpy(state["t"])) == 60


def test_vectors_that_move_together_share_one_count(on: Any) -> None:
    """As θ is on JAX: the first state counts for all, and each vector goes the way that it would go alone."""
    optimizer = BFloat16State(Adam(0.05))
    parts = tuple(on.target.asarray(on.host(part)) for part in (START[:64], START[64:]))
    alone = [descend(optimizer, on.target.asarray(on.host(part)), 3)[0] for part in (START[:64], START[64:])]
    states = optimizer.init_all(parts)
    assert ["t" in state for state in states] == [True, False]
    for _ in range(3):
        slopes = tuple(array_namespace(part).sin(part) + 0.1 * part for part in parts)
        parts, states = optimizer.step_all(parts, slopes, states)
    for part, expected in zip(parts, alone, strict=True):
        np.testing.assert_array_equal(on.numpy(part), on.numpy(expected))


def test_an_average_follows_where_the_nearest_number_stands_still() -> None:
    """v of a gradient of 1 goes to 1. To the nearest it stops where a hundredth of 1 - v is under half a unit, 2⁻⁹."""
    optimizer = BFloat16State(Adam(beta2=0.99))
    g = np.ones(512, np.float32)
    theta, state = np.zeros(512, np.float32), optimizer.init(np.zeros(512, np.float32))
    nearest = np.zeros(1, np.float32)
    for _ in range(1200):
        theta, state = optimizer.step(theta, g.copy(), state)
        nearest = upper_half(encode(nearest * np.float32(0.99) + np.float32(0.01), np.full(1, 2**15, np.int32)))
    v = decode(state["v"], np.float32)
    assert abs(nearest[0] - (1 - 100 * 2**-9)) <= 2**-8
    # Each step adds noise of at most half a unit, 2⁻⁸ above 1, and forgets a hundredth: 2⁻⁸ / √(1 - 0.99²) = 0.028.
    assert abs(float(v.mean()) - 1) < 5 * 0.028 / np.sqrt(512)
    assert np.all(np.abs(v - 1) < 5 * 0.028)


def test_what_is_kept_wide() -> None:
    theta = START.astype(np.float32)
    state = BFloat16State(AdamW()).init(theta, np.ones_like(theta))
    assert {name: x.dtype.name for name, x in state.items()} == {
        "t": "int32",
        "mask": "float32",
        "m": "int16",
        "v": "int16",
    }
    assert BFloat16State(Adam(0.5)).rate(np.float32(3)) == 0.5


@pytest.mark.parametrize("word", OPTIMIZERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_planned_is_eager_bit_for_bit(word: str, dtype: str) -> None:
    optimizer = BFloat16State(OPTIMIZERS[word])

    def step(state: Any, g: Any) -> Any:
        thetas, states = optimizer.step_all((state[0],), (g * 1.0,), (state[1],))
        return (thetas[0], states[0]), g[0]

    start = START.astype(dtype)
    planned = plan(step)
    one, two = (start.copy(), optimizer.init(start)), (start.copy(), optimizer.init(start))
    for i in range(8):
        g = np.random.default_rng(i).standard_normal(START.shape).astype(dtype)
        one, two = planned(one, g)[0], step(two, g)[0]
    assert None not in planned.programs.values()
    np.testing.assert_array_equal(one[0], two[0])
    for name in two[1]:
        np.testing.assert_array_equal(one[1][name], two[1][name], err_msg=name)


def test_the_planned_optimizer_is_one_kernel_with_half_the_state_s_traffic() -> None:
    x, y = np.zeros((8, 5), np.float32), np.zeros(8, np.int32)
    found = {}
    for optimizer in (Adam(), BFloat16State(Adam())):
        given = dlarray.first_step(dlarray.mlp(5, 4, 3), x, y, optimizer=optimizer)
        description = dlarray.explain(*given).description
        move = next(work for work in description.works if any("theta′ = " in line for line in work.formulas))
        made = {v.name for v in description.values if v.written == description.works.index(move) and v.nbytes > 8}
        assert made == {"theta′", "optimizer.m′", "optimizer.v′"}
        found[optimizer] = move.nbytes
    n = dlarray.mlp(5, 4, 3).layout.lengths[0]
    wide, narrow = found.values()
    assert wide - 28 * n == pytest.approx(narrow - 20 * n, abs=8)  # the rest is single numbers


@pytest.mark.parametrize("executor", ["ufuncs", "native"])
def test_training_with_either_executor_keeps_its_plan(executor: str) -> None:
    if executor == "native":
        pytest.importorskip("llvmlite")
    r = np.random.default_rng(0)
    x, y = r.standard_normal((64, 16)).astype(np.float32), r.integers(0, 3, 64).astype(np.int32)
    step, state, batch = dlarray.first_step(
        dlarray.mlp(16, 64, 3), x, y, optimizer=BFloat16State(Adam(1e-2)), batch_size=None
    )
    planned = plan(step, executor=executor)
    losses = []
    for _ in range(60):
        state, loss = planned(state, batch)
        losses.append(float(loss))
    assert None not in planned.programs.values()
    assert losses[-1] < 0.2 * losses[0]


def test_fit_takes_it_and_composes_it() -> None:
    r = np.random.default_rng(0)
    x = r.standard_normal((120, 6)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    fit = partial(dlarray.fit, dlarray.mlp(6, 16, 2), x, y, epochs=20, progress=False, seed=1, compile=False)
    inner = fit(optimizer=BFloat16State(Clipped(Adam(1e-2), clip_by_global_norm, 1.0)))
    outer = fit(optimizer=Clipped(BFloat16State(Adam(1e-2)), clip_by_global_norm, 1.0))
    np.testing.assert_array_equal(inner.theta[0], outer.theta[0])
    plain = fit(optimizer=Clipped(Adam(1e-2), clip_by_global_norm, 1.0))
    assert plain.history["loss"][-1] < 0.5 * plain.history["loss"][0]
    assert inner.history["loss"][-1] == pytest.approx(plain.history["loss"][-1], rel=0.05)


def test_a_state_from_a_file_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    optimizer = BFloat16State(Adam())
    theta, state = descend(optimizer, START.astype(np.float32), 5)
    np.savez(tmp_path / "state.npz", theta=theta, **state)
    with np.load(tmp_path / "state.npz") as file:
        loaded = {name: file[name] for name in file.files}
    after = optimizer.step(theta, np.cos(START.astype(np.float32)), state)
    again = optimizer.step(loaded.pop("theta"), np.cos(START.astype(np.float32)), loaded)
    np.testing.assert_array_equal(after[0], again[0])
    for name in after[1]:
        np.testing.assert_array_equal(after[1][name], again[1][name])


def test_bad_configuration() -> None:
    with pytest.raises(TypeError, match=r"optimizer must be an optimizer, such as Adam\(\), got 'adam'"):
        BFloat16State("adam")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shape of theta"):
        BFloat16State(Adam()).step(np.zeros(3), np.zeros(4), BFloat16State(Adam()).init(np.zeros(3)))
    assert BFloat16State(Adam()) == BFloat16State(Adam()) != BFloat16State(Adam(0.1))
    assert hash(BFloat16State(Adam())) == hash(BFloat16State(Adam()))
