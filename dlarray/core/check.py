"""Checks of configuration: each names what was given, what was expected and, where there is one, the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real

__all__ = [
    "at_least_one",
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
    """``value`` as a float, infinities and NaN included; TypeError where it is not a real number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, got {value!r}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} must be a number that a float holds, got {value!r}") from None


def finite(name: str, value: object) -> float:
    """``value`` as a float; TypeError where it is not a real number, ValueError where it is infinite or NaN."""
    number = real(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, got {value!r}")
    return number


def positive(name: str, value: object) -> float:
    """``value``, where it is a real number above 0."""
    if (number := finite(name, value)) <= 0:
        raise ValueError(f"{name} must be above 0, got {value!r}")
    return number


def non_negative(name: str, value: object) -> float:
    """``value``, where it is a real number of at least 0."""
    if (number := finite(name, value)) < 0:
        raise ValueError(f"{name} must be at least 0, got {value!r}")
    return number


def fraction(name: str, value: object) -> float:
    """``value``, where it lies in [0, 1): a probability that is never certain, a decay that never keeps everything."""
    if not 0 <= (number := finite(name, value)) < 1:
        raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
    return number


def at_least_one(name: str, value: object) -> int:
    """``value``, where it is a whole number of at least 1."""
    return whole(name, value, 1)


def whole(name: str, value: object, least: int = 0, most: int | None = None) -> int:
    """``value``, where it is a whole number of at least ``least`` and at most ``most``."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}")
    if (number := int(value)) < least:
        raise ValueError(f"{name} must be at least {least}, got {value!r}")
    if most is not None and number > most:
        raise ValueError(f"{name} must be at most {most}, got {value!r}")
    return number


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """``value``, where it is one of the words in ``choices``; else ValueError with the nearest of them."""
    words = list(choices)
    if value not in words:
        raise ValueError(f"unknown {name} {value!r}{did_you_mean(value, words)}; choose from {', '.join(words)}")
    return str(value)


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """The words "did you mean 'relu'?" for one that is nearly among the choices, else nothing."""
    near = get_close_matches(str(value).lower(), list(choices), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""


def plain_numbers(config: object) -> None:
    """Make a frozen dataclass's numbers Python's own: they are weak, a NumPy float64 would promote a float32 array."""
    for name, value in vars(config).items():
        if not isinstance(value, bool) and isinstance(value, (Integral, Real)):
            object.__setattr__(config, name, int(value) if isinstance(value, Integral) else float(value))
