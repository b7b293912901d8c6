"""Many fits at once: a cross-validation by one job, by processes, by threads and by Dask, beside scikit-learn's.

    python benchmarks/many_fits.py --json FILE
    python benchmarks/many_fits.py --cases digits --ways "1 job" "2 processes" --rounds 3

Each figure is from a process of its own, in which the cross-validation runs several times; the processes take turns,
round by round. *Cold* is the first call, with the start of the workers; *warm* the shortest of the calls after it.
CPU time is that of a warm call with its workers: more than the wall time of as many cores as there are jobs would be
threads that wait for each other. *Threads* are those of BLAS in each worker.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import environment

SIDES = {"dlarray": "dlarray.estimators", "scikit-learn": "sklearn.neural_network"}
JOBS = 2
WARM = 3
"""Calls after the first one."""


@contextmanager
def backend(name: str, **settings: Any) -> Generator[int]:
    """joblib's backend, with two jobs."""
    joblib: Any = import_module("joblib")
    with joblib.parallel_config(name, **settings):
        yield JOBS


@contextmanager
def one_job() -> Generator[int]:
    """Without joblib."""
    yield 1


@contextmanager
def limited_threads() -> Generator[int]:
    """Threads of Python, each with one thread of BLAS."""
    control: Any = import_module("threadpoolctl")
    with control.threadpool_limits(1, user_api="blas"), backend("threading") as jobs:
        yield jobs


@contextmanager
def dask() -> Generator[int]:
    """A cluster of two processes on this machine."""
    distributed: Any = import_module("distributed")
    with ExitStack() as stack:
        cluster = stack.enter_context(distributed.LocalCluster(JOBS, threads_per_worker=1, dashboard_address=None))
        stack.enter_context(distributed.Client(cluster))
        yield stack.enter_context(backend("dask"))


WAYS: dict[str, Callable[[], Any]] = {
    "1 job": one_job,
    "2 processes": lambda: backend("loky"),
    "2 threads": lambda: backend("threading"),
    "2 threads, BLAS with one": limited_threads,
    "2 processes of Dask": dask,
}


def digits() -> tuple[Any, Any, dict[str, Any]]:
    """scikit-learn's digits, 1,797 × 64: fits of about 0.3 s."""
    datasets: Any = import_module("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    return x / 16, y, {"hidden_layer_sizes": (100,), "max_iter": 20}


def made() -> tuple[Any, Any, dict[str, Any]]:
    """20,000 × 50 numbers in float32, which joblib maps from a file, and a wide network."""
    datasets: Any = import_module("sklearn.datasets")
    x, y = datasets.make_classification(20_000, 50, n_informative=20, random_state=0)
    return x.astype("float32"), y, {"hidden_layer_sizes": (256, 128), "max_iter": 5}


CASES: dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]] = {"digits": digits, "made": made}


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--folds", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each figure, in turns (default 3)")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--part", nargs=3, metavar=("CASE", "WAY", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args()


# In a process of its own


def cpu_seconds() -> float:
    """The CPU time of this process and of its descendants, those that have ended included; Linux only."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents: dict[int, int] = {}
    spent: dict[int, float] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            parents[int(folder.name)] = int(fields[1])
            spent[int(folder.name)] = sum(map(int, fields[11:15])) / ticks
    own = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= more
    return sum(spent[pid] for pid in own)


def blas_threads() -> int:
    """The threads of BLAS in this worker."""
    control: Any = import_module("threadpoolctl")
    return max(int(each["num_threads"]) for each in control.threadpool_info() if each["user_api"] == "blas")


def part(case: str, way: str, side: str, folds: int) -> dict[str, Any]:
    """Measure a cross-validation."""
    joblib: Any = import_module("joblib")
    cross_validate: Any = import_module("sklearn.model_selection").cross_validate
    warnings.simplefilter("ignore")  # few epochs do not converge
    x, y, settings = CASES[case]()
    model = import_module(SIDES[side]).MLPClassifier(random_state=0, **settings)
    walls: list[float] = []
    cpus: list[float] = []
    scores: Any = None
    with WAYS[way]() as jobs:
        for _ in range(1 + WARM):
            before, start = cpu_seconds(), time.perf_counter()
            scores = cross_validate(model, x, y, cv=folds, n_jobs=jobs)["test_score"]
            walls.append(time.perf_counter() - start)
            cpus.append(cpu_seconds() - before)
        threads = max(joblib.Parallel(jobs)(joblib.delayed(blas_threads)() for _ in range(jobs)))
    best = min(range(1, len(walls)), key=walls.__getitem__)
    return {"cold": walls[0], "warm": walls[best], "cpu": cpus[best], "threads": threads, "scores": scores.tolist()}


# In this process


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All figures: the least of the rounds, and whether the scores are those of one job."""
    found: dict[str, Any] = {}
    for round_ in range(options.rounds):
        for case in options.cases:
            for way in options.ways:
                for side in SIDES:
                    environment.log(f"round {round_ + 1}: {case}, {way}, {side}")
                    command = [sys.executable, __file__, "--folds", str(options.folds), "--part", case, way, side]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                    new = json.loads(done.stdout.splitlines()[-1])
                    old = found.setdefault(case, {}).setdefault(way, {}).get(side)
                    if old is None or new["warm"] < old["warm"]:
                        found[case][way][side] = new | {"cold": min(new["cold"], (old or new)["cold"])}
    for ways in found.values():
        for sides in ways.values():
            for side, of in sides.items():
                one = next(iter(ways.values()))[side]["scores"]
                of["difference"] = max(abs(a - b) for a, b in zip(of["scores"], one, strict=True))
    return found


HEAD = ["", "", "cold", "warm", "CPU", "CPU / wall", "threads", "scikit-learn's / warm", "difference"]


def lines(found: dict[str, Any]) -> list[list[str]]:
    """The rows of the table: seconds."""
    table = [HEAD]
    for case, ways in found.items():
        for way, sides in ways.items():
            for side, of in sides.items():
                times = [f"{of[key]:.2f}" for key in ("cold", "warm", "cpu")]
                ratio = f"{sides['scikit-learn']['warm'] / of['warm']:.2f}" if side == "dlarray" else ""
                numbers = [f"{of['cpu'] / of['warm']:.2f}", str(of["threads"]), ratio, f"{of['difference']:.1g}"]
                table.append([f"{case}, {way}", side, *times, *numbers])
    return table


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    conditions = environment.prepare(os.cpu_count() or 1)
    for name in environment.THREADS:  # joblib sets them in its processes, unless they are set already
        os.environ.pop(f"{name}_NUM_THREADS", None)
    if options.part:
        case, way, side = options.part
        print(json.dumps(part(case, way, side, options.folds)))
        return
    import report
    from dlarray.bench import machine, write

    found = measure(options)
    packages = ("dlarray", "scikit-learn", "joblib", "distributed", "numpy", "llvmlite")
    settings = {"folds": options.folds, "rounds": options.rounds, "figure": "shortest of the rounds", "jobs": JOBS}
    result: dict[str, Any] = {"machine": machine(packages), "conditions": conditions[1:]}
    result |= {"settings": settings, "found": found}
    if options.json:
        write(result, options.json)
    print(f"{report.versions(result['machine'])}; {result['machine']['cpu']}")
    print("\n".join(report.aligned(lines(found))))


if __name__ == "__main__":
    main()
