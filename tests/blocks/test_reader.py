"""Reading ahead: one thread, which ends; errors with the number of the block; memory that is used again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import dlarray as dl


class Numbers:
    """Twelve blocks of five rows, which hold their numbers; ``read`` can be slow, or fail."""

    lengths = (5,) * 12
    blocks_per_group = 3
    fingerprint = "twelve"

    def __init__(self, seconds: Any = lambda i: 0.0, broken: int | None = None, error: Any = OSError) -> None:
        self.seconds, self.broken, self.error = seconds, broken, error
        self.threads: set[str] = set()
        self.reads: list[int] = []

    def read(self, i: int) -> Any:
        self.threads.add(threading.current_thread().name)
        self.reads.append(i)
        time.sleep(self.seconds(i))
        if i == self.broken:
            raise self.error("the disk is gone")
        rows = np.arange(5 * i, 5 * i + 5)
        return rows.reshape(-1, 1).astype(np.float32), rows, None


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("dlarray-blocks")]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads()


def test_one_thread_reads_and_the_order_does_not_depend_on_its_speed() -> None:
    quick = Numbers()
    first = [y.tolist() for _, y in dl.open_blocks(quick).batches(4)]
    slow = [y.tolist() for _, y in dl.open_blocks(Numbers(lambda i: 0.003 * (i % 3))).batches(4)]
    consumed = []
    for _, y in dl.open_blocks(Numbers()).batches(4):
        time.sleep(0.001)
        consumed.append(y.tolist())
    assert first == slow == consumed
    assert len(quick.threads) == 1
    assert threading.current_thread().name not in quick.threads
    assert sorted(quick.reads) == list(range(12))


def test_the_next_group_is_read_while_this_one_is_used() -> None:
    source = Numbers()
    batches = dl.open_blocks(source).batches(5)
    next(batches)
    deadline = time.monotonic() + 30
    while len(source.reads) < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert len(source.reads) == 6  # its own group and the next, and no more
    batches.close()
    assert not threads()


def test_a_loop_that_ends_early_ends_the_thread_after_one_block() -> None:
    source = Numbers(lambda i: 0.01)
    for _ in dl.open_blocks(source).batches(5):
        break
    del _
    assert not threads()
    assert len(source.reads) <= 5


@pytest.mark.parametrize("error", [OSError, ValueError, MemoryError, KeyError, ZeroDivisionError])
def test_an_error_of_the_thread_reaches_the_loop_with_the_number_of_the_block(error: Any) -> None:
    with pytest.raises(error, match="the disk is gone") as caught:
        list(dl.open_blocks(Numbers(broken=7, error=error)).batches(5))
    assert caught.value.__notes__ == ["in block 7 of the data, rows 35 to 39"]


def test_batches_are_copies() -> None:
    batches = list(dl.open_blocks(Numbers()).batches(5, shuffle=False))
    assert np.concatenate([y for _, y in batches]).tolist() == list(range(60))


def test_data_in_one_group_are_read_once_and_others_in_each_epoch() -> None:
    source = Numbers()
    source.blocks_per_group = 12
    model = dl.mlp(1, 2, 1)
    dl.fit(model, source, loss="mean_squared_error", epochs=4, batch_size=7, progress=False)
    assert sorted(source.reads[1:]) == list(range(12))  # the first read shows types and shapes
    source = Numbers()
    dl.fit(model, source, loss="mean_squared_error", epochs=4, batch_size=7, progress=False)
    assert len(source.reads) == 1 + 4 * 12


class Wrong:
    """Two blocks that do not fit together."""

    lengths = (2, 2)
    blocks_per_group = 2

    def __init__(self, *second: Any) -> None:
        self.second = second

    def read(self, i: int) -> Any:
        return self.second if i else (np.zeros((2, 3), np.float32), np.array(["a", "b"]), np.ones(2))


WRONG: dict[str, tuple[tuple[Any, ...], type[Exception], str]] = {
    "rows": ((np.zeros((3, 3)), np.zeros(3)), ValueError, "it has 3 rows, and lengths has 2"),
    "weights": ((np.zeros((2, 3), "f4"), np.array(["a", "b"])), ValueError, "block 1 has no weight"),
    "columns": ((np.zeros((2, 4), "f4"), np.array(["a", "b"]), np.ones(2)), ValueError, r"x of the shape \(2, 4\)"),
    "texts": ((np.zeros((2, 3), "f4"), np.array(["a", "bcd"]), np.ones(2)), TypeError, "y of type <U3, which the <U1"),
}


@pytest.mark.parametrize("name", WRONG)
def test_blocks_that_do_not_fit_together_are_refused(name: str) -> None:
    second, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        list(dl.open_blocks(Wrong(*second)).batches(2))


@pytest.mark.parametrize("option", [{"batch_size": 0}, {"epoch": -1}, {"start": -1}])
def test_options_of_batches_are_checked_at_once(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be at least"):
        dl.open_blocks(Numbers()).batches(**option)  # pyright: ignore[reportArgumentType]
