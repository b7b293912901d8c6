"""Formulas in exact arithmetic by mpmath, the plain ones: its numbers have no largest and no smallest.

``python -m tests.support.exact`` writes the table of values that ``dlarray.testing`` ships.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np

import dlarray.testing
from dlarray.losses import (
    BinaryCrossEntropy,
    Focal,
    Gamma,
    Hinge,
    Huber,
    LogCosh,
    Loss,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    Pinball,
    Poisson,
    RootMeanSquaredError,
    SquaredHinge,
    Tweedie,
)

E = mp.exp
PATH = Path(dlarray.testing.__file__).with_name("exact.json")


def sigma(z: Any) -> Any:
    return 1 / (1 + E(-z))


def cdf(z: Any) -> Any:
    return mp.ncdf(z) if abs(z) < 1e5 else mp.mpf(z > 0)


def pdf(z: Any) -> Any:
    return mp.npdf(z) if abs(z) < 1e5 else mp.mpf(0)


def twice_u(z: Any) -> Any:
    return 2 * mp.sqrt(2 / mp.pi) * (z + mp.mpf(0.044715) * z**3)


def mish_slope(z: Any) -> Any:
    s = mp.log1p(E(z))
    return mp.tanh(s) + z * mp.sech(s) ** 2 * sigma(z) if z < 1e5 else mp.mpf(1)


ALPHA, SCALE = mp.mpf("1.6732632423543772848170429916717"), mp.mpf("1.0507009873554804934193349852946")
ACTIVATIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "Identity()": (lambda z: z, lambda z: mp.mpf(1)),
    "Sigmoid()": (sigma, lambda z: sigma(z) * sigma(-z)),
    "LogSigmoid()": (lambda z: -mp.log1p(E(-z)), lambda z: sigma(-z)),
    "Tanh()": (lambda z: mp.tanh(z) if abs(z) < 1e5 else mp.sign(z), lambda z: 4 * sigma(2 * z) * sigma(-2 * z)),
    "ReLU()": (lambda z: max(z, mp.mpf(0)), lambda z: mp.mpf(z > 0)),
    "LeakyReLU(slope=0.01)": (lambda z: max(z, z * mp.mpf(0.01)), lambda z: mp.mpf(1 if z > 0 else 0.01)),
    "ELU(alpha=1.0)": (lambda z: z if z > 0 else mp.expm1(z), lambda z: E(min(z, 0))),
    "SELU()": (
        lambda z: SCALE * (z if z > 0 else ALPHA * mp.expm1(z)),
        lambda z: SCALE * (1 if z > 0 else ALPHA * E(z)),
    ),
    "CELU(alpha=1.0)": (lambda z: z if z > 0 else mp.expm1(z), lambda z: E(min(z, 0))),
    "CELU(alpha=2.5)": (lambda z: z if z > 0 else 2.5 * mp.expm1(z / 2.5), lambda z: E(min(z, 0) / 2.5)),
    "GELU(approximate='none')": (lambda z: z * cdf(z), lambda z: cdf(z) + z * pdf(z)),
    "GELU(approximate='tanh')": (
        lambda z: z * sigma(twice_u(z)),
        lambda z: (
            sigma(twice_u(z))
            * (1 + z * sigma(-twice_u(z)) * 2 * mp.sqrt(2 / mp.pi) * (1 + 3 * mp.mpf(0.044715) * z * z))
        ),
    ),
    "Swish(beta=1.0, trainable=False)": (
        lambda z: z * sigma(z),
        lambda z: sigma(z) * (1 + z * sigma(-z)),
    ),
    "Mish()": (lambda z: z * (mp.tanh(mp.log1p(E(z))) if z < 1e5 else 1), mish_slope),
    "Softplus(beta=1.0)": (lambda z: mp.log1p(E(z)), sigma),
    "Softplus(beta=2.5)": (lambda z: mp.log1p(E(2.5 * z)) / 2.5, lambda z: sigma(2.5 * z)),
    "ReLU6()": (lambda z: min(max(z, mp.mpf(0)), 6), lambda z: mp.mpf(0 < z < 6)),
    "Threshold(threshold=1.0, value=0.0)": (lambda z: z if z > 1 else mp.mpf(0), lambda z: mp.mpf(z > 1)),
    "HardShrink(threshold=0.5)": (lambda z: z if abs(z) > 0.5 else mp.mpf(0), lambda z: mp.mpf(abs(z) > 0.5)),
    "SoftShrink(threshold=0.5)": (
        lambda z: mp.sign(z) * max(abs(z) - 0.5, mp.mpf(0)),
        lambda z: mp.mpf(abs(z) > 0.5),
    ),
    "Softsign()": (lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)) ** 2),
    "HardSigmoid()": (lambda z: min(max(z / 6 + 0.5, 0), 1), lambda z: mp.mpf(abs(z) < 3) / 6),
    "HardTanh(low=-1.0, high=1.0)": (lambda z: min(max(z, -1), 1), lambda z: mp.mpf(abs(z) < 1)),
    "HardSwish()": (
        lambda z: z * min(max(z / 6 + mp.mpf(0.5), 0), 1),
        lambda z: z / 3 + mp.mpf(0.5) if abs(z) < 3 else mp.mpf(z > 0),
    ),
}
"""Value and slope of each activation of numbers, by its repr."""


def softplus(z: Any) -> Any:
    return mp.log(1 + mp.exp(z))


def clip(d: Any, delta: Any) -> Any:
    return max(-delta, min(delta, d))


def focal(z: Any, t: Any) -> tuple[Any, Any]:
    s = z if t else -z
    p, miss, log_p = sigma(s), sigma(-s), -softplus(-s)
    return -(miss**2) * log_p, (1 if t else -1) * miss**2 * (2 * p * log_p - miss)


def tweedie(z: Any, t: Any) -> tuple[Any, Any]:
    up, down = mp.exp(z / 2), mp.exp(-z / 2)
    return 2 * up + 2 * t * down - 4 * mp.sqrt(t), up - t * down


LOSSES: list[tuple[Loss, list[float], Callable[[Any, Any], tuple[Any, Any]]]] = [
    (MeanSquaredError(reduction="none"), [0.0, 3.0], lambda z, t: ((z - t) ** 2, 2 * (z - t))),
    (MeanAbsoluteError(reduction="none"), [0.0, 3.0], lambda z, t: (abs(z - t), mp.sign(z - t))),
    (RootMeanSquaredError(), [0.0, 3.0], lambda z, t: (abs(z - t), mp.sign(z - t))),
    (
        Huber(0.5, reduction="none"),
        [0.0, 3.0],
        lambda z, t: (
            (z - t) ** 2 / 2 if abs(z - t) <= 0.5 else (abs(z - t) - mp.mpf(0.25)) / 2,
            clip(z - t, mp.mpf(0.5)),
        ),
    ),
    (LogCosh(reduction="none"), [0.0, 3.0], lambda z, t: (mp.log(mp.cosh(z - t)), mp.tanh(z - t))),
    (Poisson(reduction="none"), [0.0, 3.0], lambda z, t: (mp.exp(z) - t * z, mp.exp(z) - t)),
    (
        Pinball(0.75, reduction="none"),
        [0.0, 3.0],
        lambda z, t: (
            (z - t) / 4 if z > t else 3 * (t - z) / 4,
            (mp.sign(z - t) - mp.mpf(0.5) * abs(mp.sign(z - t))) / 2,
        ),
    ),
    (
        Gamma(reduction="none"),
        [3.0, 2.0**-17],
        lambda z, t: (t * mp.exp(-z) - 1 - mp.log(t) + z, 1 - t * mp.exp(-z)),
    ),
    (Tweedie(reduction="none"), [0.0, 3.0], tweedie),
    (
        MeanAbsolutePercentageError(reduction="none"),
        [-0.5, 3.0],
        lambda z, t: (abs((z - t) / t), mp.sign(z - t) / abs(t)),
    ),
    (
        MeanSquaredLogarithmicError(reduction="none"),
        [0.0, 3.0],
        lambda z, t: ((z - mp.log1p(t)) ** 2, 2 * (z - mp.log1p(t))),
    ),
    (
        BinaryCrossEntropy(reduction="none"),
        [0.0, 1.0, 0.25],
        lambda z, t: (t * softplus(-z) + (1 - t) * softplus(z), sigma(z) - t),
    ),
    (Focal(reduction="none"), [0.0, 1.0], focal),
    (
        Focal(gamma=0.0, reduction="none"),  # the binary cross-entropy
        [0.0, 1.0],
        lambda z, t: (softplus(-z if t else z), sigma(z) - t),
    ),
    (
        Hinge(reduction="none"),
        [-1.0, 1.0],
        lambda z, t: (max(mp.mpf(0), 1 - t * z), -t if t * z < 1 else mp.mpf(0)),
    ),
    (
        SquaredHinge(reduction="none"),
        [-1.0, 1.0],
        lambda z, t: (max(mp.mpf(0), 1 - t * z) ** 2, -2 * t * max(mp.mpf(0), 1 - t * z)),
    ),
]
"""A loss, the targets to try, and the formula of one term with its slope."""

FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "exp": mp.exp,
    "expm1": mp.expm1,
    "log": mp.log,
    "log1p": mp.log1p,
    "sinh": mp.sinh,
    "sqrt": mp.sqrt,
    "tanh": lambda x: mp.tanh(x) if abs(x) < 1e5 else mp.sign(x),
}
"""Functions of the array API."""

SPECIAL: dict[str, Callable[[Any], Any]] = {
    "erf": lambda x: mp.erf(x) if abs(x) < 1e5 else mp.sign(x),
    "erfc": lambda x: mp.erfc(x) if abs(x) < 1e5 else mp.mpf(1 - mp.sign(x)),
    "normal_cdf": cdf,
    "normal_pdf": pdf,
}
"""Functions of ``dlarray.core.special``."""


# The table. Its inputs are numbers of float32, so that both dtypes have them, and a few of float64 alone.

INF = float("inf")


def _f32(*values: float) -> list[float]:
    return [sign * float(np.float32(x)) for x in values for sign in (1, -1)]


INPUTS = [
    *(0.0, -0.0, INF, -INF),
    *_f32(
        1e-45, 1e-39, 2.0**-126, 1e-30, 1e-8, 0.01, 0.3, 0.7, 2.0, 5.0, 11.0, 18.0, 37.0, 88.0, 104.0, 745.0, 1e4, 1e30
    ),
    *(sign * x for x in (5e-324, 2.0**-1022, 1e-300, 1e300) for sign in (1, -1)),
]
OUTPUTS = [*_f32(1e-30, 1e-8, 0.4, 0.6, 40.0, 87.0, 745.0, 1e4, 1e30), 0.0, 1e-300, -1e-300, 1e300, -1e300]
"""Of a model, for losses."""
ROWS = [
    [0.0, *_f32(1e-30)[:1], *_f32(1e-8)[1:]],
    [745.0, -745.0, 700.0],
    [1e4, -1e4, 9990.0],
    [*_f32(1e30), 0.0],
    [1e300, -1e300, 0.0],
]
TARGET_ROWS = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.25, 0.25]]
_FAR = mp.mpf(10) ** 400
"""Stands for infinity."""
_STEP = mp.mpf(10) ** -30
"""A relative change that measures a derivative."""


def entry(f: Callable[..., Any], *args: float) -> tuple[float, float]:
    """f(*args) rounded to float64, and to what size its rounding is relative.

    That size is |f| + Σ |x ∂f/∂x|: what one rounding of each argument changes comes with any formula.
    """
    exact = [mp.sign(x) * _FAR if abs(x) == INF else mp.mpf(x) for x in args]
    value = mp.mpf(f(*exact))
    size = abs(value)
    for i, x in enumerate(exact):
        up, down = (mp.mpf(f(*exact[:i], x * (1 + side * _STEP), *exact[i + 1 :])) for side in (1, -1))
        size += abs(up - down) / (2 * _STEP)
    rounded = mp.sign(value) * INF if abs(value) >= _FAR / 10**9 else value
    return float(rounded), float(f"{float(size):.2e}")


def columns(f: Callable[..., Any], points: list[tuple[float, ...]]) -> dict[str, list[float]]:
    """The entries of a function at many points, as two lists."""
    found = [entry(f, *args) for args in points]
    return {"value": [value for value, _ in found], "size": [size for _, size in found]}


def of_function(name: str, f: Callable[[Any], Any]) -> dict[str, list[float]]:
    """The entries of a function of the array API; NaN outside its domain, and the standard's signs of zeros."""
    least = {"log": 0.0, "sqrt": 0.0, "log1p": -1.0}.get(name, -INF)
    poles = {"log": (0.0,), "log1p": (-1.0,)}.get(name, ())
    inside = [x for x in INPUTS if x >= least and x not in poles]
    found = dict(zip(map(repr, inside), [entry(f, x) for x in inside], strict=True))
    found |= {repr(x): (-INF, 0.0) for x in INPUTS if x in poles}
    found |= {"inf": (INF, INF)} if name in ("log", "log1p", "sqrt") else {}  # they grow too slowly
    odd = {repr(x): (x, 0.0) for x in (0.0, -0.0)} if name in ("expm1", "log1p", "sinh", "sqrt", "tanh") else {}
    found |= odd
    pairs = [found.get(repr(x), (float("nan"), 0.0)) for x in INPUTS]
    return {"value": [value for value, _ in pairs], "size": [size for _, size in pairs]}


