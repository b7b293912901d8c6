"""Data four times as large as the memory that the process may use, limited by the kernel."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support.process import ROOT

resource = pytest.importorskip("resource")
QUARTER = 320 * 2**20
"""A quarter of the bytes of the data. Interpreter, libraries, network and groups must get along with less."""
COLUMNS = 512
PROGRAM = """
import resource, sys, threading
import numpy as np
import dlarray as dl

quarter, folder, way = int(sys.argv[1]), sys.argv[2], sys.argv[3]
threading.stack_size(2**18)
model = dl.mlp({columns}, 4, 1)
small = np.zeros((64, {columns}), np.float32)
dl.fit(model, small, small[:, 0], epochs=1, progress=False)  # compiles, and loads everything

def used():
    return 1024 * int(next(line for line in open("/proc/self/status") if line.startswith("VmData")).split()[1])

data = dl.open_blocks(folder, blocks_per_group=64)
stated, before = data.memory(512), used()
limit = before + stated + 24 * 2**20  # a step and heaps of threads: less than half a group more
assert limit <= quarter, ("libraries and groups take more than a quarter of the data", before, stated)
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
if way == "reading":
    most = max(used() - before for _ in data.batches(512))
    print("below", most <= stated + 2**20, "above half", most > stated / 2)  # a thread and its heap take 1 MiB
elif way == "training":
    dl.fit(model, data, epochs=1, batch_size=512, validation=data[:100], progress=False)
    print("trained")
else:
    dl.fit(model, np.load(folder + "/x.npy"), np.load(folder + "/y.npy"), epochs=1, batch_size=512, progress=False)
"""
EXPECTED = {"reading": "below True above half True", "training": "trained"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts private memory on Linux alone")
@pytest.mark.parametrize("way", ["reading", "training", "arrays"])
def test_data_of_four_times_the_memory_train(tmp_path: Path, way: str) -> None:
    rows = 4 * QUARTER // (4 * COLUMNS)
    for name, shape in {"x": (rows, COLUMNS), "y": (rows,)}.items():  # sparse files: zeros that take no disk
        np.lib.format.open_memmap(tmp_path / f"{name}.npy", mode="w+", dtype=np.float32, shape=shape).flush()
    assert (tmp_path / "x.npy").stat().st_size >= 4 * QUARTER
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(columns=COLUMNS), str(QUARTER), str(tmp_path), way],
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env={"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PATH": "/usr/bin:/bin", "MALLOC_ARENA_MAX": "2"},
    )
    if way in EXPECTED:
        assert found.stdout.strip() == EXPECTED[way], found.stderr
    else:
        assert "MemoryError" in found.stderr
        assert found.returncode == 1
