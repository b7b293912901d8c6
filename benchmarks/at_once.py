"""What ``fit(steps_per_execution=…)`` saves: microseconds for each step of ``fit``, with the fetching of batches.

    python benchmarks/at_once.py --device jax --at-once 1,8,32 --json at_once.json

Each figure is the slope between a short and a long training, so what is done once is left out; all take turns, round by
round, and the median of the rounds is printed with the least and the most.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import environment

SHORT = 2


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="jax")
    parser.add_argument("--case", default="S", help="S, M, L, XL, or widths and batch size such as 784-256-10x128")
    parser.add_argument("--at-once", default="1,8,32", help="steps in one call (default 1,8,32)")
    parser.add_argument("--batches", type=int, default=200, help="of an epoch (default 200)")
    parser.add_argument("--epochs", type=int, default=20, help="of the long training, beyond two (default 20)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """The microseconds of a step by how many are taken at once."""
    import numpy as np

    import dlarray
    from dlarray.bench import Case, machine

    case = Case.named(options.case)
    draw = np.random.default_rng(0)
    x = draw.standard_normal((case.batch * options.batches, case.widths[0])).astype(case.dtype)
    t = draw.integers(0, case.widths[-1], len(x)).astype(np.int32)

    def seconds(at_once: int, epochs: int) -> float:
        start = time.perf_counter()
        dlarray.fit(
            case.model,
            x,
            t,
            epochs=epochs,
            batch_size=case.batch,
            device=options.device,
            metrics=[],
            steps_per_execution=at_once,
            progress=False,
        )
        return time.perf_counter() - start

    numbers = [int(word) for word in options.at_once.split(",")]
    found: dict[int, list[float]] = {n: [] for n in numbers}
    for n in numbers:
        seconds(n, 1)  # what is compiled once is not measured
    for _ in range(options.rounds):
        for n, times in found.items():
            slope = seconds(n, SHORT + options.epochs) - seconds(n, SHORT)
            times.append(1e6 * slope / (options.epochs * options.batches))
    return {
        "machine": machine(("dlarray", "numpy", "llvmlite", "jax", "jaxlib", "torch", "cupy")),
        "conditions": conditions,
        "device": options.device,
        "case": {"network": "-".join(map(str, case.widths)), "batch": case.batch, "batches": options.batches},
        "microseconds": {
            str(n): {"median": median(times), "least": min(times), "most": max(times)} for n, times in found.items()
        },
    }


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    conditions = environment.prepare(options.threads)  # before anything imports NumPy
    result = measure(options, conditions)
    print(f"{result['case']['network']}, batch {result['case']['batch']}, fit on {result['device']}")
    for n, of in result["microseconds"].items():
        print(f"{n:>4} at once: {of['median']:.1f} µs a step ({of['least']:.1f} to {of['most']:.1f})")
    if options.json:
        from dlarray.bench import write

        write(result, options.json)


if __name__ == "__main__":
    main()
