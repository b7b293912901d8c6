"""What the sums over ranks cost a planned step, and how much of their time passes while the step computes.

    python benchmarks/scaling_overlap.py                     one rank: what it costs to split the step at its sums
    mpiexec -n 2 python benchmarks/scaling_overlap.py        ranks of MPI: what the sums take, and what overlap hides

Four kinds of steps are measured in turns: without ranks; with all starts and waits, but no communication; with sums
that are complete when they have been started; and with sums that overlap. Each rank has the whole batch of the case.
Give each rank a core of its own: OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import dlarray
from dlarray.bench import Case, low
from dlarray.core.ranks import ALONE, Ranks
from dlarray.parallel.mpi import MPIRanks, world
from dlarray.training import Step
from dlarray.training.binding import bind
from dlarray.training.parallel_step import spread

FIRST = 3
"""Steps that are not measured: they make, check and bind the plan."""
TURNS = 20
"""How often each kind of step is measured."""


@dataclass(frozen=True)
class Times:
    """Seconds of a step of each kind; the last two are None on one rank."""

    case: str
    ranks: int
    whole: float
    split: float
    complete: float | None = None
    overlapped: float | None = None

    def __str__(self) -> str:
        lines = [
            f"{self.case}, ranks: {self.ranks}",
            f"  without ranks                   {1e3 * self.whole:9.3f} ms",
            f"  split, without communication    {1e3 * self.split:9.3f} ms  {self.split / self.whole - 1:+.1%}",
        ]
        if self.complete is not None and self.overlapped is not None:
            sums = self.complete - self.split
            lines += [
                f"  sums complete when started      {1e3 * self.complete:9.3f} ms  sums {1e3 * sums:.3f} ms",
                f"  sums that overlap               {1e3 * self.overlapped:9.3f} ms",
            ]
            if sums > 0:
                lines[-1] += f"  hidden {(self.complete - self.overlapped) / sums:.0%}"
        return "\n".join(lines)


class _Pair(Ranks):
    """Two ranks without communication: all their steps are silent."""

    size = 2


class _Complete(MPIRanks):
    """Ranks whose sums are complete when they have been started."""

    def _start_sum(self, x: Any) -> Callable[[], None]:
        super()._start_sum(x)()
        return lambda: None


def measure(case: Case, seconds: float, comm: Any = None) -> Times:
    """The times of the steps of a case, each kind measured for about ``seconds``. All ranks of ``comm`` call it."""
    ranks = ALONE if comm is None else MPIRanks(comm)
    runs = [_prepared(case, ALONE)]
    pair = _Pair()
    with pair.silent():
        runs.append(_prepared(case, pair))
        if comm is not None:
            runs += [_prepared(case, _Complete(comm)), _prepared(case, ranks)]
        return Times(case.name, ranks.size, *_in_turns(runs, seconds, ranks))


def _prepared(case: Case, ranks: Ranks) -> Callable[[], Any]:
    """A function that does one more step of a case on these ranks."""
    step = Step(case.model, dlarray.SparseCategoricalCrossEntropy(), dlarray.Adam())
    cpu = dlarray.resolve("cpu")
    draw = np.random.default_rng(0)
    x = draw.standard_normal((case.batch, case.widths[0]), dtype=np.float32)
    batch: tuple[Any, ...] = x, draw.integers(0, case.widths[-1], case.batch).astype(np.int32), None
    if ranks.size > 1:
        step = spread(step, ranks)
        batch += np.asarray(1 / ranks.size, np.float32), np.zeros(1, np.int32)
    state = step.init(step.model.init(0, cpu), step.model.init_buffers(cpu), 0, cpu)
    bound = bind(cpu.backend.compile(step), state)
    for _ in range(FIRST):
        bound(batch)
    return lambda: bound(batch)


def _in_turns(runs: list[Callable[[], Any]], seconds: float, ranks: Ranks) -> list[float]:
    """The seconds of a step of each kind. All ranks do the same number of steps."""
    once = max(ranks.exchange(_seconds(runs[-1], 3)))
    count = max(1, round(seconds / TURNS / once))
    found: list[list[float]] = [[] for _ in runs]
    for _ in range(TURNS):
        for own, run in zip(found, runs, strict=True):
            ranks.exchange(None)  # all begin together
            own.append(_seconds(run, count))
    return [max(ranks.exchange(low(own))) for own in found]


def _seconds(run: Callable[[], Any], count: int) -> float:
    """The mean seconds of so many steps."""
    start = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - start) / count


def main() -> None:
    """Measure the cases and print their times."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--cases", default="784-256-128-10x128,784-4096-4096-10x128", help="widths and batch sizes")
    options.add_argument("--seconds", type=float, default=10.0, help="for each kind of step")
    options.add_argument("--json", help="the file that rank 0 writes the times to")
    given = options.parse_args()
    comm = None
    with suppress(ImportError):  # one rank needs no MPI
        comm = world() if world().size > 1 else None
    found = [measure(Case.named(name), given.seconds, comm) for name in given.cases.split(",")]
    if comm is None or comm.rank == 0:
        print(*found, sep="\n")
        if given.json:
            with open(given.json, "w", encoding="utf-8") as file:
                json.dump([asdict(times) for times in found], file, indent=1)


if __name__ == "__main__":
    main()
