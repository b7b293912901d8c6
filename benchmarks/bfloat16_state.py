"""Adam's state in bfloat16: what it costs in time and in accuracy, beside float32 and beside rounding to the nearest.

    python benchmarks/bfloat16_state.py --json state.json
    python benchmarks/bfloat16_state.py --cases L,XL --seeds 5 --executors ufuncs,native

Time is of the optimizer's kernel alone, θ, g and state as large as the case's, and of the whole step; one core unless
OMP_NUM_THREADS says otherwise. Accuracy is of scikit-learn's digits and breast cancer, by seed.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.pop("OPENBLAS_CORETYPE", None)
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

import dlarray
from dlarray.bench import Case, Workload, interleave, low, machine, write
from dlarray.core.array import Array, array_namespace
from dlarray.core.bfloat16 import decode, encode
from dlarray.optimizers import Adam, BFloat16State, Optimizer
from dlarray.optimizers.base import State
from dlarray.planner import compile as plan


@dataclass(frozen=True)
class ToNearest(Optimizer):
    """For comparison: the same 16 bits, rounded to the nearest (halves up)."""

    optimizer: Optimizer

    def init(self, theta: Array, mask: Array | None = None) -> State:
        return self._packed(self.optimizer.init(theta, mask), theta)

    def rate(self, t: Array) -> Array | float:
        return self.optimizer.rate(t)

    def step(self, theta: Array, g: Array, state: State) -> tuple[Array, State]:
        wide = {name: x if name == "t" else decode(x, theta.dtype) for name, x in state.items()}
        theta, state = self.optimizer.step(theta, g, wide)
        return theta, self._packed(state, theta)

    def _packed(self, state: State, theta: Array) -> State:
        half = array_namespace(theta).full(theta.shape, 2**15, dtype=array_namespace(theta).int32)
        return {name: x if name == "t" else encode(x, half) for name, x in state.items()}


ADAM = Adam(1e-3)
OPTIMIZERS = {"float32": ADAM, "bfloat16": BFloat16State(ADAM), "bfloat16 to nearest": ToNearest(ADAM)}


class Planned:
    """A step, planned for an executor and repeated on one batch."""

    def __init__(self, executor: str, step: Callable[[Any, Any], Any], state: Any, batch: Any) -> None:
        self.step, self.state, self.batch = plan(step, executor=executor, check=False), state, batch

    def run(self, steps: int) -> float:
        start = time.perf_counter()
        for _ in range(steps):
            self.state, _ = self.step(self.state, self.batch)
        return time.perf_counter() - start


def kernel(optimizer: Optimizer, n: int, executor: str) -> Planned:
    """The optimizer alone, on arrays of a network's size."""
    r = np.random.default_rng(0)
    theta, g = (r.standard_normal(n, dtype=np.float32) for _ in range(2))

    def step(state: Any, g: Any) -> Any:
        theta, inner = optimizer.step(state[0], 1 * g, state[1])
        return (theta, inner), g[0]

    return Planned(executor, step, (theta, optimizer.init(theta)), g)


def training(optimizer: Optimizer, case: Case, executor: str) -> Planned:
    """The whole step."""
    x, t = Workload.of(case, 1, weights=False).batches[0]
    options: dict[str, Any] = {"optimizer": optimizer, "batch_size": None, "device": "cpu"}
    return Planned(executor, *dlarray.first_step(case.model, x, t, **options))


def times(cases: list[str], executors: list[str], bursts: int, seconds: float) -> dict[str, Any]:
    """Milliseconds by case, executor, what is measured and format: the 10th percentile of bursts in turns."""
    found: dict[str, Any] = {}
    for case in map(Case.named, cases):
        n = case.model.layout.lengths[0]
        for executor in executors:
            made = {name: OPTIMIZERS[name] for name in ("float32", "bfloat16")}
            kernels = interleave({k: kernel(o, n, executor) for k, o in made.items()}, bursts, seconds)
            steps = interleave({k: training(o, case, executor) for k, o in made.items()}, bursts, seconds)
            found.setdefault(case.name, {"parameters": n})[executor] = {
                "optimizer_ms": {k: 1e3 * low(v) for k, v in kernels.items()},
                "step_ms": {k: 1e3 * low(v) for k, v in steps.items()},
            }
    return found


def accuracy(seeds: int) -> dict[str, Any]:
    """Last training loss, and loss and accuracy in the test, by data set and format, one number for each seed."""
    from sklearn.datasets import load_breast_cancer, load_digits

    found: dict[str, Any] = {}
    for name, load, epochs in (("digits", load_digits, 30), ("breast cancer", load_breast_cancer, 60)):
        x, y = load(return_X_y=True)
        x = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1e-9)).astype(np.float32)
        for kind, optimizer in OPTIMIZERS.items():
            runs: dict[str, list[float]] = {"loss": [], "test_loss": [], "test_accuracy": []}
            for seed in range(seeds):
                order = np.random.default_rng(seed).permutation(len(x))
                test, train = np.split(order, [len(x) // 5])
                model = dlarray.mlp(x.shape[1], 64, int(y.max()) + 1)
                options: dict[str, Any] = {"epochs": epochs, "seed": seed, "device": "cpu", "progress": False}
                trained = dlarray.fit(model, x[train], y[train], optimizer=optimizer, **options)
                metrics = trained.evaluate(x[test], y[test])
                runs["loss"].append(trained.history["loss"][-1])
                runs["test_loss"].append(float(metrics["loss"]))
                runs["test_accuracy"].append(float(metrics["accuracy"]))
            found.setdefault(name, {})[kind] = runs
    return found


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="L,XL", help="networks, as `dlarray bench` names them; none to skip")
    parser.add_argument("--executors", default="ufuncs,native", help="NumPy alone, and with the extra fast")
    parser.add_argument("--bursts", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a burst")
    parser.add_argument("--seeds", type=int, default=5, help="0 to skip")
    parser.add_argument("--json", type=Path, help="a file for the results")
    asked = parser.parse_args()
    cases: list[str] = [] if asked.cases == "none" else asked.cases.split(",")
    report = {
        "machine": machine(),
        "times": times(cases, asked.executors.split(","), asked.bursts, asked.seconds),
        "accuracy": accuracy(asked.seeds) if asked.seeds else {},
    }
    for case, by_executor in report["times"].items():
        for executor in asked.executors.split(","):
            for what, ms in by_executor[executor].items():
                print(f"{case:>3} {executor:<7}{what:<13}", *(f"{kind} {t:.3f}" for kind, t in ms.items()), sep="  ")
    for name, by_kind in report["accuracy"].items():
        for kind, runs in by_kind.items():
            words = [f"{what} {np.mean(v):.4g} ± {np.std(v):.2g}" for what, v in runs.items()]
            print(f"{name:<14}{kind:<20}", *words, sep="  ")
    if asked.json:
        write(report, asked.json)


if __name__ == "__main__":
    main()
