"""bfloat16 rounded at random, and optimizers that keep their state in it, on every device."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dlarray
from dlarray.core import bfloat16
from dlarray.core.array import array_namespace
from dlarray.core.bfloat16 import decode, encode, noise
from dlarray.optimizers import Adam, AdamW, BFloat16State, Clipped, Momentum, Optimizer, RMSprop, clip_by_global_norm
from dlarray.planner import compile as plan

CODES = np.arange(-(2**15), 2**15).astype(np.int16)
EVERY = np.arange(2**16, dtype=np.int32)


def upper_half(code: np.ndarray) -> np.ndarray:
    """What an int16 stands for: the float32 with these upper bits, through unsigned words and NumPy alone."""
    return (code.astype(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def numbers(n: int = 500) -> np.ndarray:
    """Of all sizes and signs, with those that are hard: subnormal, at the edge of a binade, 0."""
    r = np.random.default_rng(3)
    x = r.standard_normal(n) * 10.0 ** r.uniform(-37, 37, n)
    hard = [0.0, -0.0, 1.0, -1.0, 1e-40, -3e-39, np.nextafter(np.float32(2), np.float32(0)), 1 + 2.0**-8, 3.3e38]
    return np.concatenate([x, hard]).astype(np.float32)


# The format


@pytest.mark.parametrize("library", ["ml_dtypes", "torch"])
def test_the_format_is_bfloat16(library: str) -> None:
    module = pytest.importorskip(library)
    if library == "torch":
        expected = module.from_numpy(CODES).view(module.bfloat16).float().numpy()
    else:
        expected = CODES.view(module.bfloat16).astype(np.float32)
    np.testing.assert_array_equal(decode(CODES, np.float32), expected)
    np.testing.assert_array_equal(decode(CODES, np.float32), upper_half(CODES))


@pytest.mark.parametrize("draw", [0, 1, 2**15, 2**16 - 1])
def test_every_number_of_the_format_stays_what_it_is(on: Any, draw: int) -> None:
    given = CODES[~np.isnan(upper_half(CODES)) | (CODES & 0x40 != 0)]  # encode makes quiet NaN alone
    given = given[at_hand(on, upper_half(given))]
    code = on.target.asarray(given)
    known = ~np.isnan(upper_half(given))

    def there_and_back(code: Any) -> tuple[Any, Any]:
        xp = array_namespace(code)
        x = decode(code, getattr(xp, on.dtype))
        return x, encode(x, xp.full_like(code, draw, dtype=xp.int32))

    x, again = map(on.numpy, on.run(there_and_back, code))
    assert x.dtype == on.dtype
    np.testing.assert_array_equal(x, upper_half(given).astype(on.dtype))
    assert again.dtype == np.int16
    np.testing.assert_array_equal(again[known], given[known])  # ±0 and ±∞ among them
    assert np.all(np.isnan(upper_half(again[~known])))


def test_every_nan_stays_one() -> None:
    words = np.array([0x7F800001, 0x7FFFFFFF, 0x7FC00000, 0xFF800001, 0xFFFFFFFF], dtype=np.uint32)
    for draw in (0, 1, 2**16 - 1):
        assert np.all(np.isnan(upper_half(encode(words.view(np.float32), np.full(5, draw, np.int32)))))


def at_hand(on: Any, x: np.ndarray) -> np.ndarray:
    """Which numbers can be tested: XLA makes 0 of those that are subnormal in float32 when it converts to float64."""
    return (np.abs(x) > 1.2e-38) | (x == 0) | np.isnan(x) if on.name == "jax-x64" else np.ones(x.shape, bool)


# Rounding


def test_a_number_goes_to_one_of_its_neighbours() -> None:
    x = numbers()
    low = upper_half(encode(x, np.zeros(x.shape, np.int32)))
    high = upper_half(encode(x, np.full(x.shape, 2**16 - 1, np.int32)))
    assert np.all(np.abs(low) <= np.abs(x))
    assert np.all(np.abs(x) <= np.abs(high))
    steps = encode(high, np.zeros(x.shape, np.int32)).astype(int) - encode(low, np.zeros(x.shape, np.int32)).astype(int)
    np.testing.assert_array_equal(steps, upper_half(encode(x, np.zeros(x.shape, np.int32))) != x)


@pytest.mark.parametrize("x", [x for x in numbers()[-12:] if abs(x) < 3e38] + [0.1, -7e-5, 123456.7])
def test_the_mean_over_all_draws_is_the_number_itself(x: float) -> None:
    x = float(np.float32(x))
    rounded = upper_half(encode(np.full(2**16, x, np.float32), EVERY)).astype(np.float64)
    assert np.sum(rounded) == x * 2**16  # sums of whole multiples of a power of 2: exact in float64


def test_the_draws_of_each_place_are_uniform_and_independent_over_the_steps() -> None:
    n, places = 4096, 8
    draws = np.stack([np.stack(noise(np.asarray(t, np.int32), (places,), s)) for s in (0, 2) for t in range(n)])
    draws = draws.reshape(2, n, 2, places).transpose(0, 2, 3, 1).reshape(-1, n)  # by stream, half and place: the steps
    assert draws.min() >= 0
    assert draws.max() < 2**16
    # A mean of n uniform numbers on [0, 1) is off by 1 / √(12 n); 5 of these in 32 rows happens once in 50,000.
    assert np.all(np.abs(draws.mean(axis=1) / 2**16 - 0.5) < 5 / np.sqrt(12 * n))
    counts = np.stack([np.bincount(row >> 12, minlength=16) for row in draws])
    chi2 = np.sum((counts - n / 16) ** 2 / (n / 16), axis=1)
    assert np.all(chi2 < 15 + 6 * np.sqrt(30))  # mean 15, variance 30
    halves = draws.reshape(2, 2, places, n)
    for first, second in ((halves[0, 0], halves[0, 1]), (halves[0, 0], halves[1, 0]), (draws[:, 1:], draws[:, :-1])):
        for a, b in zip(first, second, strict=True):
            assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(n)


def test_the_draws_of_one_step_fill_the_range() -> None:
    for half in noise(np.asarray(5, np.int32), (2**16,)):
        counts = np.bincount(half >> 8, minlength=256)
        assert abs(counts - 256).max() < 5 * 16  # better than by chance, √256 about the mean


def test_rounding_is_unbiased_over_the_steps() -> None:
    x, n = numbers(200)[:200], 2000
    total = np.zeros(x.shape)
    for t in range(n):
        total += upper_half(encode(x, noise(np.asarray(t, np.int32), x.shape)[0]))
    unit = np.abs(upper_half(encode(x, np.full(x.shape, 2**16 - 1, np.int32))) - upper_half(encode(x, 0 * EVERY[:200])))
    # One rounding is off by at most half a unit in the root of the mean square, at p = ½; 5 of these, as above.
    assert np.all(np.abs(total / n - x) <= 5 * unit.astype(np.float64) / 2 / np.sqrt(n))


def test_the_same_bits_on_every_device(on: Any) -> None:
    x = numbers()
    x = x[at_hand(on, x)]
    expected = [encode(x, half) for half in noise(np.asarray(7, np.int32), x.shape, 2)]

    def code(x: Any, t: Any) -> list[Any]:
        return [encode(x, half) for half in noise(t, x.shape, 2)]

    for found, right in zip(
        on.run(code, on.array(x), on.target.asarray(np.asarray(7, np.int32))), expected, strict=True
    ):
        np.testing.assert_array_equal(on.numpy(found), right)


def test_shapes_and_libraries_that_cannot_be() -> None:
    assert noise(np.asarray(1, np.int32), (2, 3))[0].shape == (2, 3)
    strict = pytest.importorskip("array_api_strict")
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(bfloat16._view_of, "array_api_strict", raising=False)
        with pytest.raises(TypeError, match=r"array_api_strict.*cannot be read: it has no method view; .*use_view"):
            decode(strict.asarray(CODES), strict.float32)


# Optimizers

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


@pytest.mark.parametrize("executor", ["ufuncs", "numba"])
def test_training_with_either_executor_keeps_its_plan(executor: str) -> None:
    if executor == "numba":
        pytest.importorskip("numba")
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
