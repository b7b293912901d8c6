"""The order of an epoch: every row once, the same for the same seed, and how near it comes to a full shuffle."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dlarray as dl
from dlarray.blocks.order import BlockOrder
from dlarray.core.random import Bits

N = 240


def numbers(rows: int = 7, group: int = 4, n: int = N) -> dl.Blocks:
    """The rows 0 to n - 1, each holding its number."""
    x = np.arange(n)
    return dl.open_blocks(x.reshape(-1, 1), x, rows_per_block=rows, blocks_per_group=group)


def drawn(blocks: dl.Blocks, size: int = 10, **options: Any) -> list[list[int]]:
    return [y.tolist() for _, y in blocks.batches(size, **options)]


def flat(batches: list[list[int]]) -> list[int]:
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("size", [1, 10, 32, 33, 240, 500])
@pytest.mark.parametrize("rows", [1, 7, 60, 240])
@pytest.mark.parametrize("group", [1, 3, 400])
def test_each_row_occurs_once_in_batches_of_one_size(size: int, rows: int, group: int) -> None:
    batches = drawn(numbers(rows, group), size)
    assert sorted(flat(batches)) == list(range(N))
    assert {len(batch) for batch in batches[:-1]} <= {size}
    assert len(batches) == -(-N // size)


@pytest.mark.parametrize("size", [1, 10, 32, 77])
def test_an_epoch_can_begin_at_any_batch(size: int) -> None:
    whole = drawn(numbers(), size, epoch=2)
    for start in range(len(whole) + 2):
        assert drawn(numbers(), size, epoch=2, start=start) == whole[start:]


def test_without_shuffle_rows_are_in_the_order_of_the_data() -> None:
    assert flat(drawn(numbers(), shuffle=False)) == list(range(N))


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else() -> None:
    first = drawn(numbers())
    assert drawn(numbers()) == first
    assert drawn(numbers(), seed=1) != first
    assert drawn(numbers(), epoch=1) != first
    assert first[0] == [95, 230, 224, 194, 202, 201, 192, 196, 199, 227]  # on every machine


def test_one_group_has_the_order_that_fit_draws_for_arrays() -> None:
    assert flat(drawn(numbers(group=400), seed=3, epoch=2)) == Bits(3, "order 2").permutation(N).tolist()


def test_groups_are_of_nearly_equal_sizes() -> None:
    order = BlockOrder([1] * 65, 64)
    assert sorted(map(len, order.groups(0))) == [32, 33]
    assert [len(g) for g in BlockOrder([1] * 65, 64, shuffle=False).groups(0)] == [32, 33]
    assert order.most_rows == 33


def test_blocks_without_rows_are_not_read() -> None:
    class Gaps:
        lengths = (0, 3, 0, 2, 0)

        def read(self, i: int) -> Any:
            assert self.lengths[i]
            return np.full((self.lengths[i], 1), i), np.full(self.lengths[i], i)

    assert sorted(flat(drawn(dl.open_blocks(Gaps(), blocks_per_group=1), 2))) == [1, 1, 1, 3, 3]


@pytest.mark.parametrize(("group", "size"), [(4, 8), (8, 32), (16, 16), (64, 32)])
def test_the_stated_variance_is_the_measured_one(group: int, size: int) -> None:
    """Data in the worst case: every row of a block has the block's own number, as in sorted data."""
    count, rows = 64, 32
    value = np.repeat(np.random.default_rng(0).normal(size=count), rows)
    blocks = dl.open_blocks(value.reshape(-1, 1), value, rows_per_block=rows, blocks_per_group=group)
    means = [y.mean() for epoch in range(150) for _, y in blocks.batches(size, epoch=epoch)]
    n = len(value)
    full = value.var() / size * (n - size) / (n - 1)
    stated = blocks.order().variance(size)
    assert np.var(means) / full == pytest.approx(stated, rel=0.12)
    assert blocks.order().variance(1) == 1.0
    assert (
        dl.open_blocks(value.reshape(-1, 1), value, rows_per_block=rows, blocks_per_group=64).order().variance(9) == 1.0
    )


def test_rows_that_resemble_each_other_in_no_block_are_as_good_as_shuffled() -> None:
    value = np.random.default_rng(0).normal(size=2048)
    blocks = dl.open_blocks(value.reshape(-1, 1), value, rows_per_block=32, blocks_per_group=4)
    means = [y.mean() for epoch in range(150) for _, y in blocks.batches(16, epoch=epoch)]
    assert np.var(means) / (value.var() / 16) == pytest.approx(1.0, rel=0.12)
