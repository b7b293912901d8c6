"""Measuring contenders in turns, and the report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Protocol

from dlarray.bench.cases import Case, Workload
from dlarray.bench.contenders import Contender, FullStep, Products
from dlarray.bench.machine import machine
from dlarray.bench.raw import RawProducts
from dlarray.core.check import at_least_one
from dlarray.core.files import replacing
from dlarray.device import resolve
from dlarray.device.timing import low
from dlarray.explanation import Explanation

__all__ = ["Runs", "bench", "interleave", "plans", "table", "write"]

MAX_STEPS = 1000
"""The most steps in a burst: later the gradients become denormal numbers, which processors compute slowly."""


class Runs(Protocol):
    """Anything that can be timed."""

    def run(self, steps: int) -> float:
        """The seconds that this many steps take."""
        ...


def interleave(
    contenders: Mapping[str, Runs], bursts: int = 30, seconds: float = 0.1, least: int = 1
) -> dict[str, list[float]]:
    """The mean seconds of a step in each burst, by name. Each round begins with another contender.

    A burst lasts about ``seconds``, but it has at least ``least`` and at most max(1000, ``least``) steps.
    """
    at_least_one("bursts", bursts)
    at_least_one("least", least)
    steps: dict[str, int] = {}
    for name, contender in contenders.items():
        contender.run(1)  # the first call compiles and allocates
        once = max(contender.run(3) / 3, 1e-7)
        steps[name] = max(least, min(round(seconds / once), MAX_STEPS))
    means: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for i in range(bursts):
        for name in names[(k := i % max(len(names), 1)) :] + names[:k]:
            means[name].append(contenders[name].run(steps[name]) / steps[name])
    return means


def bench(
    cases: Sequence[str] = ("M",), device: str | None = None, bursts: int = 30, seconds: float = 0.1
) -> dict[str, Any]:
    """Measure dlarray's step on a device, compiled and eager, and its products alone in the same library.

    JSON-ready: {"machine": …, "device": name, "cases": {name: {"limit_ms", "raw_ms", "compiled", "eager": ratios,
    "milliseconds": {…}}}}. ``limit_ms`` is the time of the library's own products, such as ``numpy.matmul``. On NumPy
    ``raw_ms`` is that of ``RawProducts``, ``raw_by`` says how they were called, and the ratios are to them; elsewhere
    they are to ``limit_ms``. Raises ValueError for an unknown case and DeviceError for
    a device that cannot be used.
    """
    where = resolve(device)
    report: dict[str, Any] = {"machine": machine(), "device": where.name, "cases": {}}
    for case in [Case.named(name) for name in cases]:
        workload = Workload.of(case)
        contenders: dict[str, Contender] = {"products": Products(case, where), "eager": FullStep(workload, where)}
        if where.backend.compiles_on(where.handle):
            contenders["compiled"] = FullStep(workload, where, where.backend.compile)
        by = {}
        if where.backend.uses_numpy_arrays:
            contenders["raw"] = raw = RawProducts(case)
            by = {"raw_by": raw.by}
        times = {name: low(means) for name, means in interleave(contenders, bursts, seconds).items()}
        products = times.pop("products")
        limit = times.pop("raw", products)
        report["cases"][case.name] = {
            "network": "-".join(map(str, case.widths)),
            "batch": case.batch,
            "limit_ms": 1e3 * products,
            **({"raw_ms": 1e3 * limit} | by if by else {}),
            **{name: t / limit for name, t in times.items()},
            "milliseconds": {name: 1e3 * t for name, t in times.items()},
        }
    return report


def plans(cases: Sequence[str] = ("M",), device: str | None = None) -> dict[str, Explanation]:
    """The plan of each case's step, by the case's name. Raises as ``bench`` and ``explain`` do."""
    where = resolve(device)
    return {name: FullStep(Workload.of(Case.named(name), 1), where, keep=False).explain() for name in cases}


def table(report: dict[str, Any]) -> str:
    """The report of ``bench`` as text: ratios, then milliseconds."""
    m = report["machine"]
    lines = [f"{m['cpu']}, {m['cores']} cores, {m['blas']} for {m['blas_core']}; device {report['device']}"]
    for name, case in report["cases"].items():
        limit = f"{case['limit_ms']:.4g} ms"
        if "raw_ms" in case:
            limit = f"{case['raw_ms']:.4g} ms by {case['raw_by']}, {limit} by numpy.matmul"
        lines.append(f"{name}: {case['network']}, batch {case['batch']}; products alone {limit}")
        lines += [
            f"  {kind:<9} {case[kind]:8.3g} times the products  {milliseconds:10.4g} ms a step"
            for kind, milliseconds in case["milliseconds"].items()
        ]
    return "\n".join(lines)


def write(report: dict[str, Any], path: str | PathLike[str]) -> None:
    """Write the report to a JSON file."""
    with replacing(path) as file:
        file.write(f"{json.dumps(report, indent=1)}\n".encode())