def of_rows() -> dict[str, Any]:
    """Softmax and its logarithm, and the cross-entropy and divergence of rows."""
    found: dict[str, list[Any]] = {"softmax": [], "log_softmax": [], "cross_entropy": [], "kl": [], "slope": []}
    for row in ROWS:
        total = mp.fsum(E(mp.mpf(z) - max(row)) for z in row)
        log_q = [mp.mpf(z) - max(row) - mp.log(total) for z in row]
        found["softmax"].append([float(E(q)) for q in log_q])
        found["log_softmax"].append([float(q) for q in log_q])
        for t in TARGET_ROWS:
            pairs = [(p, q) for p, q in zip(t, log_q, strict=True) if p]
            found["cross_entropy"].append(float(-mp.fsum(p * q for p, q in pairs)))
            found["kl"].append(float(mp.fsum(p * (mp.log(p) - q) for p, q in pairs)))
            found["slope"].append([float(E(q) - p) for p, q in zip(t, log_q, strict=True)])
    return {"rows": ROWS, "targets": TARGET_ROWS} | found


def table() -> dict[str, Any]:
    """All values, computed with 120 digits and rounded to float64."""
    inputs = [(x,) for x in INPUTS]
    with mp.workdps(120):
        return {
            "inputs": INPUTS,
            "functions": {name: of_function(name, f) for name, f in FUNCTIONS.items()},
            "special": {name: columns(f, inputs) for name, f in SPECIAL.items()},
            "activations": {
                name: {"forward": columns(f, inputs), "backward": columns(slope, inputs)}
                for name, (f, slope) in ACTIVATIONS.items()
            },
            "outputs": OUTPUTS,
            "losses": {
                repr(loss): {
                    "targets": targets,
                    "value": columns(lambda z, t, f=f: f(z, t)[0], [(z, t) for t in targets for z in OUTPUTS]),
                    "gradient": columns(lambda z, t, f=f: f(z, t)[1], [(z, t) for t in targets for z in OUTPUTS]),
                }
                for loss, targets, f in LOSSES
                if loss.additive
            },
            "rows": of_rows(),
        }


def text() -> str:
    """The table as JSON, a line for each list."""
    lines = json.dumps(table(), indent=1, ensure_ascii=False)
    return re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + " ".join(m[1].split()) + "]", lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(text(), encoding="utf-8")
