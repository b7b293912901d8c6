"""One case: all contenders are started, their numbers are compared with float64, and then they take turns."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from contenders import OWN, REFERENCE, family
from dlarray.bench import CASES, Case, interleave, low, write
from environment import log
from remote import Remote, WorkerError
from setting import ROUNDING, Setting

LARGE = {"XL 8192": Case("XL 8192", CASES["XL"].widths, 8192)}
"""A case for GPUs, beside those of ``dlarray bench``."""
# How far losses may be apart, by what the loss was before the first step. Adam divides by sqrt(v) + ε; scikit-learn,
# Keras and thinc add ε before v is corrected instead of after it, and optax computes 1 - 0.999ᵗ in float32, of which 4
# digits remain. Over 50 steps that comes to 1e-3; without such differences (PyTorch) it is 1e-7 at M.
LEAST_ALLOWED = 5e-3
TIMES_ROUNDING = 8.0
FAR, NEAR = 64.0, 1 / 64
"""A gradient's error in roundoffs of its precision that sums explain; what lies below was not computed in it.

On a CPU dlarray's own is off by 2 to 5 roundoffs in float32 and 1.5 to 19 in bfloat16, S to XL.
"""


@dataclass(frozen=True)
class Settings:
    """How long to measure and to check."""

    bursts: int = 30
    """Turns of each contender."""
    seconds: float = 0.1
    """Of one turn."""
    check: int = 50
    """Steps whose losses are compared; 0 compares nothing."""
    patience: float = 120.0
    """Seconds that a contender may be silent."""
    least: int = 1
    """Steps of a turn at least."""


@dataclass(frozen=True)
class Outcome:
    """What was found of a case, by the names of contenders."""

    case: Case
    bursts: dict[str, list[dict[str, Any]]]
    """Of each turn the seconds of a step by the wall and by the device, and the number of steps."""
    first: dict[str, dict[str, float]]
    """Seconds to make the contender, and of its first three calls."""
    gradients: dict[str, Any]
    losses: dict[str, Any]
    about: dict[str, Any]
    absent: dict[str, str]
    """What could not be measured, and why."""

    def described(self, **values: Any) -> dict[str, Any]:
        """The case with its measured values, then what was checked and what is absent: an entry of a file."""
        network = {"network": "-".join(map(str, self.case.widths)), "batch": self.case.batch}
        checked = {"first_seconds": self.first, "gradients": self.gradients, "losses": self.losses}
        return network | values | checked | {"about": self.about, "absent": self.absent}

    def in_products(self) -> dict[str, Any]:
        """The 10th percentile of the turns in milliseconds, and in multiples of the products'.

        ``raw_ms`` is the limit, the time of the raw products; ``native`` is the step with the extra ``fast`` divided by
        it. ``limit_ms`` is the time of ``numpy.matmul``; ``fast`` and all ``ratios`` are divided by that, as in files
        from before the raw products were measured.
        """
        times = {name: low([burst["wall"] for burst in bursts]) for name, bursts in self.bursts.items()}
        limit, raw = times.pop("matmul products"), times.pop("raw products")
        fast = {"native": times["fast"] / raw, "fast": times["fast"] / limit} if "fast" in times else {}
        return self.described(
            limit_ms=1e3 * limit,
            limit_gflops=self.case.flops / limit / 1e9,
            raw_ms=1e3 * raw,
            raw_gflops=self.case.flops / raw / 1e9,
            **fast,
            ratios={name: t / limit for name, t in times.items()},
            milliseconds={name: 1e3 * t for name, t in times.items()},
        )

    def in_microseconds(self, floor: float | None) -> dict[str, Any]:
        """Median, least and most of the turns, beside the floor."""
        return self.described(
            flops=self.case.flops,
            floor=floor,
            microseconds={name: {"steps": b[-1]["steps"], **spread(b)} for name, b in self.bursts.items()},
            ours=[name for name in self.bursts if family(name) in OWN],
        )


def spread(bursts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Median, least and most of the turns' means by the wall, and the median by the device, in microseconds."""
    wall = [burst["wall"] for burst in bursts]
    events = [burst["device"] for burst in bursts if burst["device"] is not None]
    return {
        "median": 1e6 * median(wall),
        "least": 1e6 * min(wall),
        "most": 1e6 * max(wall),
        "device": 1e6 * median(events) if events else None,
        "rounds": len(wall),
    }


def chosen_cases(text: str) -> list[Case]:
    """The cases by name; SystemExit for one that does not exist."""
    names = [name for name in map(str.strip, text.split(",")) if name not in ("", "none")]
    try:
        return [LARGE.get(name) or Case.named(name) for name in names]
    except ValueError as error:
        raise SystemExit(f"error: {error}") from None


