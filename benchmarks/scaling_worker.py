"""What every rank runs for ``scaling.py``, under mpiexec: sums alone, steps alone, and steps of all ranks together.

It is given a plan as JSON, and rank 0 prints the times as JSON: of each measurement the 10th percentile, which leaves
out what other programs have disturbed, or the mean where ranks share cores. Nothing else may be printed.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from statistics import fmean
from typing import Any

import numpy as np

import dlarray
from dlarray.bench import Case, low
from dlarray.core.trees import copy_tree
from dlarray.parallel import MPIRanks
from dlarray.training.binding import bind

BATCHES = 4
"""Batches in an epoch. The first step of an epoch is not counted: what follows an epoch lies before it."""


AT_ONCE = 8
"""Sums that are started before the first is waited for."""


def typical(times: list[float], ranks: int) -> float:
    """The 10th percentile; the mean if there are more ranks than cores, which wait for a core only now and then."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return low(times) if ranks <= cores else fmean(times)


class Clock(dlarray.Callback):
    """Notes when each step of ``fit`` has ended, epoch by epoch."""

    def __init__(self) -> None:
        self.epochs: list[list[float]] = []

    def on_step(self, run: dlarray.Run) -> None:
        if run.batch_index == 1:
            self.epochs.append([])
        self.epochs[-1].append(time.perf_counter())

    def seconds(self) -> list[float]:
        """The seconds of each step, without the first epoch, which warms caches, and without first steps."""
        return [float(s) for ends in self.epochs[1:] for s in np.diff(ends)]


@cache
def initial(case: Case) -> Any:
    """θ before the first step: drawn once for all steps of a network."""
    return case.model.init(0, "cpu", case.dtype)


def steps(case: Case, batch: int, epochs: int, **options: Any) -> list[float]:
    """The times of the steps of ``fit`` on batches of so many examples."""
    draw = np.random.default_rng(0)
    x = draw.standard_normal((batch, case.widths[0]), dtype=np.float32)
    t = draw.integers(0, case.widths[-1], batch)
    clock = Clock()
    dlarray.fit(
        case.model,
        np.tile(x, (BATCHES, 1)),
        np.tile(t, BATCHES),
        theta=initial(replace(case, batch=1)),
        epochs=epochs,
        batch_size=batch,
        shuffle=False,
        metrics=[],
        callbacks=[clock],
        device="cpu",
        progress=False,
        **options,
    )
    return clock.seconds()


def updates(case: Case, seconds: float) -> float:
    """The seconds of the optimizer alone, planned, on all of θ."""
    cpu, optimizer = dlarray.resolve("cpu"), dlarray.Adam()
    theta = copy_tree(initial(replace(case, batch=1)))

    def update(state: Any, g: Any) -> Any:
        theta, moments = optimizer.step_all(state["theta"], g, state["optimizer"])
        return {"theta": theta, "optimizer": moments}, theta[0][0]

    compile_: Callable[..., Any] = cpu.backend.compile
    bound = bind(compile_(update), {"theta": theta, "optimizer": optimizer.init_all(theta)})
    g = tuple(np.full_like(v, 1e-3) for v in theta)
    found: list[float] = []
    end = time.perf_counter() + seconds
    while len(found) < 8 or (time.perf_counter() < end and len(found) < 2000):
        start = time.perf_counter()
        bound(g)
        found.append(time.perf_counter() - start)
    return low(found[2:])


def sums(ranks: MPIRanks, comm: Any, size: int, seconds: float) -> dict[str, float]:
    """The seconds of the three collective operations of ``fit`` on so many bytes, each as the slowest rank sees it.

    Up to a megabyte in all, also of several sums at once, as in a step.
    """
    x = np.ones(max(1, size // 4), np.float32)
    copies = [x.copy() for _ in range(AT_ONCE)]
    piece = ranks.piece(x).copy()
    operations: dict[str, Callable[[], Any]] = {
        "all_reduce": lambda: ranks.start_sum(x)(),
        "reduce_scatter": lambda: ranks.scatter_sum(x),
        "all_gather": lambda: ranks.gather(piece, len(x)),
    }
    if AT_ONCE * size <= 1 << 20:
        operations["at_once"] = lambda: [wait() for wait in [ranks.start_sum(copy) for copy in copies]]
    found: dict[str, list[float]] = {name: [] for name in operations}
    end = time.perf_counter() + seconds
    more, done = True, 0
    while more:
        for name, operation in operations.items():
            ranks.exchange(None)  # all begin together
            start = time.perf_counter()
            operation()
            found[name].append(max(ranks.exchange(time.perf_counter() - start)))
        done += 1
        more = comm.bcast(done < 4 or (time.perf_counter() < end and done < 200))
    return {name: typical(times[1:], ranks.size) for name, times in found.items()}


def measure(plan: dict[str, Any], comm: Any) -> dict[str, Any]:
    """All that the plan asks for; the times of rank 0, which differ from those of others only without sums."""
    ranks = MPIRanks(comm)
    seconds = plan["seconds"]
    result: dict[str, Any] = {"ranks": ranks.size, "sums": {}, "steps": [], "update": {}}
    if ranks.size > 1:
        result["sums"] = {str(size): sums(ranks, comm, size, seconds) for size in plan["sums"]}
    for name in plan["update"]:
        result["update"][name] = updates(Case.named(name), seconds)
    for asked in plan["steps"]:
        case, batch = Case.named(asked["case"]), asked["batch"]
        comm.Barrier()
        if asked["kind"] == "alone":  # on all ranks at once, each on its own examples
            times = steps(case, batch, asked["epochs"])
            slowest = max(comm.allgather(typical(times, ranks.size)))
        else:
            times = steps(case, batch, asked["epochs"], parallel=comm, shard=asked["kind"] == "sharded")
            slowest = typical(times, ranks.size)
        result["steps"].append(asked | {"seconds": slowest, "times": times if asked.get("spread") else None})
    return result


def main() -> None:
    """Measure the plan of the command line and print it."""
    from mpi4py import MPI

    found = measure(json.loads(sys.argv[1]), MPI.COMM_WORLD)
    if MPI.COMM_WORLD.rank == 0:
        found["mpi"] = MPI.Get_library_version().replace("\0", "").strip().splitlines()[0]
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
