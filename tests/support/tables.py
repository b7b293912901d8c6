"""Tables for tests, and the warnings of a call."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SETTINGS: dict[str, Any] = {"hidden": (4,), "epochs": 1, "progress": False}
"""Arguments of a short training."""


def mixed_frame(n: int = 300) -> Any:
    """Numbers, text and booleans, some with missing values."""
    import polars as pl

    rng = np.random.default_rng(5)

    def with_gaps(values: list[Any], share: float = 0.1) -> list[Any]:
        return [None if rng.random() < share else v for v in values]

    return pl.DataFrame(
        {
            "whole": [float(v) for v in rng.normal(50, 9, n)],
            "gaps": with_gaps([float(v) for v in rng.lognormal(0, 1, n)]),
            "count": [int(v) for v in rng.integers(0, 5, n)],
            "colour": with_gaps(list(rng.choice(["red", "blue", "green", "sea blue"], n))),
            "size": list(rng.choice(["s", "m", "l"], n)),
            "many": [f"c{min(9, int(v))}" for v in rng.exponential(2.5, n)],
            "flag": with_gaps([bool(v) for v in rng.random(n) < 0.3]),
        }
    )


def written(path: Path, columns: dict[str, list[str]], separator: str = ",") -> Path:
    """A CSV file, with each value in quotes, so it can be any text."""
    lines = [separator.join(f'"{cell}"' for cell in row) for row in zip(*columns.values(), strict=True)]
    path.write_text("\n".join([separator.join(columns), *lines]) + "\n", encoding="utf-8")
    return path


def with_warnings(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """What a call returns, and the messages of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call()
    return result, [str(w.message) for w in caught]


def messages(call: Callable[[], Any]) -> list[str]:
    """The messages of the warnings of a call, sorted and without duplicates."""
    return sorted(set(with_warnings(call)[1]))
