"""One case: everyone is started, their losses are compared, and then they take turns."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import players
import problems
from remote import Gone, Remote

from dlarray.bench import Case, Problem, interleave, low

R = TypeVar("R", bound=Remote)
VARIANTS: dict[str, dict[str, Any]] = {
    "tanh": {"activation": "tanh"},
    "sigmoid": {"activation": "sigmoid"},
    "GELU": {"activation": "gelu"},
    "dropout": {"dropout": 0.1},
    "layer norm": {"norm": True},
    "float64": {"dtype": "float64"},
}
# How far losses may be apart, by what the loss was before the first step. Adam divides by sqrt(v) + ε; scikit-learn,
# Keras and thinc add ε before v is corrected instead of after it, and optax computes 1 - 0.999ᵗ in float32, of which 4
# digits remain. Over 50 steps that comes to 1e-3; without such differences (PyTorch) it is 1e-7 at M.
FLOOR = 5e-3
TIMES_ROUNDING = 8.0


@dataclass(frozen=True)
class Settings:
    """How long to measure and to check."""

    bursts: int = 30
    seconds: float = 0.1
    check: int = 50
    patience: float = 120.0


@contextmanager
def written(problem: Problem) -> Generator[Path]:
    """The problem in a file for all workers."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        problems.write(problem, path)
        yield path


@contextmanager
def started(
    wanted: Mapping[str, str], start: Callable[[str], R], title: str, tell: Callable[[str], None]
) -> Generator[tuple[dict[str, R], dict[str, str]]]:
    """Workers by name, and who is absent and why; at the end of the block all are closed, and who failed is absent."""
    absent: dict[str, str] = {}
    running: dict[str, R] = {}
    try:
        for name, place in wanted.items():
            tell(f"{title}: starting {name}")
            try:
                running[name] = start(place)
            except Gone as gone:
                absent[name] = str(gone)
        yield running, absent
    finally:
        for remote in running.values():
            remote.close()
        absent |= {name: remote.failure for name, remote in running.items() if remote.failure}


def measure(
    case: Case, ours: dict[str, str], rivals: dict[str, str], settings: Settings, tell: Callable[[str], None]
) -> dict[str, Any]:
    """The figures of one case: ratios to the limit first, then milliseconds, losses, and who is absent and why."""
    with written(Problem.of(case)) as path:

        def start(place: str) -> Remote:
            return Remote([place, str(path)], settings.patience)

        with started(ours | rivals, start, case.name, tell) as (running, absent):
            losses = compared(case, running, start, settings, tell)
            ready = {name: remote for name, remote in running.items() if not remote.failure}
            tell(f"{case.name}: measuring {', '.join(ready)}")
            means = interleave(ready, settings.bursts, settings.seconds)
    times = {name: low(values) for name, values in means.items() if name not in absent}
    return report(case, times, rivals, losses, absent)


def report(
    case: Case, times: dict[str, float], rivals: dict[str, str], losses: dict[str, Any], absent: dict[str, str]
) -> dict[str, Any]:
    """The figures as they go into the JSON file."""
    limit = times.pop("products")
    ratios = {name: t / limit for name, t in times.items()}
    return {
        "network": "-".join(map(str, case.widths)),
        "batch": case.batch,
        "limit_ms": 1e3 * limit,
        "limit_gflops": case.flops / limit / 1e9,
        **{name: ratio for name, ratio in ratios.items() if name not in rivals},
        "rivals": {name: ratio for name, ratio in ratios.items() if name in rivals},
        "milliseconds": {name: 1e3 * t for name, t in times.items()},
        "losses": losses,
        "absent": absent,
    }


def compared(
    case: Case,
    running: Mapping[str, Remote],
    start: Callable[[str], Remote],
    settings: Settings,
    tell: Callable[[str], None],
    reference: str = players.REFERENCE,
) -> dict[str, Any]:
    """Whether all took the same walk: their losses against those of dlarray's formulas, run plainly in float64.

    Two float32 programs that add in another order walk apart, slowly at first: a ReLU that one finds just above 0 and
    the other just below is enough. How far is seen from dlarray's own formulas in float32 and in float64; others may
    stray eight times as far. Where these formulas do not run, in bfloat16 on some devices, who strays least is the
    measure. Dropout draws masks of its own in each library, so there is nothing to compare.
    """
    if not settings.check or case.dropout or not running:
        return {}
    tell(f"{case.name}: comparing losses")
    try:
        exact = start(reference)
    except Gone as gone:
        return {"failed": str(gone)}
    expected = asked(exact, settings)
    exact.close()
    found = {name: asked(remote, settings) for name, remote in running.items() if "products" not in name}
    return against(expected, {name: v for name, v in found.items() if v})


def against(expected: list[float], found: Mapping[str, list[float]]) -> dict[str, Any]:
    """How far losses are from those expected, by the first of these, and whether that is allowed."""
    if not expected:
        return {"failed": "no losses in float64"}

    def apart(losses: list[float]) -> float:
        return max(abs(a - b) for a, b in zip(losses, expected, strict=False)) / expected[0]

    rounding = apart(found["eager"]) if "eager" in found else min(map(apart, found.values()), default=math.inf)
    allowed = max(FLOOR, TIMES_ROUNDING * rounding) if math.isfinite(rounding) else FLOOR
    figures = {
        name: {"steps": len(v), "last": v[-1], "apart": apart(v), "equal": apart(v) <= allowed}
        for name, v in found.items()
    }
    return {
        "expected_last": expected[-1],
        "first": expected[0],
        "steps": len(expected),
        "allowed": allowed,
        "rounding": rounding,
        "of": figures,
    }


def asked(remote: Remote, settings: Settings) -> list[float]:
    """The first losses; none where the worker is gone."""
    try:
        return remote.ask("losses", steps=settings.check, patience=settings.patience / 2)
    except Gone:
        return []
