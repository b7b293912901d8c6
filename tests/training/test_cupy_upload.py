"""CuPy's upload of batches on a fake GPU: each step reads its own batch, whatever the order of the GPU's work."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from tests.fakes.streams import AsyncGpu


def host_batches(sizes: list[int], weighted: bool) -> list[tuple[np.ndarray | None, ...]]:
    r = np.random.default_rng(1)
    return [
        (r.normal(size=(n, 3)), r.integers(0, 9, n).astype(np.int32), r.normal(size=n) if weighted else None)
        for n in sizes
    ]


def uploaded(gpu: AsyncGpu, batches: Any, monkeypatch: pytest.MonkeyPatch, most: int | None = None) -> list[Any]:
    """What the steps have read of each batch, by the time that everything is done."""
    from dlarray_cupy.upload import upload

    monkeypatch.setitem(sys.modules, "cupy", gpu.cupy)
    monkeypatch.setitem(sys.modules, "cupyx", gpu.cupyx)
    read: list[list[list[np.ndarray]]] = []
    for arrays in upload(iter(batches), gpu):
        read.append([[] for _ in arrays])
        for array, into in zip(arrays, read[-1], strict=True):
            if array is not None:
                array.read(into)
        if len(read) == most:
            break
    gpu.until(lambda: not any(stream.queue for stream in gpu.streams))
    return read


def right(read: Any, batches: Any) -> bool:
    return all(
        (x is None and not into) or (x is not None and np.array_equal(into[0], x))
        for seen, batch in zip(read, batches, strict=False)
        for into, x in zip(seen, batch, strict=True)
    )


SIZES = [[4], [4, 4], [4] * 7 + [2], [2, 4, 3, 5, 1, 4]]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_step_reads_its_own_batch_in_whatever_order_the_gpu_works(
    sizes: list[int], weighted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = host_batches(sizes, weighted)
    for seed in range(60):
        read = uploaded(AsyncGpu(seed), batches, monkeypatch)
        assert len(read) == len(batches)
        assert right(read, batches), seed


@pytest.mark.parametrize("lost", ["host waits", "copy waits", "step waits"])
def test_without_any_one_of_the_three_waits_a_step_reads_another_s(lost: str, monkeypatch: pytest.MonkeyPatch) -> None:
    batches = host_batches([4] * 8, False)
    assert not all(right(uploaded(AsyncGpu(seed, lost), batches, monkeypatch), batches) for seed in range(60))


def test_copies_run_while_steps_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """On some GPU the second copy is done before the first step; on none the third is, which needs its slot."""
    batches = [(b[0],) for b in host_batches([4] * 6, False)]
    before: set[int] = set()
    for seed in range(200):
        gpu = AsyncGpu(seed)
        uploaded(gpu, batches, monkeypatch)
        assert gpu.trace.count("step") == gpu.trace.count("copy") == 6
        before.add(gpu.trace[: gpu.trace.index("step")].count("copy"))
    assert before == {1, 2}


def test_memory_goes_only_when_no_copy_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(30):
        gpu = AsyncGpu(seed)
        from dlarray_cupy.upload import upload

        monkeypatch.setitem(sys.modules, "cupy", gpu.cupy)
        monkeypatch.setitem(sys.modules, "cupyx", gpu.cupyx)
        batches = upload(iter(host_batches([4] * 5, False)), gpu)
        next(batches)
        next(batches)
        batches.close()
        copies = [stream for stream in gpu.streams if stream is not gpu.current]
        assert [len(stream.queue) for stream in copies] == [0]


def test_cupy_s_upload_takes_none_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    left = iter(host_batches([4] * 5, False))
    uploaded(AsyncGpu(0), left, monkeypatch, most=2)
    assert len(list(left)) == 3
