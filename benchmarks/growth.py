"""How time and memory grow with width, depth, batch and the number of parameters, and how long the start takes.

Each point is measured in a process of its own (``python growth.py WIDTHS BATCH SECONDS``), ours and the products in
turns, and is left out, with the reason, where it would take too much time or memory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from environment import log

SLOW = 3e10
"""Floating-point operations a second that two cores surely reach: what a point may take is reckoned with it."""


def parameters(widths: Sequence[int]) -> int:
    """Weights and biases."""
    return sum((n + 1) * m for n, m in pairwise(widths))


def planned_bytes(widths: Sequence[int], batch: int) -> int:
    """What a step needs at least, in float32: θ, its gradient, Adam's two moments; inputs and saved activations."""
    return 4 * (4 * parameters(widths) + batch * sum(widths))


def points() -> dict[str, dict[int, tuple[list[int], int]]]:
    """Widths and batch by what grows: one thing at a time, from M's 784 inputs, 256 units, batch of 128."""

    def hidden(n: int) -> int:
        """The width w at which a network 64-w-w-10 has about n parameters: n = w² + 76 w."""
        return round((38**2 + n) ** 0.5 - 38)

    return {
        "width": {w: ([784, w, w, 10], 128) for w in (2**k for k in range(6, 14))},
        "depth": {d: ([784, *[256] * d, 10], 128) for d in (2**k for k in range(7))},
        "batch": {b: ([784, 256, 128, 10], b) for b in (4**k for k in range(9))},
        "parameters": {n: ([64, hidden(n), hidden(n), 10], 128) for n in (10**k for k in range(3, 9))},
    }


def measure(budget: float) -> dict[str, Any]:
    """Points and slopes by what grows. A slope is the exponent over the upper half of the points."""
    grown: dict[str, Any] = {}
    for name, series in points().items():
        measured: dict[str, Any] = {}
        skipped: dict[str, str] = {}
        for x, (widths, batch) in series.items():
            log(f"growth: {name} {x}")
            if reason := too_much(widths, batch, budget):
                skipped[str(x)] = reason
                continue
            try:
                measured[str(x)] = in_process(widths, batch, budget)
            except (subprocess.SubprocessError, ValueError) as error:
                late = isinstance(error, subprocess.TimeoutExpired)
                skipped[str(x)] = f"ran past {2 * budget:g} s" if late else f"failed: {error}"
        keys = ("seconds", "limit_seconds", "bytes", "planned_bytes")
        slopes = {key: slope({float(x): p[key] for x, p in measured.items()}) for key in keys}
        grown[name] = {"points": measured, "skipped": skipped, "slopes": slopes}
    return grown


def too_much(widths: Sequence[int], batch: int, budget: float) -> str | None:
    """Why a point is not tried: ten steps at a low speed, and three times the least memory, must fit."""
    seconds = 10 * 6 * batch * parameters(widths) / SLOW
    if seconds > budget:
        return f"10 steps may take {seconds:.0f} s of {budget:g}"
    needed, there = 3 * planned_bytes(widths, batch), available_bytes()
    return f"may need {needed / 2**30:.1f} GiB of {there / 2**30:.1f}" if there and needed > there else None


def available_bytes() -> int | None:
    """Memory that is free for programs, where the system tells (Linux)."""
    file = Path("/proc/meminfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), None)


def slope(values: dict[float, float | None]) -> float | None:
    """The exponent of growth: a line through the upper half of the points, on log axes."""
    import numpy as np

    found = sorted((x, y) for x, y in values.items() if y and y > 0)
    upper = found[len(found) // 2 :] if len(found) > 3 else found
    if len(upper) < 2:
        return None
    x, y = np.log(np.asarray(upper)).T
    return float(np.polyfit(x, y, 1)[0])


def in_process(widths: Sequence[int], batch: int, budget: float) -> dict[str, Any]:
    """One point, measured by this file in a fresh interpreter."""
    command = [sys.executable, __file__, "-".join(map(str, widths)), str(batch), str(budget / 4)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * budget, check=False)
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return json.loads(done.stdout.splitlines()[-1])


def point(widths: Sequence[int], batch: int, seconds: float) -> dict[str, Any]:
    """Seconds of a step and of its products, and the most memory that training holds beyond the imported modules."""
    from contenders.ours import compiler

    from dlarray.bench import Case, FullStep, Problem, Products, low
    from dlarray.device import resolve

    cpu, compile_ = resolve("cpu"), compiler(check=False)  # the check holds copies of the first step
    tiny = Case("tiny", (8, 8, 4), 4)
    FullStep(Problem.of(tiny), cpu, compile_).losses(2)  # imports what the first step imports
    case = Case("point", tuple(widths), batch)
    before = memory("VmRSS")
    full = FullStep(Problem.of(case, batches=1, weights=False), cpu, compile_, keep=False)
    full.run(1)
    restarted_peak()
    full.run(1)
    peak = memory("VmHWM")
    limit = Products(case, cpu)
    limit.run(1)
    once = max(full.run(1), 1e-6)
    bursts, steps = (5, 1) if once > seconds / 20 else (20, max(1, min(200, round(seconds / 50 / once))))
    means = [(full.run(steps) / steps, limit.run(steps) / steps) for _ in range(bursts)]
    return {
        "parameters": parameters(widths),
        "seconds": low([m for m, _ in means]),
        "limit_seconds": low([m for _, m in means]),
        "bytes": peak - before if peak and before else None,
        "planned_bytes": planned_bytes(widths, batch),
    }


def memory(name: str) -> int | None:
    """Bytes by Linux's own count: VmRSS is what is held, VmHWM the most that was."""
    file = Path("/proc/self/status")
    lines = file.read_text().splitlines() if file.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), None)


def restarted_peak() -> None:
    """Forget the peak so far, where the system can (Linux)."""
    file = Path("/proc/self/clear_refs")
    if file.exists():
        file.write_text("5")


def start(times: int = 7) -> dict[str, float]:
    """Seconds of imports and to the end of the first step of M, in fresh processes; medians."""
    log("growth: imports and the first step")
    clock = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
    imports = {
        "import numpy": "import numpy",
        "import dlarray": "import dlarray",
        "import dlarray, all that fit needs": "import dlarray; dlarray.fit",
    }
    seconds: dict[str, list[float]] = {name: [] for name in imports}
    for _ in range(times + 1):
        for name, code in imports.items():
            seconds[name].append(fresh(clock.format(code)))
    found = {name: median(values[1:]) for name, values in seconds.items()}  # the first reads the files from the disk
    for name in list(imports)[1:]:
        found[f"{name} / import numpy"] = found[name] / found["import numpy"]
    first = (
        "import dlarray; from contenders.ours import compiler; from dlarray.bench import CASES, Problem, FullStep; "
        "FullStep(Problem.of(CASES['M']), dlarray.resolve('cpu'), compiler()).losses(1)"
    )
    kinds: dict[str, list[float]] = {"to the first step, cold": [], "to the first step, warm": []}
    for _ in range(3):
        with tempfile.TemporaryDirectory() as cache:  # where kernels are kept: empty, then filled
            for values in kinds.values():
                try:
                    values.append(fresh(clock.format(first), XDG_CACHE_HOME=cache, DLARRAY_CACHE=cache))
                except ValueError as error:
                    log(f"to the first step: {error}")
    return found | {name: median(values) for name, values in kinds.items() if values}


def fresh(code: str, **variables: str) -> float:
    """The number that a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parent,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    time.sleep(0.05)
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    print(json.dumps(point([int(w) for w in sys.argv[1].split("-")], int(sys.argv[2]), float(sys.argv[3]))))
