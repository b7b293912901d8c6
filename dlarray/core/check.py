"""Checks of arguments. Each message names the argument, what was expected and what was given.

Those of numbers raise TypeError for a value of another type and ValueError for a number out of range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real

__all__ = [
    "at_least_one",
    "count",
    "did_you_mean",
    "finite",
    "fraction",
    "non_negative",
    "one_of",
    "plain_numbers",
    "positive",
    "real",
    "whole",
]


def real(name: str, value: object) -> float:
    """``value`` as a float, which may be infinite or NaN."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float holds, got {value!r}") from None


def finite(name: str, value: object) -> float:
    """``value`` as a float, neither infinite nor NaN."""
    number = real(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def positive(name: str, value: object) -> float:
    """``value`` as a float above 0."""
    if (number := finite(name, value)) <= 0:
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return number


def non_negative(name: str, value: object) -> float:
    """``value`` as a float of at least 0."""
    if (number := finite(name, value)) < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """``value`` as a float in [0, 1), such as a dropout rate or a decay."""
    if not 0 <= (number := finite(name, value)) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return number


def at_least_one(name: str, value: object) -> int:
    """``value`` as an int of at least 1."""
    return whole(name, value, 1)


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """``value`` as an int of at least ``least`` and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if (number := int(value)) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")
    return number


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """``value``, one of the words in ``choices``. The error of another value suggests the closest word."""
    words = list(choices)
    if value not in words:
        raise ValueError(f"unknown {name} {value!r}{did_you_mean(value, words)}; choose from {', '.join(words)}")
    return str(value)


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """The text ", did you mean 'relu'?" if a choice is close to ``value``, else an empty text."""
    near = get_close_matches(str(value).lower(), list(choices), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def plain_numbers(config: object) -> None:
    """Convert the numbers in a frozen dataclass to Python's: a NumPy float64 would promote a float32 array."""
    for name, value in vars(config).items():
        if not isinstance(value, bool) and isinstance(value, (Integral, Real)):
            object.__setattr__(config, name, int(value) if isinstance(value, Integral) else float(value))


def count(n: int, thing: str = "value") -> str:
    """A number of things in words: "1 value", "2,000 values"."""
    return f"{n:,} {thing}{'' if n == 1 else 's'}"
