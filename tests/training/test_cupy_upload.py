"""CuPy's upload of batches: each step reads its own batch, in whatever order the GPU works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dlarray_cupy import upload as module

from tests import cuda_on_cpu as emulator
from tests.support.gpu import missing, order, to_host

SIZES = [[4], [4, 4], [4] * 7 + [2], [2, 4, 3, 5, 1, 4]]
ORDERS = ["now", "late", "main", *map(str, range(20))]
Upload = Callable[..., Iterator[tuple[Any, ...]]]


@pytest.fixture(autouse=True)
def handle() -> Any:
    """The GPU."""
    if why := missing():
        pytest.skip(why)
    from cupy.cuda import Device

    return Device(0)


def host_batches(sizes: list[int], weighted: bool) -> list[tuple[np.ndarray | None, ...]]:
    r = np.random.default_rng(1)
    return [
        (r.normal(size=(n, 3)), r.integers(0, 9, n).astype(np.int32), r.normal(size=n) if weighted else None)
        for n in sizes
    ]


class Unreadable:
    """An array that the host cannot read."""

    shape, dtype = (4,), np.dtype(np.float64)

    def __array__(self, *args: Any, **kw: Any) -> Any:
        raise RuntimeError


def are_right(batches: list[tuple[np.ndarray | None, ...]], handle: Any, upload: Upload = module.upload) -> bool:
    """Whether steps on the GPU read what was uploaded for them, and others read nothing of it.

    Memory of the size of the first batch's first array was another's before, and is after an upload that fails.
    """
    import cupy

    numbers = np.arange(12.0)
    before = cupy.asarray(numbers)
    read: list[Any] = [(before * 1,)]
    del before
    read += [tuple(None if x is None else x * 1 for x in arrays) for arrays in upload(iter(batches), handle)]
    with suppress(RuntimeError):
        next(upload(iter([(batches[0][0], Unreadable())]), handle))
    read.append(tuple(cupy.full(12, 7.0) for _ in range(6)))
    handle.synchronize()
    return all(
        y is None if x is None else y.dtype == x.dtype and np.array_equal(to_host(y), x)
        for xs, ys in zip([(numbers,), *batches, 6 * (np.full(12, 7.0),)], read, strict=True)
        for x, y in zip(xs, ys, strict=True)
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_every_step_reads_its_own_batch_in_whatever_order_the_gpu_works(
    sizes: list[int], weighted: bool, handle: Any
) -> None:
    for when in ORDERS:
        with order(when):
            assert are_right(host_batches(sizes, weighted), handle), when


def test_batches_of_other_types_and_shapes(handle: Any) -> None:
    kinds = [("f8", 3), ("f8", 3), ("f4", 3), ("f8", 3), ("f4", 2), ("f8", 2)]
    r = np.random.default_rng(1)
    assert are_right([(r.normal(size=(4, width)).astype(dtype),) for dtype, width in kinds], handle)


def test_all_memory_is_taken_before_the_first_step(handle: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA waits for the GPU when it pins memory."""
    import cupyx

    taken: list[Any] = []
    pin = cupyx.empty_pinned
    monkeypatch.setattr(cupyx, "empty_pinned", lambda shape, dtype: taken.append(shape) or pin(shape, dtype))
    batches = module.upload(iter(host_batches([4] * 6, False)), handle)
    next(batches)
    assert len(taken) == 4
    for _ in batches:
        pass
    assert len(taken) == 4


WAITS = {
    "the host for a copy": "        self.copied.synchronize()\n",
    "copies for steps": "        copies.wait_event(self.read)\n",
    "steps for copies": "                cupy.cuda.get_current_stream().wait_event(slot.copied)\n",
    "the end of a step": "                slot.read.record(cupy.cuda.get_current_stream())\n",
    "new memory": "            self.read.record(cupy.cuda.get_current_stream())",
    "the last copies": "        copies.synchronize()",
}


@pytest.mark.parametrize("wait", WAITS)
def test_without_any_one_of_its_waits_a_step_reads_something_else(wait: str, handle: Any) -> None:
    """In some order."""
    if not emulator.installed():
        pytest.skip("orders are chosen on an emulated GPU alone")
    line = WAITS[wait]
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(line) == 1
    edited: dict[str, Any] = {}
    exec(source.replace(line, line.replace(line.strip(), "pass")), edited)
    wrong = [when for when in ORDERS if not right_in(when, handle, edited["upload"])]
    assert wrong


def right_in(when: str, handle: Any, upload: Upload) -> bool:
    with order(when):
        return are_right(host_batches([4] * 7, True), handle, upload)


def test_the_host_runs_ahead_of_the_steps(handle: Any) -> None:
    """It waits for copies that are two batches old, and for no step since."""
    if not emulator.installed():
        pytest.skip("the longest delays can be seen on an emulated GPU alone")
    from cupy.cuda import Event

    with order("late"):
        done: list[Any] = []
        for arrays in module.upload(iter(host_batches([4] * 6, False)), handle):
            assert not any(event.done for event in done[-2:])
            x, *_ = arrays
            x *= 2
            done.append(Event())
            done[-1].record()


def test_cupy_s_upload_takes_none_ahead(handle: Any) -> None:
    left = iter(host_batches([4] * 5, False))
    uploaded: Iterable[Any] = module.upload(left, handle)
    for _ in zip(range(2), uploaded, strict=False):
        pass
    assert len(list(left)) == 3
