"""The memory that a device says it has, and how much of it is free."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import dlarray
from dlarray.device import backend as backends
from dlarray.device.backend import Backend
from dlarray.device.memory import host_memory


def test_every_device_says_what_it_has() -> None:
    for status in dlarray.devices():
        if status.usable:
            device = dlarray.resolve(status.name)
            memory = device.backend.memory(device.handle)
            assert memory is None or 0 < memory[0] <= memory[1]
    assert Backend().memory("anywhere") is None


PROC = "MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     600 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"meminfo": PROC}, (600 * 1024, 1000 * 1024)),
        ({}, None),
        ({"meminfo": "MemTotal: 1000 kB\n"}, None),
        ({"meminfo": PROC, "memory.max": "max\n"}, (600 * 1024, 1000 * 1024)),
        (
            {
                "meminfo": PROC,
                "memory.max": "300000",
                "memory.current": "250000",
                "memory.stat": "anon 1\ninactive_file 50000",
            },
            (100_000, 300_000),
        ),
        (
            {"meminfo": PROC, "memory.max": "300000", "memory.current": "400000", "memory.stat": "inactive_file 0"},
            (0, 300_000),
        ),
    ],
)
def test_the_host_s_memory_is_what_can_be_had(
    files: dict[str, str], expected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: Path, encoding: str = "") -> str:
        if self.name not in files:
            raise FileNotFoundError(self)
        return files[self.name]

    monkeypatch.setattr(Path, "read_text", read)
    assert host_memory() == expected


class Place:
    """A device that is not there."""

    type, platform = "cuda", "gpu"

    def __init__(self, stats: Any = None) -> None:
        self.stats = stats

    def memory_stats(self) -> Any:
        return self.stats

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def test_torch_counts_what_it_keeps_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda place: (100, 1000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda place: 500)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda place: 200)
    backend = backends.get("torch")
    assert backend.memory(Place()) == (400, 1000)
    assert backend.memory(torch.device("mps")) is None


def test_jax_knows_its_share_of_the_gpu() -> None:
    backend = backends.get("jax")
    assert backend.memory(Place({"bytes_limit": 1000, "bytes_in_use": 300})) == (700, 1000)
    assert backend.memory(Place()) is None


@pytest.mark.parametrize(("limit", "expected"), [(0, (130, 1000)), (90, (80, 90)), (500, (130, 500))])
def test_cupy_counts_its_pool_as_free(limit: int, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SimpleNamespace(free_bytes=lambda: 30, get_limit=lambda: limit, used_bytes=lambda: 10)
    runtime = SimpleNamespace(memGetInfo=lambda: (100, 1000))
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime), get_default_memory_pool=lambda: pool)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    assert backends.get("cupy").memory(Place()) == expected
