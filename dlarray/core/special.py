"""Functions that several formulas need and the standard does not have: erf, erfc, Φ, φ, and exp as a ratio.

No function branches on values: both sides of each ``where`` are finite for any argument. Relative errors, compared
with 60 digits, are below 3.5 times the dtype's epsilon in float64 and in float32 (99 of 100 are below 2), also in the
far tail, as long as the value is a normal number.
"""

from __future__ import annotations

from collections.abc import Callable
from math import factorial, pi, sqrt

from dlarray.core.array import Array, array_namespace, clip
from dlarray.core.libraries import library_of

__all__ = ["erf", "erfc", "exp_ratio", "normal_cdf", "normal_pdf"]


def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ exp(-t²) dt: its power series below ½, 1 - erfc above."""
    xp = array_namespace(x)
    a = xp.abs(x)
    small = clip(x, -0.5, 0.5)
    series = _polynomial(small * small, _SERIES)
    series *= small
    return xp.where(a < 0.5, series, xp.sign(x) * (1 - erfc(a)))


def erfc(x: Array) -> Array:
    """1 - erf x, without its cancellation for large x; the library's own where its backend has one."""
    if (own := _own_erfc(x)) is not None:
        return own(x)
    xp = array_namespace(x)
    a = xp.minimum(xp.abs(x), 30.0)  # erfc 30 is below the smallest float64
    tail = _scaled_erfc(a)
    tail *= _exp_minus_square(a, 1.0)
    return xp.where(x < 0, 2 - tail, tail)


def normal_cdf(x: Array) -> Array:
    """Φ(x) = erfc(-x/√2) / 2, the probability of less than x under the standard normal distribution.

    The exponential is computed from x, not from x/√2: rounding x/√2 would cause an error of x² epsilons in the left
    tail. With the erfc of a library this error remains: a relative error of 1e-13 at Φ(-30) = 5e-198.
    """
    if (own := _own_erfc(x)) is not None:
        return 0.5 * own(x * -sqrt(0.5))
    xp = array_namespace(x)
    a = xp.minimum(xp.abs(x), 40.0)
    tail = _scaled_erfc(a * sqrt(0.5))
    tail *= 0.5 * _exp_minus_square(a, 0.5)
    return xp.where(x < 0, tail, 1 - tail)


def normal_pdf(x: Array) -> Array:
    """φ(x) = exp(-x²/2) / √(2π), the derivative of Φ."""
    xp = array_namespace(x)
    return _exp_minus_square(xp.minimum(xp.abs(x), 40.0), 0.5) / sqrt(2 * pi)


def exp_ratio(x: Array) -> tuple[Array, Array]:
    """p and q with exp x = p / q. One of them is 1 and the other exp(-|x|), so neither overflows."""
    xp = array_namespace(x)
    return xp.exp(xp.minimum(x, 0.0)), xp.exp(-xp.maximum(x, 0.0))


def _own_erfc(x: Array) -> Callable[[Array], Array] | None:
    library = library_of(x)
    return None if library is None else library.erfc()


def _exp_minus_square(a: Array, factor: float) -> Array:
    """exp(-factor a²) for 0 <= a <= 40 and factor 1 or ½, accurate in all digits.

    The rounding of a² would become a relative error of a² epsilons. So a is split: h is a rounded down to sixteenths,
    its square is exact, and the rest, a² - h² = (a - h)(a + h), is small (Cody 1969).
    """
    xp = array_namespace(a)
    h = xp.floor(a * 16)
    h *= 1 / 16
    y = xp.exp(-factor * (h * h))
    y *= xp.exp(-factor * ((a - h) * (a + h)))
    return y


def _scaled_erfc(a: Array) -> Array:
    """exp(a²) erfc a for a >= 0.

    (1 + 2a) exp(a²) erfc a is a polynomial in t = (a - K) / (a + K), within 1.2e-16 over the whole range, after
    M. M. Shepherd and J. G. Laframboise, Mathematics of Computation 36 (1981), pages 249-253. It is written as
    1 + (1 + t) q(t), which is exactly 1 at a = 0.
    """
    t = (a - _K) / (a + _K)
    y = _polynomial(t, _SHEPHERD_LAFRAMBOISE)
    y *= 1 + t
    y += 1
    y /= 1 + 2 * a
    return y


def _polynomial(x: Array, coefficients: tuple[float, ...]) -> Array:
    """Horner's rule; the coefficients are those of x^n, x^(n-1), …, 1."""
    y = x * coefficients[0]
    y += coefficients[1]
    for c in coefficients[2:]:
        y *= x
        y += c
    return y


_SERIES = tuple(2 / sqrt(pi) * (-1) ** n / (factorial(n) * (2 * n + 1)) for n in reversed(range(13)))

_K = 3.75

# q(t): Chebyshev interpolation at 80 points with 60 digits, truncated after degree 21 and written in powers.
_SHEPHERD_LAFRAMBOISE = (
    -2.6185928362567244e-09,
    6.90237890121153e-10,
    3.1264199016724753e-08,
    -1.2613975732029975e-08,
    -2.3589831594980988e-07,
    1.8537001202569968e-07,
    1.5565330015779738e-06,
    -2.5361939388021756e-06,
    -8.901788140362377e-06,
    3.128966141764077e-05,
    2.035683301924755e-05,
    -0.0003105123354166778,
    0.0006042267255976904,
    0.0011513994854133523,
    -0.010897979171279198,
    0.03926025653497552,
    -0.09795365511129979,
    0.19025797627643062,
    -0.2990619064188961,
    0.3813386449088518,
    -0.37775322942337225,
    0.23751263083782753,
)
