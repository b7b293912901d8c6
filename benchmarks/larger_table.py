"""Training on a table in blocks, with and without a cache, beside training on the same table in memory.

    python benchmarks/larger_table.py --memory 256 --rounds 5 --json larger_table.json

The table is a folder of Parquet files with 30 columns of numbers. By the rule of ``tables.open_table`` it needs four
times the memory that it may take in blocks. The network is that of ``dlarray train``, a single one: 128 hidden units,
AdamW. Contenders are processes of their own that train in turns. An epoch's time is the difference between a training
of several epochs and one of a single epoch, which reads the table and fills the cache, divided by their number.
``share`` is the speed of a contender divided by that of the table in memory. ``peak`` is the most memory of the
process.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import environment

if __name__ == "__main__":
    environment.prepare(int(os.environ.get("LARGER_THREADS", "2")))

import numpy as np
import polars as pl

from dlarray import tables
from dlarray.bench import low, machine, write
from dlarray.tables.memory import A_VALUE
from turns import in_turns

COLUMNS, PARTS = 30, 8
CONTENDERS = ("whole", "blocks", "cached")


def write_table(folder: Path, rows: int) -> None:
    """Write a regression problem with 30 columns as Parquet files."""
    r = np.random.default_rng(0)
    slopes = r.standard_normal(COLUMNS)
    for part in range(PARTS):
        x = r.standard_normal((rows // PARTS, COLUMNS)).round(4)
        y = np.tanh(x @ slopes) + 0.1 * r.standard_normal(len(x))
        frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(COLUMNS)} | {"y": y})
        frame.write_parquet(folder / f"part-{part}.parquet", row_group_size=2**14)


def work(kind: str, folder: Path, memory: int, epochs: int) -> None:
    """The process of one contender: for each line of its input one turn, as a line of JSON."""
    given: dict[str, Any] = {"seeds": 1, "early_stopping": False, "progress": False}
    given["memory"] = "1TB" if kind == "whole" else memory
    with tempfile.TemporaryDirectory() as cache:
        if kind == "cached":
            given["cache"] = cache
        prepared = tables.prepare(folder, "y", **given)
        assert isinstance(prepared, tables.Prepared if kind == "whole" else tables.LargePrepared)
        for _ in sys.stdin:
            seconds: list[float] = []
            for number in (1, 1 + epochs):
                began = time.perf_counter()
                replace(prepared, network=replace(prepared.network, epochs=number)).train()
                seconds.append(time.perf_counter() - began)
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(json.dumps({"seconds": (seconds[1] - seconds[0]) / epochs, "peak": peak}), flush=True)


def measure(memory: int, times_as_large: float, rounds: int, epochs: int) -> dict[str, Any]:
    """Seconds an epoch of each contender, its share of the speed, and its memory."""
    rows = round(times_as_large * memory / (A_VALUE * (COLUMNS + 1)))
    with tempfile.TemporaryDirectory() as name:
        write_table(Path(name), rows)
        turns = in_turns(__file__, CONTENDERS, (name, str(memory), str(epochs)), rounds)
    times = {kind: low([turn["seconds"] for turn in found]) for kind, found in turns.items()}
    return {
        "rows": rows,
        "allowed_bytes": memory,
        "seconds_an_epoch": times,
        "share": {kind: times["whole"] / seconds for kind, seconds in times.items()},
        "peak": {kind: max(turn["peak"] for turn in found) for kind, found in turns.items()},
        "turns": turns,
    }


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default=256, type=int, help="MiB that the table in blocks may take")
    parser.add_argument("--size", default=4.0, type=float, help="the table needs so many times as much")
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--epochs", default=4, type=int, help="timed epochs of a turn")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.memory * 2**20, given.size, given.rounds, given.epochs)
    for kind in CONTENDERS:
        seconds, share, peak = (found[name][kind] for name in ("seconds_an_epoch", "share", "peak"))
        print(f"{kind:<7} {seconds:9.4g} s an epoch  {share:5.2f} of the speed  {peak / 1e6:7,.0f} MB at the peak")
    if given.json:
        write({"machine": machine(), **found}, given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:6]))
    else:
        main()
