"""One case in one precision: everyone is started, held against float64, and then they take turns."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import players
import roofline
import steps
from remote import Gone, Remote
from setting import ROUNDING, Setting

from dlarray.bench import Case, Problem, interleave

FAR, NEAR = 64.0, 1 / 64
"""A gradient's error in roundoffs of its precision that sums explain; what lies below was not computed in it.

On a CPU dlarray's own is off by 2 to 5 roundoffs in float32 and 1.5 to 19 in bfloat16, S to XL.
"""


@dataclass(frozen=True)
class Settings(steps.Settings):
    """Rounds of each player, and the least steps of one."""

    bursts: int = 7
    seconds: float = 0.2
    check: int = 200
    patience: float = 600.0
    least: int = 200


class TimedRemote(Remote):
    """A worker whose steps are timed by the wall and by the device."""

    def __init__(self, place: str, path: Path, setting: Setting, patience: float) -> None:
        self.bursts: list[dict[str, Any]] = []
        super().__init__([place, str(path), setting.written()], patience, variables=setting.variables())

    def run(self, steps: int) -> float:
        try:
            self.bursts.append(self.ask("timed", steps=steps) | {"steps": steps})
        except Gone:
            return math.inf
        return self.bursts[-1]["wall"] * steps

    def figures(self, rounds: int) -> dict[str, Any]:
        """Microseconds of a step in the last rounds."""
        last = self.bursts[-rounds:]
        return {"steps": last[-1]["steps"], **spread([b["wall"] for b in last], [b["device"] for b in last])}


def spread(wall: Sequence[float], device: Sequence[float | None]) -> dict[str, Any]:
    """Median, least and most of the rounds' means by the wall, and the median by the device, in microseconds."""
    events = [seconds for seconds in device if seconds is not None]
    return {
        "median": 1e6 * median(wall),
        "least": 1e6 * min(wall),
        "most": 1e6 * max(wall),
        "device": 1e6 * median(events) if events else None,
        "rounds": len(wall),
    }


def measure(
    case: Case,
    setting: Setting,
    ours: dict[str, str],
    rivals: dict[str, str],
    settings: Settings,
    peaks: dict[str, Any],
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The figures of one case: microseconds, first calls, losses, gradients, the floor, and who is absent and why."""
    title = f"{case.name} {setting.precision}"
    with steps.written(Problem.of(case)) as path:

        def start(place: str) -> TimedRemote:
            return TimedRemote(place, path, setting, settings.patience)

        with steps.started(ours | rivals, start, title, tell) as (running, absent):
            first = {name: asked(remote, "first") for name, remote in running.items()}
            gradients = against_float64(running, start, path, setting, title, tell)
            losses = steps.compared(case, running, start, settings, tell, players.REFERENCE_OF_A_CARD)
            about = {name: asked(remote, "about") for name, remote in running.items()}
            ready = {name: remote for name, remote in running.items() if not remote.failure}
            tell(f"{title}: measuring {', '.join(ready)}")
            interleave(ready, settings.bursts, settings.seconds, settings.least)
    done = {name: remote for name, remote in ready.items() if not remote.failure}
    return {
        "network": "-".join(map(str, case.widths)),
        "batch": case.batch,
        "flops": case.flops,
        "floor": floor_of(case, setting, peaks),
        "microseconds": {name: remote.figures(settings.bursts) for name, remote in done.items()},
        "first_seconds": {name: seconds for name, seconds in first.items() if seconds},
        "gradients": gradients,
        "losses": losses,
        "about": {name: words for name, words in about.items() if words},
        "ours": [name for name in done if name in ours],
        "absent": absent,
    }


def floor_of(case: Case, setting: Setting, peaks: dict[str, Any]) -> float | None:
    """The roofline in microseconds; None where the rates were not measured."""
    if not (peaks.get("rate") and peaks.get("bandwidth")):
        return None
    return 1e6 * roofline.floor(case, setting.itemsize, peaks["rate"], peaks["bandwidth"])


def asked(remote: Remote, do: str, **order: Any) -> Any:
    """The answer; None where there is none."""
    try:
        return remote.ask(do, **order)
    except Gone:
        return None


def against_float64(
    running: dict[str, TimedRemote],
    start: Callable[[str], TimedRemote],
    path: Path,
    setting: Setting,
    title: str,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """The relative error of each one's first gradient, in roundoffs of the precision too, and what that says."""
    if not running:
        return {}
    tell(f"{title}: comparing gradients")
    exact = path.with_name("gradient.npz")
    try:
        reference = start(players.REFERENCE_OF_A_CARD)
        reference.ask("write_gradient", path=str(exact))
    except Gone as gone:
        return {"failed": str(gone)}
    reference.close()
    found: dict[str, Any] = {}
    for name, remote in running.items():
        error = asked(remote, "gradient_error", path=str(exact))
        if error is not None:
            found[name] = {"error": error, **judged(error, setting.precision)}
    return {"of": found}


def judged(error: float, precision: str) -> dict[str, Any]:
    """The error in roundoffs of a precision, and whether it is that precision's."""
    roundoffs = error / ROUNDING[precision]
    word = "as its precision" if NEAR <= roundoffs <= FAR else "worse than its precision" if roundoffs > FAR else ""
    return {"roundoffs": roundoffs, "is": word or "better than its precision: its products were not in it"}


def peaks(
    setting: Setting, settings: Settings, rounds: int, libraries: Collection[str], tell: Callable[[str], None]
) -> dict[str, Any]:
    """The rate of a large product in operations a second, and the bandwidth of a copy in bytes a second.

    Of the libraries, "dlarray" (CuPy, or NumPy) and "PyTorch", the best.
    """
    found: dict[str, Any] = {"of": {}, "absent": {}, "large": setting.large}
    with steps.written(Problem.of(Case("none", (1, 1), 1))) as path:
        for kind, places in players.ROOFLINE.items():
            amount = {"rate": 2 * setting.large**3, "bandwidth": 8 * setting.large**2}[kind]
            for name, place in places.items():
                if name not in libraries:
                    continue
                tell(f"{setting.precision}: {kind} by {name}")
                try:
                    remote = TimedRemote(place, path, setting, settings.patience)
                    seconds = min(remote.ask("timed", steps=10)["wall"] for _ in range(rounds))
                    found["of"][f"{kind} by {name}"] = amount / seconds
                    found[kind] = max(found.get(kind, 0.0), amount / seconds)
                    remote.close()
                except Gone as gone:
                    found["absent"][f"{kind} by {name}"] = str(gone)
    return found
