"""How time and memory grow with width, depth, batch and the number of parameters, and how long the start takes.

Each point is measured in a process of its own (``python growth.py CASE SECONDS``), dlarray and the products in
turns, and is left out, with the reason, where it would take too much time or memory.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from contenders.ours import compiler
from dlarray.bench import Case, FullStep, RawProducts, Workload, interleave, low
from dlarray.device import resolve
from dlarray.device.memory import host_memory
from environment import log

SLOW = 3e10
"""Floating-point operations a second that two cores surely reach: what a point may take is reckoned with it."""


def planned_bytes(case: Case) -> int:
    """What a step needs at least, in float32: θ, its gradient, Adam's two moments; inputs and saved activations."""
    return 4 * (4 * case.parameters + case.batch * sum(case.widths))


def points() -> dict[str, dict[int, Case]]:
    """Cases by what grows: one thing at a time, from M's 784 inputs, 256 units, batch of 128."""

    def case(*widths: int, batch: int = 128) -> Case:
        return Case("point", widths, batch)

    def hidden(n: int) -> int:
        """The width w at which a network 64-w-w-10 has about n parameters: n = w² + 76 w."""
        return round((38**2 + n) ** 0.5 - 38)

    return {
        "width": {w: case(784, w, w, 10) for w in (2**k for k in range(6, 14))},
        "depth": {d: case(784, *[256] * d, 10) for d in (2**k for k in range(7))},
        "batch": {b: case(784, 256, 128, 10, batch=b) for b in (4**k for k in range(9))},
        "parameters": {n: case(64, hidden(n), hidden(n), 10) for n in (10**k for k in range(3, 9))},
    }


def measure(budget: float) -> dict[str, Any]:
    """Points and slopes by what grows. A slope is the exponent over the upper half of the points."""
    grown: dict[str, Any] = {}
    for name, series in points().items():
        measured: dict[str, Any] = {}
        skipped: dict[str, str] = {}
        for x, case in series.items():
            log(f"growth: {name} {x}")
            if reason := too_much(case, budget):
                skipped[str(x)] = reason
                continue
            try:
                measured[str(x)] = in_process(case, budget)
            except (subprocess.SubprocessError, ValueError) as error:
                late = isinstance(error, subprocess.TimeoutExpired)
                skipped[str(x)] = f"ran past {2 * budget:g} s" if late else f"failed: {error}"
        keys = ("seconds", "limit_seconds", "bytes", "planned_bytes")
        slopes = {key: slope({float(x): p[key] for x, p in measured.items()}) for key in keys}
        grown[name] = {"points": measured, "skipped": skipped, "slopes": slopes}
    return grown


def too_much(case: Case, budget: float) -> str | None:
    """Why a point is not tried: ten steps at a low speed, and three times the least memory, must fit."""
    seconds = 10 * 6 * case.batch * case.parameters / SLOW
    if seconds > budget:
        return f"10 steps may take {seconds:.0f} s of {budget:g}"
    needed, (free, _) = 3 * planned_bytes(case), host_memory() or (math.inf, 0)
    return f"may need {needed / 2**30:.1f} GiB of {free / 2**30:.1f}" if needed > free else None


def slope(values: dict[float, float | None]) -> float | None:
    """The exponent of growth: a line through the upper half of the points, on log axes."""
    found = sorted((x, y) for x, y in values.items() if y and y > 0)
    upper = found[len(found) // 2 :] if len(found) > 3 else found
    if len(upper) < 2:
        return None
    x, y = np.log(np.asarray(upper)).T
    x -= x.mean()
    return float((x * y).sum() / (x * x).sum())


def in_process(case: Case, budget: float) -> dict[str, Any]:
    """One point, measured by this file in a fresh interpreter."""
    words = f"{'-'.join(map(str, case.widths))}x{case.batch}", str(budget / 4)
    return json.loads(printed(__file__, *words, timeout=2 * budget))


def point(case: Case, seconds: float) -> dict[str, Any]:
    """Seconds of a step and of its products, and the most memory that training holds beyond the imported modules."""
    cpu, compile_ = resolve("cpu"), compiler(check=False)  # the check holds copies of the first step
    tiny = Case("tiny", (8, 8, 4), 4)
    FullStep(Workload.of(tiny), cpu, compile_).losses(2)  # imports what the first step imports
    before = memory("VmRSS")
    full = FullStep(Workload.of(case, batches=1, weights=False), cpu, compile_, keep=False)
    full.run(1)
    restarted_peak()
    full.run(1)
    peak = memory("VmHWM")
    limit = RawProducts(case)
    limit.run(1)
    once = max(full.run(1), 1e-6)
    means = interleave({"step": full, "limit": limit}, 5 if once > seconds / 20 else 20, seconds / 50)
    return {
        "parameters": case.parameters,
        "seconds": low(means["step"]),
        "limit_seconds": low(means["limit"]),
        "bytes": peak - before if peak and before else None,
        "planned_bytes": planned_bytes(case),
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
        "import dlarray; from contenders.ours import compiler; from dlarray.bench import CASES, Workload, FullStep; "
        "FullStep(Workload.of(CASES['M']), dlarray.resolve('cpu'), compiler()).losses(1)"
    )
    try:
        found["to the first step"] = median(fresh(clock.format(first)) for _ in range(3))
    except ValueError as error:
        log(f"to the first step: {error}")
    return found


def fresh(code: str) -> float:
    """The number that a fresh interpreter prints."""
    time.sleep(0.05)
    return float(printed("-c", code, timeout=300))


def printed(*words: str, timeout: float) -> str:
    """The last line that a fresh interpreter prints; ValueError with its error where it fails."""
    done = subprocess.run(
        [sys.executable, *words],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        raise ValueError((done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1])
    return done.stdout.splitlines()[-1]


if __name__ == "__main__":
    print(json.dumps(point(Case.named(sys.argv[1]), float(sys.argv[2]))))
