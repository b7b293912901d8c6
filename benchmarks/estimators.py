"""How fast the estimators are, beside scikit-learn's with the same settings and numbers.

    python benchmarks/estimators.py --json FILE
    python benchmarks/estimators.py --rows iris "predict, 1 row" --rounds 9
    python benchmarks/estimators.py --without-fast

Each row is measured in new processes of one thread. *Cold* is the first call in a process that has only imported both;
*warm* is the shortest of the calls after it, in which the two take turns. The ratio is scikit-learn's time divided by
dlarray's. CPU time decides, because other programs disturb it less; wall time is beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import environment

SIDES = {"ours": "dlarray.estimators", "theirs": "sklearn.neural_network"}
Times = dict[str, float]
"""Seconds, "cpu" and "wall"."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--rows", nargs="+", default=[""], metavar="PART", help="parts of the rows' names (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="warm calls of each side (default 5)")
    parser.add_argument("--without-fast", action="store_true", help="hide llvmlite in every row")
    parser.add_argument("--json", type=Path, help="write the results to this file")
    parser.add_argument("--part", nargs=2, metavar=("ROW", "SIDE"), help=argparse.SUPPRESS)  # in a process of its own
    return parser.parse_args()


# In a process of its own


def timed(run: Callable[[], Any]) -> Times:
    """The time of a call."""
    cpu, wall = time.process_time(), time.perf_counter()
    run()
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall}


def part(name: str, side: str, rounds: int) -> Any:
    """Measure a row: scikit-learn's first call; or dlarray's, and then both in turns."""
    from estimator_rows import ROWS

    warnings.simplefilter("ignore")  # few epochs do not converge
    row = next(row for row in ROWS if row.name == name)
    modules = {key: import_module(module) for key, module in SIDES.items()}
    if row.kind == "shapes":
        return new_shapes(modules["ours"], row.make(modules["ours"]), rounds)
    if row.kind == "grid":
        run = row.make(modules[side])
        return {"wall": timed(run)["wall"]}
    run = row.make(modules[side])
    found = {"cold": timed(run)}
    if side == "ours":
        other = row.make(modules["theirs"])
        other()
        turns = [(timed(run), timed(other)) for _ in range(rounds)]
        found |= {"warm": least([mine for mine, _ in turns]), "theirs": least([theirs for _, theirs in turns])}
    return found


def new_shapes(module: Any, load: Callable[[], Any], rounds: int) -> dict[str, Any]:
    """How much longer the first fit of each new shape takes than the next ones, in a process that has trained."""
    from estimator_rows import SHAPES, digits, fit

    found = {"first in the process": timed(load)["cpu"]}
    again = least([timed(load) for _ in range(rounds)])["cpu"]
    found["first in the process"] -= again
    for settings in SHAPES:
        run = fit(digits, max_iter=3, **settings)(module)
        first = timed(run)["cpu"]
        found[str(settings)] = first - least([timed(run) for _ in range(rounds)])["cpu"]
    return found


def least(times: list[Times]) -> Times:
    """The shortest of each kind."""
    return {key: min(of[key] for of in times) for key in times[0]}


# In this process


def started(row: Any, side: str, options: argparse.Namespace) -> tuple[Any, float]:
    """What a process of its own finds, and its CPU time with that of its children."""
    command = [sys.executable, __file__, "--rounds", str(options.rounds), "--part", row.name, side]
    if options.without_fast or not row.fast:
        command.append("--without-fast")
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return json.loads(done.stdout.splitlines()[-1]), cpu


def measure(row: Any, options: argparse.Namespace) -> dict[str, Any]:
    """A row: its times, the ratios, and whether the goal is met."""
    result: dict[str, Any] = {"goal": row.goal, "fast": row.fast and not options.without_fast}
    if row.kind == "shapes":
        seconds, _ = started(row, "ours", options)
        result |= {"seconds": seconds}
        value = max(of for name, of in seconds.items() if not name.startswith("first"))
        return result | {"most": value, "met": value <= row.goal}
    if row.kind == "grid":
        for side in SIDES:
            found, cpu = started(row, side, options)
            result[side] = {"cold": {"cpu": cpu, "wall": found["wall"]}}
        result["cold"] = ratio(result["theirs"]["cold"], result["ours"]["cold"])
        return result | {"met": result["cold"]["wall"] >= row.goal}
    cold, _ = started(row, "theirs", options)
    ours, _ = started(row, "ours", options)
    result["theirs"] = {"cold": cold["cold"], "warm": ours.pop("theirs")}
    result["ours"] = ours
    for key in ("cold", "warm"):
        result[key] = ratio(result["theirs"][key], ours[key])
    return result | {"met": None if row.goal is None else result["warm"]["cpu"] >= row.goal}


def ratio(theirs: Times, ours: Times) -> Times:
    """How many times faster dlarray is."""
    return {key: theirs[key] / ours[key] for key in ours}


def line(name: str, of: dict[str, Any]) -> list[str]:
    """A row of the table."""
    verdict = {True: "met", False: "NOT MET", None: ""}[of["met"]]
    goal = "" if of["goal"] is None else f"{of['goal']:.1f}"
    if "most" in of:
        first = of["seconds"]["first in the process"]
        return [name, f"{of['most']:.2f} s", "", f"{first:.2f} s", "", "", "", f"≤ {goal} s", verdict]
    numbers = [f"{of[key][kind]:.2f}" if key in of else "" for key in ("warm", "cold") for kind in ("cpu", "wall")]
    times = [of[side].get("warm", of[side]["cold"])["cpu"] for side in SIDES]
    return [name, *numbers, *(f"{1000 * seconds:.1f}" for seconds in times), goal, verdict]


HEAD = ["", "warm", "wall", "cold", "wall", "ms, dlarray", "scikit-learn", "goal", ""]


def main() -> None:
    """Measure, print, write."""
    options = arguments()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
    conditions = environment.prepare(1)  # before anything imports NumPy
    if cores:
        os.sched_setaffinity(0, cores)  # the grid has two processes
    if options.part:
        if options.without_fast:
            sys.modules["llvmlite"] = None  # pyright: ignore[reportArgumentType] - it cannot be imported then
        name, side = options.part
        print(json.dumps(part(name, side, options.rounds)))
        return
    import report
    from dlarray.bench import machine, write
    from estimator_rows import ROWS

    rows = [row for row in ROWS if any(words in row.name for words in options.rows)]
    if options.without_fast:
        rows = [row for row in rows if row.kind != "grid"]  # llvmlite is not hidden from the search's own processes
    packages = ("dlarray", "scikit-learn", "numpy", "scipy", "llvmlite")
    result: dict[str, Any] = {"machine": machine(packages), "conditions": conditions, "rows": {}}
    result["settings"] = {"rounds": options.rounds, "figure": "shortest of the rounds", "threads": 1}
    for row in rows:
        environment.log(row.name)
        result["rows"][row.name] = measure(row, options)
        if options.json:
            write(result, options.json)
    print(f"{report.versions(result['machine'])}; {result['machine']['cpu']}, one thread")
    print("\n".join(report.aligned([HEAD, *(line(name, of) for name, of in result["rows"].items())])))


if __name__ == "__main__":
    main()