@contextmanager
def started(
    wanted: Mapping[str, str], case: Case, setting: Setting, patience: float, title: str
) -> Generator[tuple[dict[str, Remote], dict[str, str]]]:
    """Workers by name, and what is absent and why; at the end all are closed, and those that failed are absent."""
    absent: dict[str, str] = {}
    running: dict[str, Remote] = {}
    try:
        for name, factory in wanted.items():
            log(f"{title}: starting {name}")
            try:
                running[name] = Remote(factory, case, setting, patience)
            except WorkerError as error:
                absent[name] = str(error)
        yield running, absent
    finally:
        for remote in running.values():
            remote.close()
        absent |= {name: remote.failure for name, remote in running.items() if remote.failure}


def in_turns(running: Mapping[str, Remote], settings: Settings, title: str) -> dict[str, list[dict[str, Any]]]:
    """The turns of those workers that did all of them."""
    ready = {name: remote for name, remote in running.items() if not remote.failure}
    log(f"{title}: measuring {', '.join(ready)}")
    interleave(ready, settings.bursts, settings.seconds, settings.least)
    return {name: remote.bursts[-settings.bursts :] for name, remote in ready.items() if not remote.failure}


def measure(case: Case, setting: Setting, wanted: Mapping[str, str], settings: Settings, title: str) -> Outcome:
    """Measure a case: ``wanted`` gives the factory of each contender."""
    with started(wanted, case, setting, settings.patience, title) as (running, absent):
        first = {name: {"made": remote.made, "first": remote.get("first_calls")} for name, remote in running.items()}
        gradients, losses = compared(running, case, setting, settings, title)
        about = {name: remote.get("about") for name, remote in running.items()}
        bursts = in_turns(running, settings, title)
    return Outcome(
        case,
        bursts,
        {name: seconds for name, seconds in first.items() if seconds["first"] is not None},
        gradients,
        losses,
        {name: words for name, words in about.items() if words},
        absent,
    )


def compared(
    running: Mapping[str, Remote], case: Case, setting: Setting, settings: Settings, title: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The first gradients and the first losses against those of dlarray's formulas, run eagerly in float64.

    Two float32 programs that add in another order drift apart, slowly at first: a ReLU that one finds just above 0 and
    the other just below is enough. How far is seen from dlarray's own formulas in float32 and in float64; others may
    be eight times as far off. Where these formulas do not run, in bfloat16 on some devices, the smallest difference is
    the measure. With dropout each library draws its own masks, so there is nothing to compare; with norms only the
    losses are compared.
    """
    if not settings.check or case.dropout or not running:
        return {}, {}
    log(f"{title}: comparing gradients and losses with float64")
    try:
        exact = Remote(REFERENCE, case, setting, settings.patience)
    except WorkerError as error:
        return {"failed": str(error)}, {"failed": str(error)}
    gradients: dict[str, Any] = {}
    if not case.norm:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder) / "gradient.npz")
            exact.get("write_gradient", path=path)
            errors = {name: remote.get("gradient_error", path=path) for name, remote in running.items()}
        precision = "float64" if case.dtype == "float64" else setting.precision
        of = {name: {"error": e, **judged(e, precision)} for name, e in errors.items() if e is not None}
        gradients = {"failed": exact.failure} if exact.failure else {"of": of}
    order = {"steps": settings.check, "patience": settings.patience / 2}
    expected = exact.get("losses", **order)
    exact.close()
    found = {name: remote.get("losses", **order) for name, remote in running.items() if "products" not in name}
    return gradients, against(expected, {name: losses for name, losses in found.items() if losses})


def judged(error: float, precision: str) -> dict[str, Any]:
    """The error in roundoffs of a precision, and whether it is that precision's."""
    roundoffs = error / ROUNDING[precision]
    if roundoffs > FAR:
        return {"roundoffs": roundoffs, "is": "worse than its precision"}
    if roundoffs < NEAR and precision != "float64":  # which is what it is compared with
        return {"roundoffs": roundoffs, "is": "better than its precision: its products were not in it"}
    return {"roundoffs": roundoffs, "is": "as its precision"}


def against(expected: Sequence[float] | None, found: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """How far losses are from those expected, by the first of these, and whether that is allowed."""
    if not expected:
        return {"failed": "no losses in float64"}

    def apart(losses: Sequence[float]) -> float:
        return max(abs(a - b) for a, b in zip(losses, expected, strict=False)) / expected[0]

    rounding = apart(found["eager"]) if "eager" in found else min(map(apart, found.values()), default=math.inf)
    allowed = max(LEAST_ALLOWED, TIMES_ROUNDING * rounding) if math.isfinite(rounding) else LEAST_ALLOWED
    return {
        "expected_last": expected[-1],
        "first": expected[0],
        "steps": len(expected),
        "allowed": allowed,
        "rounding": rounding,
        "of": {
            name: {"steps": len(losses), "last": losses[-1], "apart": apart(losses), "equal": apart(losses) <= allowed}
            for name, losses in found.items()
        },
    }


def keep(result: dict[str, Any], path: Path | None) -> None:
    """Write what has been measured so far, if to a file."""
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(result, path)
