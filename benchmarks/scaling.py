"""Steps of 1, 2 and 4 ranks on this machine and over slow links, beside what the model of the scaling page predicts.

    python benchmarks/scaling.py --json FILE            measure, in at most ten minutes, and print the tables
    python benchmarks/scaling.py --show FILE            print the tables of such a file
    python benchmarks/scaling.py --show FILE --page docs/scaling.md --png docs/_static/scaling.png

The model is fitted to sums alone and to steps without communication. Steps of several ranks are predicted from these
parts, so none of the compared times is part of a fit. It needs mpi4py and an mpiexec: pip install "dlarray[mpi,plot]"
mpich. The slow links need Linux, unshare and /dev/net/tun; where they are missing, the report says so.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import environment
import scaling_link

HERE = Path(__file__).parent
CALIBRATION = "calibration"
"""A network so small that its step is little else than what sharing a step costs."""
CASES = {
    "compute-bound": "784-256-128-10x4096",
    "small batch": "784-256-128-10x128",
    "large network": "784-4096-4096-10x128",
    CALIBRATION: "64-32-10x64",
}
RANKS = (1, 2, 4)
LINKS: dict[str, dict[str, Any]] = {
    "1 Gbit/s, 50 µs": {"mbit": 1000, "delay_us": 50, "mtu": 60000},
    "100 Mbit/s, 1 ms": {"mbit": 100, "delay_us": 1000, "mtu": 9000},
}
"""A switch in Python passes so many packets of 60,000 bytes as a gigabit needs; of 1,500 it would be too slow."""
SIZES = (1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26)
"""Bytes that are summed; over a slow link those that are sent in 0.15 s. Shorter messages, such as the gradients of
biases, wait beside longer ones."""
EPOCHS = {"compute-bound": 6, "small batch": 100, "large network": 4, CALIBRATION: 200}
"""Of four steps each; the first epoch, and the first step of the others, are not counted. Over a slow link 6."""
PARTS = (1, 2, 4, 8)
"""The step on one rank is measured with the batch divided by these."""


def cut(case: str, parts: int) -> int:
    """The examples of a rank if so many share the batch of a case."""
    return int(case.rpartition("x")[2]) // parts


def plan_of(cases: dict[str, str], ranks: int, sizes: tuple[int, ...], seconds: float) -> dict[str, Any]:
    """What a start with so many ranks on this machine measures."""
    steps: list[dict[str, Any]] = []
    for name, case in cases.items():
        alone = PARTS if ranks == 1 else (ranks,)
        steps += [step(name, case, "alone", EPOCHS[name], parts) for parts in alone]
        if ranks == 1:
            steps[-len(PARTS)]["spread"] = True
        else:
            steps += together(name, case, EPOCHS[name])
    update = sorted(set(cases.values())) if ranks == 1 else []
    return {"seconds": seconds, "sums": sizes, "update": update, "steps": steps}


def step(name: str, case: str, kind: str, epochs: int, parts: int = 1) -> dict[str, Any]:
    """One kind of step: on the batch of the case, or on a part of it."""
    return {"name": name, "case": case, "kind": kind, "batch": cut(case, parts), "epochs": epochs}


def together(name: str, case: str, epochs: int) -> list[dict[str, Any]]:
    """The steps of all ranks, without and with sharding."""
    return [step(name, case, kind, epochs) for kind in ("together", "sharded")]


def launcher() -> str:
    """The mpiexec of the package mpich, or else the first on the path."""
    found = of_mpich("mpiexec") or shutil.which("mpiexec")
    if found is None:
        raise SystemExit("there is no mpiexec: pip install mpich, or give --mpiexec")
    return found


def of_mpich(name: str) -> str | None:
    """The path of a file of the installed package mpich."""
    try:
        files = metadata.files("mpich") or []
    except metadata.PackageNotFoundError:
        return None
    return next((os.path.realpath(file.locate()) for file in files if file.name == name), None)


def started(command: list[str], plan: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """What the ranks print. RuntimeError with what they have written if they fail."""
    program = [sys.executable, str(HERE / "scaling_worker.py"), json.dumps(plan)]
    variables = dict.fromkeys((f"{name}_NUM_THREADS" for name in environment.THREADS), str(threads))
    if library := of_mpich("libmpi.so.12"):
        variables.setdefault("MPI4PY_LIBMPI", library)  # the library that belongs to this mpiexec
    done = subprocess.run(
        [*command, *program], env=os.environ | variables, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def on_link(link: dict[str, Any], ranks: int, mpiexec: str) -> list[str]:
    """The command that starts so many ranks, each on a machine of its own."""
    options = ["--machines", str(ranks), "--mbit", str(link["mbit"]), "--delay-us", str(link["delay_us"])]
    options += ["--mtu", str(link["mtu"]), "--mpiexec", mpiexec, "--"]
    own = ["unshare", "--user", "--map-root-user", "--net", sys.executable, str(HERE / "scaling_link.py")]
    return [*own, *options]


def measure(options: argparse.Namespace, conditions: list[str]) -> dict[str, Any]:
    """All starts, in rounds with pauses between."""
    from dlarray.bench import machine

    about = machine(("dlarray", "numpy", "llvmlite", "mpi4py", "mpich"))  # now: the load is that of other programs
    cores: int = about["cores"]
    cases, sizes, links, rounds, seconds = CASES, SIZES, LINKS, options.rounds, options.seconds
    if options.quick:
        cases = {name: CASES[name] for name in ("small batch", CALIBRATION)}
        sizes, links = SIZES[:5], dict(list(LINKS.items())[:1])
        rounds, seconds = 1, 0.05
    found: list[dict[str, Any]] = []
    missing = scaling_link.available() if options.links else "not asked for"
    links = {} if missing else links
    begin = time.monotonic()

    def start(where: str, ranks: int, command: list[str], plan: dict[str, Any], threads: int = 1) -> None:
        time.sleep(options.pause)
        found.append(started(command, plan, threads) | {"link": where, "threads": threads})
        environment.log(f"{time.monotonic() - begin:4.0f} s: {ranks} ranks, {threads} threads each, {where}")

    for _ in range(rounds):
        for ranks in RANKS:
            here = [options.mpiexec, "-n", str(ranks)]
            start("this machine", ranks, here, plan_of(cases, ranks, sizes, seconds))
        whole = [step(name, case, "alone", EPOCHS[name]) for name, case in cases.items()]
        plan: dict[str, Any] = {"seconds": seconds, "sums": [], "update": [], "steps": whole}
        start("this machine", 1, [options.mpiexec, "-n", "1"], plan, cores)
        for name, link in links.items():
            few = tuple(size for size in sizes if 8 * size / (1e6 * link["mbit"]) < 0.15)
            small = {words: case for words, case in cases.items() if words not in ("large network", CALIBRATION)}
            steps = [one for words, case in small.items() for one in together(words, case, 6)]
            for ranks in RANKS[1:]:
                plan = {"seconds": seconds, "sums": few, "update": [], "steps": steps}
                start(name, ranks, on_link(link, ranks, options.mpiexec), plan)
    return {
        "machine": about | {"mpi": found[0]["mpi"]},
        "conditions": conditions,
        "cores": cores,
        "cases": cases,
        "links": links,
        "no_links": missing,
        "quick": options.quick,
        "starts": found,
    }


def main() -> None:
    """Measure or read, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write what was measured to this file")
    parser.add_argument("--show", type=Path, metavar="FILE", help="read such a file, and measure nothing")
    parser.add_argument("--page", type=Path, help="write the tables into this page")
    parser.add_argument("--png", type=Path, help="draw the picture")
    parser.add_argument("--rounds", type=int, default=2, help="default 2; the fastest round counts")
    parser.add_argument("--seconds", type=float, default=0.5, help="for sums of each size (default 0.5)")
    parser.add_argument("--pause", type=float, default=1.0, help="seconds before each start (default 1)")
    parser.add_argument("--mpiexec", default="", help="default: that of the package mpich, or the first on the path")
    parser.add_argument("--no-links", dest="links", action="store_false", help="no slow links")
    parser.add_argument("--quick", action="store_true", help="does everything run? Its times mean little")
    options = parser.parse_args()
    conditions = environment.prepare(os.cpu_count() or 1)  # all cores; each rank gets one thread
    import scaling_report

    if options.show:
        result = json.loads(options.show.read_text(encoding="utf-8"))
    else:
        options.mpiexec = options.mpiexec or launcher()
        conditions[0] = "1 thread for each rank"
        result = measure(options, conditions)
    if options.json:
        from dlarray.bench import write

        write(result, options.json)
    tables = scaling_report.tables(result)
    print("\n".join(f"{name}\n\n{text}\n" for name, text in tables.items()))
    if options.page:
        scaling_report.write_page(tables, options.page)
    if options.png:
        import scaling_picture

        scaling_picture.draw(result, options.png)


if __name__ == "__main__":
    main()
