"""bfloat16 and rounding to it at random, on every device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dlarray.core import bfloat16
from dlarray.core.array import array_namespace
from dlarray.core.bfloat16 import decode, encode, noise

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


def upper_code(x: np.ndarray) -> np.ndarray:
    """The int16 with the upper bits of float32 numbers."""
    return (x.view(np.uint32) >> np.uint32(16)).astype(np.uint16).view(np.int16)


def converted(on: Any, x: np.ndarray) -> np.ndarray:
    """float32 as it is after a conversion to or from the device's type.

    CuPy compiles with -ftz=true: its kernels read and write subnormal float32 as ±0. Without a conversion bits stay.
    """
    flushes = on.device.startswith("cuda") and on.dtype == "float64"
    return np.where(np.abs(x) < np.finfo(np.float32).tiny, np.copysign(np.float32(0), x), x) if flushes else x


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


# A compiler can leave out a conversion there and back, and with it the flush of subnormal numbers.
@pytest.mark.filterwarnings("ignore:the step runs eagerly.*output 1 of 2.*differs:dlarray.planner.PlannerWarning")
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
    expected = converted(on, upper_half(given))
    np.testing.assert_array_equal(x, expected.astype(on.dtype))
    assert again.dtype == np.int16
    changed = known & (again != given)  # ±0 and ±∞ among those that are not
    np.testing.assert_array_equal(again[changed], upper_code(expected)[changed])
    assert np.all(np.isnan(upper_half(again[~known])))


def test_every_nan_stays_one() -> None:
    words = np.array([0x7F800001, 0x7FFFFFFF, 0x7FC00000, 0xFF800001, 0xFFFFFFFF], dtype=np.uint32)
    for draw in (0, 1, 2**16 - 1):
        assert np.all(np.isnan(upper_half(encode(words.view(np.float32), np.full(5, draw, np.int32)))))


def at_hand(on: Any, x: np.ndarray) -> np.ndarray:
    """Which numbers can be tested: XLA and CuPy make 0 of those that are subnormal in float32 on the way to float64."""
    flushes = on.name == "jax-x64" or (on.device.startswith("cuda") and on.dtype == "float64")
    return (np.abs(x) > 1.2e-38) | (x == 0) | np.isnan(x) if flushes else np.ones(x.shape, bool)


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
    expected = [encode(converted(on, x), half) for half in noise(np.asarray(7, np.int32), x.shape, 2)]

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
        patch.setattr(bfloat16, "library_of", lambda x: None)
        with pytest.raises(TypeError, match=r"array_api_strict.*cannot be read: it has no method view, and no backend"):
            decode(strict.asarray(CODES), strict.float32)
