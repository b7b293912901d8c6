"""Training on files that do not fit into the allowed memory, beside training on arrays in memory.

    python benchmarks/larger_than_memory.py --memory 384 --rounds 5 --json larger.json

Case M: 784-256-128-10, batches of 128, Adam, float32. The files are four times as large as the memory that the process
of the blocks may use, which RLIMIT_DATA limits on Linux; the process of the arrays holds all of them. Both train in
turns, and a turn is timed over whole epochs, without compiling. Before each epoch the files are removed from the page
cache (posix_fadvise), and the bytes that came from the disk are counted: where they are 0, the files lie in memory, or
the system keeps them, and the report says so. ``share`` is the speed on blocks divided by that on arrays.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import environment

if __name__ == "__main__":
    environment.prepare(int(os.environ.get("LARGER_THREADS", "2")))

import numpy as np

import dlarray
from dlarray.bench import low, machine, write
from dlarray.device.memory import host_memory
from turns import in_turns

WIDTHS, BATCH = (784, 256, 128, 10), 128
PART_ROWS = 2**15


def write_files(folder: Path, rows: int) -> None:
    """Write the examples as parts, x-00.npy and y-00.npy, x-01.npy and y-01.npy, and so on."""
    r = np.random.default_rng(0)
    for i, first in enumerate(range(0, rows, PART_ROWS)):
        n = min(PART_ROWS, rows - first)
        np.save(folder / f"x-{i:02}.npy", r.standard_normal((n, WIDTHS[0]), dtype=np.float32))
        np.save(folder / f"y-{i:02}.npy", r.integers(0, WIDTHS[-1], n).astype(np.int32))


def evict(folder: Path) -> None:
    """Remove the files from the page cache, where the system can."""
    for path in folder.iterdir() if hasattr(os, "posix_fadvise") else ():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytes_from_disk() -> int:
    """What this process has read from disks; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/io").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("read_bytes")), 0)


class Clock(dlarray.Callback):
    """The time at the end of each epoch. The files are evicted there; that is not part of the time."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.seconds: list[float] = []
        self._began = 0.0

    def on_start(self, run: dlarray.Run) -> None:
        if self.folder is not None:
            evict(self.folder)

    def on_epoch(self, run: dlarray.Run) -> None:
        self.seconds.append(time.perf_counter() - self._began)
        if self.folder is not None:
            evict(self.folder)
        self._began = time.perf_counter()


def work(kind: str, folder: Path, memory: int, epochs: int) -> None:
    """The process of one contender: for each line of its input one turn, as a line of JSON."""
    if kind == "blocks":
        data: tuple[Any, ...] = (dlarray.open_blocks(folder),)
        if sys.platform == "linux":
            import resource

            resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    else:
        names = sorted(folder.glob("x-*.npy"))
        data = tuple(
            np.concatenate([np.load(path.with_name(path.name.replace("x-", f"{role}-"))) for path in names])
            for role in ("x", "y")
        )
    for _ in sys.stdin:
        clock, before = Clock(folder if kind == "blocks" else None), bytes_from_disk()
        trained = dlarray.fit(
            dlarray.mlp(*WIDTHS),
            *data,
            epochs=1 + epochs,
            batch_size=BATCH,
            metrics=[],
            callbacks=[clock],
            progress=False,
        )
        steps = len(trained.history.steps) // (1 + epochs)
        found = {"seconds": min(clock.seconds[1:]) / steps, "from_disk": bytes_from_disk() - before}
        print(json.dumps(found), flush=True)


def measure(memory: int, times_as_large: float, rounds: int, epochs: int) -> dict[str, Any]:
    """Milliseconds a step on blocks and on arrays, and the share of the speed."""
    rows = round(times_as_large * memory / (4 * WIDTHS[0]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(folder, rows)
        blocks = dlarray.open_blocks(folder)
        turns = in_turns(__file__, ("blocks", "arrays"), (name, str(memory), str(epochs)), rounds)
        milliseconds = {kind: 1e3 * low([turn["seconds"] for turn in found]) for kind, found in turns.items()}
        read = sum(turn["from_disk"] for turn in turns["blocks"]) / rounds / (1 + epochs)
        free = host_memory()
        return {
            "rows": rows,
            "data_bytes": 4 * rows * WIDTHS[0],
            "allowed_bytes": memory,
            "stated_bytes": blocks.memory(BATCH),
            "free_bytes": None if free is None else free[0],
            "milliseconds": milliseconds,
            "share": milliseconds["arrays"] / milliseconds["blocks"],
            "from_disk_each_epoch": read,
            "turns": turns,
        }


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", default=384, type=int, help="MiB that the process of the blocks may use")
    parser.add_argument("--size", default=4.0, type=float, help="the files are so many times as large")
    parser.add_argument("--rounds", default=5, type=int)
    parser.add_argument("--epochs", default=2, type=int, help="timed epochs of a turn")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    found = measure(given.memory * 2**20, given.size, given.rounds, given.epochs)
    for kind, milliseconds in found["milliseconds"].items():
        print(f"{kind:<7} {milliseconds:9.4g} ms a step")
    print(f"share of the speed: {found['share']:.2f}")
    part = found["from_disk_each_epoch"] / found["data_bytes"]
    print(f"from the disk: {part:.0%} of the data in each epoch" + ("" if part > 0.9 else "; the rest from memory"))
    if given.json:
        write({"machine": machine(), **found}, given.json)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--work"]:
        work(sys.argv[2], Path(sys.argv[3]), *map(int, sys.argv[4:6]))
    else:
        main()
